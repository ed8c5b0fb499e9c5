import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatError } from "../../lib/cni/error.ts";
import { callPlugin } from "../../lib/cni/plugin.ts";
import { findFile } from "../../lib/sys/file.ts";
import { input } from "../../lib/testing/probe.ts";
import hostLocal from "./main.ts";

/** Debian's containernetworking-plugins. */
const REFERENCE = "/usr/lib/cni/host-local";
const reason = existsSync(REFERENCE) ? "" : ` [skipped: needs ${REFERENCE}]`;
const referenceTest = (name: string, body: () => void | Promise<void>) =>
  test.skipIf(reason !== "")(name + reason, body, 60_000);

let dataDir: string;
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "weft-interchange-"));
});
afterEach(() => {
  const status = findFile(`${dataDir}/net`);
  const index = `/run/weft/leases/${status?.dev.toString(16)}-${status?.ino}`;
  rmSync(index, { recursive: true, force: true });
  rmSync(dataDir, { recursive: true });
});

const REFUSED = "has been allocated to ID, duplicate allocation is not allowed";

type Call = (command: string, id: string, ifname?: string) => string;

function requestOf(command: string, id: string, ifname: string) {
  const ranges = [[{ subnet: "10.1.0.0/22" }], [{ subnet: "fd00:1::/64" }]];
  const config = {
    cniVersion: "1.0.0",
    name: "net",
    type: "host-local",
    ipam: { type: "host-local", dataDir, ranges },
  };
  const { environment } = input(command, {}, { CNI_CONTAINERID: id, CNI_IFNAME: ifname });
  return { environment, stdin: JSON.stringify(config) };
}

/** What is printed: addresses of an ADD, "" of a DEL, else the message of an error. */
function summary(output: string): string {
  const { ips, msg } = JSON.parse(output || "{}");
  return ips?.map(({ address }: { address: string }) => address).join(" ") ?? msg ?? "";
}

const ours: Call = (command, id, ifname = "eth0") => {
  try {
    return summary(callPlugin(hostLocal, requestOf(command, id, ifname)));
  } catch (error) {
    return summary(formatError(error, "1.0.0"));
  }
};

const theirs: Call = (command, id, ifname = "eth0") => {
  const { environment, stdin } = requestOf(command, id, ifname);
  const { stdout } = Bun.spawnSync([REFERENCE], { env: { ...environment }, stdin: Buffer.from(stdin) });
  return summary(stdout.toString());
};

function leaseNames(): string[] {
  return readdirSync(`${dataDir}/net`).filter((name) => /^\d+\.|:/.test(name));
}

describe.each([
  ["ours", ours, "theirs", theirs],
  ["theirs", theirs, "ours", ours],
] as const)("%s leases", (_first, lease, _second, release) => {
  referenceTest(`${_second} releases what ${_first} leased`, () => {
    expect(lease("ADD", "c1")).toBe("10.1.0.2/22 fd00:1::2/64");
    expect(lease("ADD", "c1", "eth1")).toBe("10.1.0.3/22 fd00:1::3/64");
    expect(release("DEL", "c1")).toBe("");
    expect(leaseNames().sort()).toEqual(["10.1.0.3", "fd00:1::3"]);
    expect(lease("ADD", "c1")).toBe("10.1.0.4/22 fd00:1::4/64");
  });

  referenceTest(
    `${_second} goes on where ${_first} stopped, and refuses its attachments a second address`,
    () => {
      expect(lease("ADD", "c1")).toBe("10.1.0.2/22 fd00:1::2/64");
      expect(release("ADD", "c2")).toBe("10.1.0.3/22 fd00:1::3/64");
      expect(lease("ADD", "c3")).toBe("10.1.0.4/22 fd00:1::4/64");
      expect(release("ADD", "c1")).toBe(
        `failed to allocate for range 0: 10.1.0.2 ${REFUSED.replace("ID", "c1")}`,
      );
      expect(lease("ADD", "c2")).toBe(
        `failed to allocate for range 0: 10.1.0.3 ${REFUSED.replace("ID", "c2")}`,
      );
    },
  );
});

referenceTest("both write the same files", () => {
  ours("ADD", "c1");
  theirs("ADD", "c2");
  const read = (name: string) => readFileSync(`${dataDir}/net/${name}`, "utf8");
  expect([read("10.1.0.2"), read("10.1.0.3")]).toEqual(["c1\r\neth0", "c2\r\neth0"]);
  expect([read("last_reserved_ip.0"), read("last_reserved_ip.1")]).toEqual(["10.1.0.3", "fd00:1::3"]);
  ours("ADD", "c3");
  expect([read("last_reserved_ip.0"), read("last_reserved_ip.1")]).toEqual(["10.1.0.4", "fd00:1::4"]);
});

/** Makes the requests one after another in a process of its own, and gives the outputs. */
async function inProcess(requests: readonly object[]): Promise<string[]> {
  const script = `
    import { callPlugin } from "${import.meta.dir}/../../lib/cni/plugin.ts";
    import hostLocal from "${import.meta.dir}/main.ts";
    const requests = await Bun.stdin.json();
    console.log(JSON.stringify(requests.map((request) => callPlugin(hostLocal, request))));`;
  const child = Bun.spawn([process.execPath, "-e", script], {
    stdin: Buffer.from(JSON.stringify(requests)),
    stdout: "pipe",
    stderr: "inherit",
  });
  return (await new Response(child.stdout).json()) as string[]; // what the script prints
}

/** The same, each by the reference. */
async function byReference(requests: readonly ReturnType<typeof requestOf>[]): Promise<string[]> {
  const outputs: string[] = [];
  for (const { environment, stdin } of requests) {
    const child = Bun.spawn([REFERENCE], {
      env: { ...environment },
      stdin: Buffer.from(stdin),
      stdout: "pipe",
    });
    outputs.push(await new Response(child.stdout).text());
  }
  return outputs;
}

/** ADD for each, and after each third ADD the DEL of the one before it. */
function turns(ids: readonly string[]) {
  return ids.flatMap((id, i) => [
    requestOf("ADD", id, "eth0"),
    ...(i % 3 === 2 ? [requestOf("DEL", ids[i - 1] ?? "", "eth0")] : []),
  ]);
}

referenceTest("ours and theirs at the same time give no address to two, and lose none", async () => {
  const ids = (prefix: string, count: number) => Array.from({ length: count }, (_, i) => `${prefix}${i}`);
  const groups = [ids("a", 90), ids("b", 90), ids("g", 45), ids("h", 45)] as const;
  const [a, b, g, h] = groups;
  const outputs = await Promise.all([
    inProcess(turns(a)),
    inProcess(turns(b)),
    byReference(turns(g)),
    byReference(turns(h)),
  ]);
  const requests = groups.flatMap(turns);
  const held = new Map<string, string>();
  outputs.flat().forEach((output, i) => {
    const { CNI_COMMAND, CNI_CONTAINERID = "" } = requests[i]?.environment ?? {};
    if (CNI_COMMAND === "DEL") expect(output).toBe("");
    else held.set(CNI_CONTAINERID, summary(output));
  });
  for (const group of groups) for (const id of group.filter((_, i) => i % 3 === 1)) held.delete(id);

  const expected = [...held].flatMap(([id, addresses]) =>
    addresses.split(" ").map((address) => `${address.replace(/\/.*/, "")} ${id}`),
  );
  expect(expected).toHaveLength(2 * 180);
  const found = leaseNames().map(
    (name) => `${name} ${readFileSync(`${dataDir}/net/${name}`, "utf8").split("\r\n")[0]}`,
  );
  expect(found.sort()).toEqual(expected.sort());

  for (const id of [...g, ...h]) expect(ours("DEL", id)).toBe("");
  for (const id of [...a, ...b].slice(0, 120)) expect(theirs("DEL", id)).toBe("");
  for (const id of [...a, ...b].slice(120)) expect(ours("DEL", id)).toBe("");
  expect(leaseNames()).toEqual([]);
});
