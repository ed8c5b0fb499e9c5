/**
 * ADD and DEL of bridge + host-local, killed before each of their system calls, and with each of
 * them failing: afterwards DEL, or GC where the runtime never calls DEL, leaves the host as it was.
 *
 * strace injects. Its `when=N` counts the calls of one name, so a point is a name and a number. The calls
 * before stdin is read are the start of the process, and memory management has no effect outside it.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { type Host, makeHost } from "./fixtures/host.ts";
import { BUILT_PLUGINS, PROJECT } from "./fixtures/project.ts";

const CONFIG = {
  cniVersion: "1.1.0",
  name: "net",
  type: "bridge",
  isDefaultGateway: true,
  ipam: { type: "host-local", ranges: [[{ subnet: "10.9.0.0/24" }], [{ subnet: "fd00:9::/64" }]] },
};
const ENVIRONMENT = {
  CNI_PATH: BUILT_PLUGINS,
  CONFIG: JSON.stringify(CONFIG),
  GC_CONFIG: JSON.stringify({ ...CONFIG, "cni.dev/valid-attachments": [] }),
};
/** Every call of lib/sys/libc.ts that a plugin makes, by the kernel's names. */
const CALLS =
  "openat,close,read,write,fchmod,statx,rename,link,linkat,unlink,mkdir,rmdir,getdents64,utimensat,flock,poll,setns," +
  "ioctl,socket,bind,getsockname,setsockopt,sendto,recvfrom";
const TIMEOUT_MS = 300_000;

/** The points of a command, in the order in which strace names them: "openat 12". */
async function pointsOf(host: Host, command: "ADD" | "DEL"): Promise<string[]> {
  const container = host.containers.get("c1");
  if (!container) throw new Error("No container c1");
  const call = { config: CONFIG, container };
  await host.cni("bridge", { ...call, command: "ADD" }); // so that what is made once is there
  await host.cni("bridge", { ...call, command: "DEL" });
  if (command === "DEL") await host.cni("bridge", { ...call, command: "ADD" });
  const trace = "/run/trace";
  await host.cni("bridge", {
    ...call,
    command,
    under: ["strace", "-qq", "-o", trace, "-e", `trace=${CALLS}`],
  });
  const lines = readFileSync(host.view(trace), "utf8").split("\n");
  await host.exec("rm", [trace]);
  await host.cni("bridge", { ...call, command: "DEL" });
  await host.cni("bridge", { command: "GC", config: { ...CONFIG, "cni.dev/valid-attachments": [] } });

  const counts = new Map<string, number>();
  const points = lines.flatMap((line) => {
    const name = /^(\w+)\(/.exec(line)?.[1];
    if (name === undefined) return [];
    const number = (counts.get(name) ?? 0) + 1;
    counts.set(name, number);
    return `${name} ${number}`;
  });
  const stdinIsRead = lines.findIndex((line) => line.startsWith("read(0,"));
  return points.slice(stdinIsRead);
}

/**
 * A close(2) that fails has released the descriptor all the
 * same; strace would keep it open, and the lock held.
 */
const NEVER_FAILS = /^close /;

interface Case {
  readonly command: "ADD" | "DEL";
  readonly mode: "add-del" | "add-gc" | "add" | "del";
  readonly fault: string;
}

async function runCase(t: Test, { command, mode, fault }: Case): Promise<void> {
  const host = await makeHost(t);
  await host.container("c1");
  const all = await pointsOf(host, command);
  const points = fault.startsWith("error") ? all.filter((point) => !NEVER_FAILS.test(point)) : all;
  const { stdout } = await host.exec(join(PROJECT, "conformance/fixtures/faults.sh"), [mode, fault], {
    env: ENVIRONMENT,
    input: `${points.join("\n")}\n`,
    timeoutMs: TIMEOUT_MS,
  });
  const faults = stdout.trim().split("\n");
  const [, count, missed] = /^points: (\d+), missed: (\d+)$/.exec(faults.pop() ?? "") ?? [];
  t.equal(Number(count), points.length);
  t.ok(
    points.length >= 30 && Number(missed) <= points.length / 20,
    `${count} system calls, ${missed} missed`,
  );
  t.same(faults, [], "none leaves anything");
}

t.setTimeout(10 * TIMEOUT_MS);
const CASES: [description: string, Case][] = [
  ["ADD killed, then DEL and GC", { command: "ADD", mode: "add-del", fault: "signal=KILL" }],
  ["ADD killed, then GC alone", { command: "ADD", mode: "add-gc", fault: "signal=KILL" }],
  ["DEL killed, then DEL", { command: "DEL", mode: "del", fault: "signal=KILL" }],
  ...["EIO", "ENOMEM", "EBUSY"].flatMap((errno): [string, Case][] => [
    [`ADD with ${errno}`, { command: "ADD", mode: "add", fault: `error=${errno}` }],
    [`DEL with ${errno}, then DEL`, { command: "DEL", mode: "del", fault: `error=${errno}` }],
  ]),
];
for (const [description, each] of CASES) {
  await t.test(`${description}, at every system call`, { timeout: TIMEOUT_MS }, (t) => runCase(t, each));
}
