/**
 * Delegation to an IPAM plugin: called in process or executed, ours or
 * another's, it is the same to the caller. CNI spec 1.1 §4 "Delegated plugins".
 */
import {
  chmodSync,
  closeSync,
  cpSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import t, { type Test } from "tap";
import { type Host, makeHost } from "./fixtures/host.ts";
import { differences, normalise } from "./fixtures/normalise.ts";
import { plainConfig } from "./fixtures/plain-call.ts";
import type { PluginCall, PluginOutcome } from "./fixtures/plugin-call.ts";
import { BUILT_PLUGINS } from "./fixtures/project.ts";
import { refused, silent, unchanged } from "./fixtures/refusal.ts";
import { referencePlugins } from "./reference.ts";

const COPIES = mkdtempSync(join(tmpdir(), "weft-copies-"));
t.teardown(() => rmSync(COPIES, { recursive: true }));
// another inode, so that it is not found to be the caller's own
cpSync(join(BUILT_PLUGINS, "weft"), join(COPIES, "host-local"));
linkSync(join(COPIES, "host-local"), join(COPIES, "static"));

const range = (subnet: string) => [{ subnet }];
const leased = (...ranges: object[][]) => ({ ipam: { type: "host-local", ranges } });
const fixed = (...addresses: string[]) => ({
  ipam: { type: "static", addresses: addresses.map((address) => ({ address })) },
});
const ONE_LEFT = [{ subnet: "10.1.0.0/24", rangeStart: "10.1.0.2", rangeEnd: "10.1.0.2" }];
const ROUTES = [{ dst: "192.168.0.0/16", mtu: 1300 }, { dst: "::/0" }];
const DNS = { nameservers: ["10.1.0.1"], search: ["a.example"] };

/** One line a case: the keys of bridge's configuration, and what goes with them. */
const CASES: [what: string, keys: object, call?: PluginCall][] = [
  ["host-local", leased(range("10.1.0.0/24"))],
  [
    "host-local, two families",
    { isDefaultGateway: true, ...leased(range("10.1.0.0/24"), range("fd01::/64")) },
  ],
  ["host-local, 0.2.0", { cniVersion: "0.2.0", ...leased(range("10.1.0.0/24")) }],
  ["host-local, 0.4.0", { cniVersion: "0.4.0", ...leased(range("10.1.0.0/24")) }],
  ["host-local, no version", { cniVersion: undefined, ...leased(range("10.1.0.0/24")) }],
  [
    "host-local, a requested address",
    { ...leased(range("10.1.0.0/24")), runtimeConfig: { ips: ["10.1.0.99"] } },
  ],
  [
    "host-local, CNI_ARGS",
    leased(range("10.1.0.0/24")),
    { args: "IgnoreUnknown=1;IP=10.1.0.77;K8S_POD_NAME=a" },
  ],
  ["host-local, a MAC in CNI_ARGS", leased(range("10.1.0.0/24")), { args: "MAC=02:00:00:00:00:01" }],
  [
    "host-local, a folder of its own",
    { ipam: { type: "host-local", subnet: "10.1.0.0/24", dataDir: "/run/cni/leases" } },
  ],
  ["static", { isGateway: true, ...fixed("10.1.0.5/24", "fd01::5/64") }],
  ["static, 0.3.1", { cniVersion: "0.3.1", ...fixed("10.1.0.5/24") }],
  [
    "static, routes and dns",
    { ipam: { ...fixed("10.1.0.5/24", "fd01::5/64").ipam, routes: ROUTES, dns: DNS }, isGateway: true },
  ],
  ["static, dns of the network", { ...fixed("10.1.0.5/24"), dns: DNS }],
  ["keys that bridge does not know", { ...leased(range("10.1.0.0/24")), vendor: { deep: [1, { x: null }] } }],
  // refused by the delegate
  ["no range", leased()],
  ["host bits", leased(range("10.1.0.7/24"))],
  ["overlap", leased(range("10.1.0.0/24"), range("10.1.0.0/16"))],
  ["a request outside", { ...leased(range("10.1.0.0/24")), runtimeConfig: { ips: ["10.7.0.1"] } }],
  ["the gateway", { ...leased(range("10.1.0.0/24")), runtimeConfig: { ips: ["10.1.0.1"] } }],
  [
    "two of a family in 0.2.0",
    { cniVersion: "0.2.0", ...leased(range("10.1.0.0/24"), range("10.2.0.0/24")) },
  ],
  ["an address that is none", fixed("10.1.0.5")],
  ["no address", { ipam: { type: "static" } }],
  ["a wrong type", { ipam: { type: "host-local", ranges: "x" } }],
  [
    "a resolvConf that is not there",
    { ipam: { type: "host-local", subnet: "10.1.0.0/24", resolvConf: "/nope" } },
  ],
];

const twins = { inside: await makeHost(t, "inside"), executed: await makeHost(t, "executed") };
for (const host of Object.values(twins)) await host.container("c1");

/** The same call on both hosts, where IPAM is called in process, and executed. */
async function both(command: string, keys: object, call: PluginCall = {}) {
  const config = plainConfig("bridge", { name: "net", ...keys });
  const ask = (host: Host, path: string) =>
    // made above
    host.cni("bridge", { command, config, path, container: host.containers.get("c1") as never, ...call });
  const [inside, executed] = await Promise.all([
    ask(twins.inside, BUILT_PLUGINS),
    ask(twins.executed, COPIES),
  ]);
  return { inside, executed };
}

/** What is told apart: all but the MACs and the host's names of veths, which chance gave. */
function comparable({ code, stderr, stdout }: PluginOutcome): object {
  const text = stdout.replace(/veth[0-9a-f]+/g, "veth").replace(/"mac": "[^"]*"/g, '"mac": ""');
  return { code, stderr, stdout: text.replaceAll(COPIES, BUILT_PLUGINS) };
}

await t.test("an IPAM plugin that is ours answers the same in process and executed", async (t) => {
  for (const [what, keys, call] of CASES) {
    const added = await both("ADD", keys, call);
    t.strictSame(comparable(added.inside), comparable(added.executed), `ADD: ${what}`);
    const { cniVersion = "0.1.0" } = plainConfig("bridge", keys) as { cniVersion?: string }; // it has one
    if (added.inside.result && cniVersion > "0.4") {
      const checked = await both("CHECK", { ...keys, prevResult: added.inside.result }, call);
      // on the other host the MACs are others, so that CHECK says which
      t.equal(checked.inside.code, 0, `CHECK: ${what}`);
      const own = await both("CHECK", { ...keys, prevResult: added.executed.result }, call);
      t.equal(own.executed.code, 0, `CHECK, executed: ${what}`);
    }
    const deleted = await both("DEL", keys, call);
    t.strictSame(comparable(deleted.inside), comparable(deleted.executed), `DEL: ${what}`);
    if (added.inside.result) silent(t, deleted.inside, `DEL says nothing: ${what}`);
  }
  const [inside, executed] = [await twins.inside.snapshot(), await twins.executed.snapshot()];
  t.strictSame(
    differences(leasesOf(inside.files), leasesOf(executed.files)),
    [],
    "the same leases, and the same cursors",
  );
});

/**
 * The lease folder as it is shared with other plugins: not our index, which is made again when it is missing.
 */
function leasesOf(files: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(files).filter(([path]) => !path.startsWith("/run/weft/")));
}

await t.test("a pool with no address left", async (t) => {
  const keys = { name: "small", bridge: "cni7", ...leased(ONE_LEFT) };
  const other = { ifname: "eth7", containerId: "c7" };
  await both("ADD", keys);
  const { inside, executed } = await both("ADD", keys, other);
  const msg = "failed to allocate for range 0: no IP addresses available in range set: 10.1.0.2-10.1.0.2";
  refused(t, inside, { msg }, "in process");
  t.strictSame(comparable(inside), comparable(executed), "executed");
  const status = await both("STATUS", keys);
  refused(t, status.inside, { code: 50, msg: /10\.1\.0\.2-10\.1\.0\.2/ }, "STATUS");
  t.strictSame(comparable(status.inside), comparable(status.executed), "STATUS, executed");
  const collected = await both("GC", { ...keys, "cni.dev/valid-attachments": [] });
  silent(t, collected.inside, "GC");
  silent(t, collected.executed, "GC, executed");
  const again = await both("ADD", keys, other);
  t.match(again.inside, { code: 0 }, "the address is free again");
  t.match(again.executed, { code: 0 });
  await both("DEL", keys, other);
});

await t.test("only what is not ourselves is executed", async (t) => {
  const strace = await twins.inside.exec("sh", ["-c", "command -v strace"], { reject: false });
  if (strace.exitCode !== 0) return t.plan(0, "no strace here");
  const executions = async (host: Host, path: string) => {
    const under = [
      "strace",
      "-f",
      "-qq",
      "-e",
      "trace=execve",
      "-e",
      "status=successful",
      "-o",
      "/run/trace",
    ];
    const call = { config: plainConfig("bridge", leased(range("10.1.0.0/24"))), path, under };
    const { code } = await host.cni("bridge", { command: "STATUS", ...call });
    t.equal(code, 0);
    const trace = readFileSync(host.view("/run/trace"), "utf8");
    return [...trace.matchAll(/execve\("([^"]+)"/g)].map(([, file = ""]) => file);
  };
  const self = join(BUILT_PLUGINS, "bridge");
  t.strictSame(await executions(twins.inside, BUILT_PLUGINS), [self], "the same inode: no other process");
  const copy = join(COPIES, "host-local");
  t.strictSame(await executions(twins.executed, COPIES), [self, copy], "a copy");
  const first = `/nope:${COPIES}:${BUILT_PLUGINS}`;
  t.strictSame(await executions(twins.executed, first), [self, copy], "the first on CNI_PATH");
  t.strictSame(await executions(twins.inside, `${BUILT_PLUGINS}:${COPIES}`), [self]);
  await twins.inside.exec("mkdir", ["-p", "/run/links"]);
  await twins.inside.exec("ln", ["-s", join(BUILT_PLUGINS, "host-local"), "/run/links/host-local"]);
  t.strictSame(await executions(twins.inside, "/run/links"), [self], "a symbolic link to ourselves");
});

await t.test("the reference host-local 1.1.1", async (t) => {
  const [reference] = await referencePlugins();
  if (reference === undefined || reference.missing) return t.plan(0, reference?.missing ?? "none");
  const host = await makeHost(t);
  const container = await host.container("c1");
  const keys = { isGateway: true, ...leased(range("10.1.0.0/24"), range("fd01::/64")) };
  const config = plainConfig("bridge", { cniVersion: "1.0.0", ...keys });
  const theirs = { config, container, path: reference.dir };
  const ours = { config, container, path: BUILT_PLUGINS };
  const ips = (octet: number) => [
    { interface: 2, address: `10.1.0.${octet}/24`, gateway: "10.1.0.1" },
    { interface: 2, address: `fd01::${octet}/64`, gateway: "fd01::1" },
  ];
  for (const [octet, add, del] of [
    [2, theirs, theirs],
    [3, ours, theirs],
    [4, theirs, ours],
    [5, ours, ours],
  ] as const) {
    const added = await host.cni("bridge", { command: "ADD", ...add });
    t.strictSame(added.result?.ips, ips(octet), `ADD, and the cursor is the other's: ${octet}`);
    const checked = { ...config, prevResult: added.result };
    silent(t, await host.cni("bridge", { command: "CHECK", ...del, config: checked }), "CHECK by the other");
    silent(t, await host.cni("bridge", { command: "DEL", ...del }), "DEL by the other");
    const { files } = await host.snapshot();
    t.notOk(`/var/lib/cni/networks/net/10.1.0.${octet}` in files, "released");
  }
  const before = normalise(await host.snapshot());
  const newer = plainConfig("bridge", { cniVersion: "1.1.0", ...keys });
  const outcome = await host.cni("bridge", { command: "ADD", ...theirs, config: newer });
  const details = /config is "1\.1\.0", plugin supports \["0\.1\.0".*"1\.0\.0"\]/;
  refused(t, outcome, { code: 1, msg: "incompatible CNI versions", details }, "a version it does not speak");
  await unchanged(t, host, before, "nothing changed");
});

const FOLDER = "/run/foreign";
/** An IPAM plugin that is a shell script, on a host. It keeps the commands it was given. */
class Foreign {
  readonly file: string;
  readonly #log: string;

  constructor(host: Host) {
    mkdirSync(host.view(FOLDER), { recursive: true });
    this.file = host.view(`${FOLDER}/foreign`);
    this.#log = host.view(`${FOLDER}/commands`);
  }

  does(script: string): void {
    this.is(`#!/bin/sh\ncat > /dev/null\necho $CNI_COMMAND >> ${FOLDER}/commands\n${script}\n`);
  }

  is(text: string, mode = 0o755): void {
    writeFileSync(this.file, text);
    chmodSync(this.file, mode);
    writeFileSync(this.#log, "");
  }

  /** The commands since it was last changed or asked. */
  commands(): string[] {
    const commands = readFileSync(this.#log, "utf8").split("\n").filter(Boolean);
    writeFileSync(this.#log, "");
    return commands;
  }

  call(keys: object): PluginCall {
    return { config: plainConfig("bridge", { ipam: { type: "foreign" }, ...keys }), path: FOLDER };
  }
}

const ERROR = '{"cniVersion":"1.0.0","code":11,"msg":"not now","details":"ask later"}';

/** One line a case: what the script does after it has read stdin, and what bridge's ADD says. */
const FAILURES: [what: string, script: string, wanted: { code?: number; msg: RegExp; details?: RegExp }][] = [
  ["text", "echo garbage", { msg: /foreign/, details: /garbage/ }],
  ["nothing", "true", { msg: /foreign/ }],
  ["a list", "echo '[]'", { msg: /foreign/ }],
  ["two documents", "echo '{} {}'", { msg: /foreign/ }],
  ["no address", "echo '{}'", { msg: /^IPAM plugin returned missing IP config$/ }],
  [
    "an address that is none",
    `echo '{"ips": [{"address": "10.1.0.5"}]}'`,
    { msg: /foreign/, details: /10\.1\.0\.5/ },
  ],
  [
    "a version that is none",
    `echo '{"cniVersion": "9.9.9", "ips": []}'`,
    { msg: /foreign/, details: /9\.9\.9/ },
  ],
  ["an error", `echo '${ERROR}'; exit 1`, { code: 11, msg: /^not now$/, details: /^ask later$/ }],
  ["an error, and another status", `echo '${ERROR}'; exit 7`, { code: 11, msg: /^not now$/ }],
  ["an error of its own kind", `echo '{"code": 123, "msg": "mine"}'; exit 1`, { code: 123, msg: /^mine$/ }],
  ["a status alone", "exit 3", { msg: /foreign.*3/s }],
  ["a status, and text", "echo why; exit 3", { msg: /foreign/, details: /why/ }],
  ["SIGKILL", "kill -KILL $$", { msg: /foreign.*SIGKILL/s }],
  [
    "SIGSEGV, with a result",
    `echo '{"ips": [{"address": "10.1.0.5/24"}]}'; kill -SEGV $$`,
    { msg: /SIGSEGV/ },
  ],
];

await t.test("a foreign IPAM plugin that fails", async (t) => {
  const host = await makeHost(t);
  const container = await host.container("c1");
  const foreign = new Foreign(host);
  const before = normalise(await host.snapshot());
  const add = (keys: object = {}) => host.cni("bridge", { command: "ADD", container, ...foreign.call(keys) });
  for (const [what, script, wanted] of FAILURES) {
    foreign.does(`[ $CNI_COMMAND = DEL ] || { ${script}; }`);
    refused(t, await add(), wanted, what);
    t.strictSame(foreign.commands(), ["ADD", "DEL"], `${what}: its DEL follows`);
  }
  for (const [what, text, mode, details] of [
    ["not executable", "#!/bin/sh\n", 0o644, /EACCES|permission denied/i],
    ["no program", "\x7fELFnot", 0o755, /ENOEXEC|exec format error/i],
    ["no interpreter", "#!/nope/sh\n", 0o755, /ENOENT|no such file/i],
  ] as const) {
    foreign.is(text, mode);
    refused(t, await add(), { msg: /foreign/, details }, what);
  }
  await unchanged(t, host, before, "nothing is left of any");
});

await t.test("a foreign IPAM plugin that works", async (t) => {
  const host = await makeHost(t);
  const container = await host.container("c1");
  const foreign = new Foreign(host);
  const answer = `echo '{"ips": [{"address": "10.1.0.5/24"}]}'`;
  const works = async (test: Test, keys: object, what: string, cniVersion = "1.1.0") => {
    const call = { container, ...foreign.call({ cniVersion, ...keys }) };
    const added = await host.cni("bridge", { command: "ADD", ...call });
    const { code, result, stdout } = added;
    test.match(
      { code, result },
      { code: 0, result: { cniVersion, ips: [{ address: "10.1.0.5/24" }] } },
      what,
      { stdout },
    );
    silent(test, await host.cni("bridge", { command: "DEL", ...call }), `${what}: DEL`);
    test.strictSame(foreign.commands(), ["ADD", "DEL"]);
  };
  foreign.does(answer);
  await works(t, {}, "a result without a version has the configuration's");
  foreign.does(
    `echo '{"cniVersion": "0.4.0", "ips": [{"version": "4", "address": "10.1.0.5/24"}], "dns": {}}'`,
  );
  await works(t, {}, "a result of an older version");
  foreign.does(`echo '{"cniVersion": "0.2.0", "ip4": {"ip": "10.1.0.5/24"}, "dns": {}}'`);
  await works(t, {}, "a result of the oldest version");
  foreign.does(`echo '{"cniVersion": "1.1.0", "ips": [{"address": "10.1.0.5/24"}]}'`);
  await works(t, {}, "a result of a newer version", "0.4.0");
  foreign.is(`#!/bin/sh\necho $CNI_COMMAND >> ${FOLDER}/commands\n${answer}\n`);
  await works(t, { padding: "x".repeat(5_000_000) }, "five megabytes of stdin that it does not read");
  foreign.does(`${answer}; head -c 3000000 /dev/zero | tr '\\0' ' '`);
  await works(t, {}, "three megabytes of answer");

  foreign.does(answer);
  const [taken, free] = [foreign.file, foreign.call({})];
  const writer = openSync(taken, "r+"); // nobody can execute it now: ETXTBSY
  const added = host.cni("bridge", { command: "ADD", container, ...free });
  await delay(1_200);
  closeSync(writer);
  t.match(
    await added,
    { code: 0, result: { ips: [{ address: "10.1.0.5/24" }] } },
    "a file that is being written",
  );
  silent(t, await host.cni("bridge", { command: "DEL", container, ...free }), "DEL");
});
