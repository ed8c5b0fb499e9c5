/** `weft demo`: it proves what it shows, on a host that stays as it was, however it ends. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import t, { type Test } from "tap";
import { type Host, makeHost } from "./fixtures/host.ts";
import { has, skip } from "./fixtures/kernel.ts";
import { firstLine } from "./fixtures/lines.ts";
import { BUILT_PLUGINS } from "./fixtures/project.ts";

const WEFT = join(BUILT_PLUGINS, "weft");
const LINE_TIMEOUT_MS = 60_000;
const END_TIMEOUT_MS = 10_000;
const TIMEOUT_MS = 300_000;
t.setTimeout(3 * TIMEOUT_MS);
/** All but T12, for which the suite has no plugin. */
const TOPOLOGIES = Array.from({ length: 17 }, (_, i) => `T${i + 1}`).filter((name) => name !== "T12");
/** How a colour begins. */
const ESCAPE = "\u001b[";

/** What could be left: interfaces, routes, rules, sysctls, files, and processes with their namespaces. */
async function stateOf(host: Host): Promise<object> {
  const find = "find /run /var/lib/cni /etc/cni -path /run/.sys -prune -o -print 2>/dev/null | sort";
  return {
    snapshot: await host.snapshot(),
    files: (await host.exec("sh", ["-c", find])).stdout,
    processes: await livingProcesses(host),
  };
}

/** Their names; this process namespace has none but the host's own. */
async function livingProcesses(host: Host): Promise<string[]> {
  const { stdout } = await host.exec("ps", ["-e", "-o", "stat=,comm="]);
  const lines = stdout.trim().split("\n");
  return lines
    .map((line) => line.split(/\s+/))
    .filter(([stat = "", name]) => !stat.startsWith("Z") && name !== "ps")
    .map(([, name = ""]) => name);
}

function expectProven(t: Test, stdout: string): void {
  t.notMatch(stdout, /✗/, "no proof failed");
  t.equal(stdout.match(/✓ nothing is left/g)?.length, stdout.match(/^═+$/gm)?.length, "each left nothing");
  t.same(
    stdout.split("\n").filter((line) => line.length > 80),
    [],
    "it fits 80 columns",
  );
}

await t.test(
  "weft demo proves all topologies and leaves the host as it was",
  { timeout: TIMEOUT_MS },
  async (t) => {
    const host = await makeHost(t);
    await host.exec("sh", [
      "-c",
      "mkdir -p /var/lib/cni/networks/n /etc/cni; touch /var/lib/cni/networks/n/x",
    ]);
    const before = await stateOf(host);
    const { exitCode, stdout, stderr } = await host.exec(WEFT, ["demo"], {
      reject: false,
      timeoutMs: TIMEOUT_MS,
    });
    t.equal(exitCode, 0);
    t.equal(stderr, "");
    expectProven(t, stdout);
    t.same(stdout.match(/^T\d+/gm), TOPOLOGIES);
    t.equal(stdout.match(/\b\d+ of 16$/gm)?.length, TOPOLOGIES.length, "each says how many there are");
    for (const [topology, feature] of [
      ["T10", "8021q"],
      ["T11", "ipvlan"],
    ] as const) {
      const shown = stdout.slice(stdout.indexOf(`\n${topology} `)).split(/\nT\d+ /)[1] ?? "";
      const isSaid = shown.includes(`Not shown: this kernel has no ${feature}.`);
      t.equal(isSaid, !(await has(feature)), `${topology} is shown, or says that there is no ${feature}`);
    }
    t.notOk(stdout.includes(ESCAPE), "no colours where nobody sees them");
    t.same(await stateOf(host), before);
  },
);

await t.test(
  "weft demo runs without root, from where weft install put it",
  { timeout: TIMEOUT_MS },
  async (t) => {
    const host = await makeHost(t);
    const nobody = ["--reuid=65534", "--regid=65534", "--clear-groups", "--"];
    const allowed = await host.exec("setpriv", [...nobody, "unshare", "-Urnm", "true"], { reject: false });
    if (allowed.exitCode !== 0) {
      skip(t, "this kernel does not let a user make namespaces");
      return;
    }
    await host.exec(WEFT, ["install", "--to", "/opt/cni/bin"]);
    const before = await stateOf(host);
    const demo = [...nobody, "/opt/cni/bin/weft", "demo"];
    const { exitCode, stdout, stderr } = await host.exec("setpriv", demo, {
      reject: false,
      timeoutMs: TIMEOUT_MS,
    });
    t.same({ exitCode, stderr }, { exitCode: 0, stderr: "" });
    expectProven(t, stdout);
    t.same(await stateOf(host), before);
  },
);

for (const [topology, line, signal, status] of [
  ["T1", /weft add docker0 client/, "SIGINT", 130],
  ["T1", /^Proof/, "SIGTERM", 143],
  ["T3", /^docker network disconnect/, "SIGINT", 130],
  ["T4", /^Two containers/, "SIGHUP", 129],
  ["T7", /^hostIP/, "SIGTERM", 143],
  ["T9", /^The same with "hostAccess"/, "SIGINT", 130],
] as const) {
  await t.test(`weft demo ${topology} leaves nothing when ${signal} comes at "${line.source}"`, async (t) => {
    const host = await makeHost(t);
    const before = await stateOf(host);
    const running = host.start(WEFT, ["demo", topology]);
    t.ok(await firstLine(running.stdout, { matching: line, timeoutMs: LINE_TIMEOUT_MS }));
    running.kill(signal);
    const { exitCode, stderr } = await running.ended;
    t.equal(exitCode, status);
    t.equal(stderr, "weft: interrupted: all of it was in namespaces that are gone now\n");
    const deadline = Date.now() + END_TIMEOUT_MS;
    while ((await livingProcesses(host)).length > 1 && Date.now() < deadline) await delay(10);
    t.same(await stateOf(host), before);
  });
}

await t.test("weft demo fails when a proof does, and cleans up all the same", async (t) => {
  const host = await makeHost(t);
  const folder = fakeProgram(t, "ping");
  const env = { PATH: `${folder}:${process.env["PATH"]}` };
  const { exitCode, stdout, stderr } = await host.exec(WEFT, ["demo", "t1"], { env, reject: false });
  t.equal(exitCode, 2);
  t.match(stdout, "✗ web pings 172.17.0.3: no answer");
  t.match(stdout, "✓ nothing is left");
  t.match(stderr, /^weft: T1: \d proofs failed\n$/);
});

await t.test("weft demo says what it lacks", async (t) => {
  const host = await makeHost(t);
  const lacks = async (message: RegExp, args: string[], variables: string[] = []) => {
    const { exitCode, stderr } = await host.exec("env", [...variables, WEFT, "demo", ...args], {
      reject: false,
    });
    t.equal(exitCode, 1);
    t.match(stderr, message);
  };
  await lacks(new RegExp(`^weft: no topology "T99": there are ${TOPOLOGIES.join(", ")}\n$`), ["T99"]);
  await lacks(/^weft: T12 is not in this suite: it has no plugin for names \(DNS\)\n/, ["T12"]);
  await lacks(/^weft: not in namespaces of its own: run weft demo\n$/, ["--role", "host", "T1"]);
  await lacks(/^weft: .*ping.* missing: apt-get install .*iputils-ping/, [], ["PATH=/nowhere"]);
  const path = `PATH=${fakeProgram(t, "unshare")}:${process.env["PATH"]}`;
  await lacks(/^weft: the kernel does not let this user make namespaces: run as root/, [], [path]);
});

await t.test("weft demo colours its words on a terminal, unless NO_COLOR is set", async (t) => {
  const host = await makeHost(t);
  const typescript = ["-qec", `${WEFT} demo T6`, "/dev/null"];
  for (const [NO_COLOR, coloured] of [
    [undefined, true],
    ["", true],
    ["1", false],
  ] as const) {
    const { stdout } = await host.exec("script", typescript, { env: { NO_COLOR, TERM: "xterm" } });
    t.equal(stdout.includes(ESCAPE), coloured, `NO_COLOR ${NO_COLOR}`);
  }
});

/** A folder for PATH, in which that program does nothing but fail. */
function fakeProgram(t: Test, name: string): string {
  const folder = join(t.testdir(), name);
  mkdirSync(folder);
  writeFileSync(join(folder, name), "#!/bin/sh\nexit 1\n", { mode: 0o755 });
  return folder;
}
