import { expect, test } from "bun:test";
import { type ShellCommand, shell } from "../terminal/shell.ts";
import type { FaultId } from "./faults.ts";
import { type Finding, finding } from "./finding.ts";
import { type Fixing, fix } from "./fix.ts";

function found(fault: FaultId, subject: string, remedy: ShellCommand): Finding {
  return finding(fault, { subject, evidence: "", remedy });
}

const GONE = found("attachment-gone", "c1", shell`weft gc`);
const ORPHAN = found("veth-orphaned", "veth1", shell`ip link delete veth1`);
const DOWN = found("bridge-down", "br0", shell`ip link set br0 up`);
const GATEWAY = found("gateway-missing", "br0", shell`ip address add 10.9.0.1/24 dev br0`);

/** A host of which each remedy takes these findings away, and brings those. */
function hostOf(
  findings: readonly Finding[],
  effects: Readonly<Record<string, { ends?: readonly Finding[]; brings?: readonly Finding[] }>>,
) {
  let now = [...findings];
  const ran: string[] = [];
  const asked: number[] = [];
  const fixing: Fixing = {
    look: async () => now,
    isAgreed: async ({ length }) => asked.push(length) > 0,
    run: ({ remedy }) => {
      ran.push(remedy);
      const { ends = [], brings = [] } = effects[remedy] ?? {};
      now = [...now.filter((each) => !ends.includes(each)), ...brings];
    },
  };
  return { fixing, ran, asked, findings };
}

test("fix() does not run what another's remedy has mended", async () => {
  const { fixing, ran, findings } = hostOf([DOWN, GATEWAY], {
    [DOWN.remedy]: { ends: [DOWN, GATEWAY] },
  });
  expect(await fix(findings, fixing)).toEqual({ findings: [], mended: [DOWN, GATEWAY], idle: [] });
  expect(ran).toEqual([DOWN.remedy]);
});

test("fix() runs one remedy of several findings once, and asks once for what it has shown", async () => {
  const other = { ...GONE, subject: "c2" };
  const { fixing, ran, asked, findings } = hostOf([GONE, other, ORPHAN], {
    [ORPHAN.remedy]: { ends: [ORPHAN] },
    [GONE.remedy]: { ends: [GONE, other] },
  });
  expect((await fix(findings, fixing)).findings).toEqual([]);
  expect(ran).toEqual([ORPHAN.remedy, GONE.remedy]);
  expect(asked).toEqual([3]);
});

test("fix() asks for what comes to light", async () => {
  const { fixing, ran, asked, findings } = hostOf([DOWN], {
    [DOWN.remedy]: { ends: [DOWN], brings: [GATEWAY] },
    [GATEWAY.remedy]: { ends: [GATEWAY] },
  });
  expect((await fix(findings, fixing)).mended).toEqual([DOWN, GATEWAY]);
  expect(ran).toHaveLength(2);
  expect(asked).toEqual([1, 1]);
});

test("fix() tells what did not help, and leaves what is for somebody's hand", async () => {
  const byHand = found("port-shadowed", "c1", shell`true`);
  const { fixing, ran, findings } = hostOf([DOWN, byHand], {});
  expect(await fix(findings, fixing)).toEqual({
    findings: [DOWN, byHand],
    mended: [],
    idle: [DOWN.remedy],
  });
  expect(ran).toEqual([DOWN.remedy]);
});
