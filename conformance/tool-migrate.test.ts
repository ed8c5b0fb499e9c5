/**
 * `weft migrate`: a running node goes from the reference plugins to weft's and back. Connections that were
 * made before go on, through every change; new ones are made all the time, and none fails.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { diagnose } from "./fixtures/doctor-stage.ts";
import { filterState } from "./fixtures/filter-state.ts";
import { type Host, makeHost } from "./fixtures/host.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { firstLine } from "./fixtures/lines.ts";
import { BUILT_PLUGINS } from "./fixtures/project.ts";
import type { Running } from "./fixtures/running.ts";
import type { Outside } from "./fixtures/wiring.ts";
import { type Reference, referencePlugins } from "./reference.ts";

const TIMEOUT_MS = 240_000;
t.setTimeout(4 * TIMEOUT_MS);
const WEFT = join(BUILT_PLUGINS, "weft");
const DIRECTORY = "/opt/cni/bin";
/** Where containerd looks: weft plays the runtime, and takes what is there. */
const RUNTIME = { CNI_PATH: DIRECTORY };
const PYTHON = "/usr/bin/python3";
const PORT = 80;
const HOST_PORT = 8080;
const OUTSIDE_PORT = 7000;
/** Its presence ends all clients. */
const STOP = "/run/stop";
const lacks = await missing("bridge", "br_netfilter", "nf_tables");

/** Answers each byte with itself. */
const SERVER = `
import socket, socketserver, sys
class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(64): self.request.sendall(data)
class Server(socketserver.ThreadingTCPServer):
    address_family, allow_reuse_address, daemon_threads = socket.AF_INET6, True, True
server = Server(("::", int(sys.argv[1])), Echo)
print("ready", flush=True)
server.serve_forever()
`;

/** One connection, or one after the other, and what became of them. */
const CLIENT = `
import os, socket, sys, time
mode, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
def connect():
    made = socket.create_connection((address, port), timeout=2)
    made.settimeout(5)
    return made
def ask(connection):
    connection.sendall(b"x")
    if connection.recv(1) != b"x": raise OSError("closed")
count, held = 0, connect()
ask(held)
print("ready", flush=True)
while count < 20 or not os.path.exists("${STOP}"):
    if mode == "again":
        held.close()
        held = connect()
    ask(held)
    count += 1
    time.sleep(0.02)
print("fine", flush=True)
`;

interface Way {
  readonly reference: Reference;
  readonly name: string;
  readonly cniVersion: string;
  /** Keys of bridge and of the others. */
  readonly keys?: { readonly bridge?: object; readonly portmap?: object; readonly firewall?: object };
  /** Before anything else. */
  readonly script?: string;
}

const WAYS: readonly Way[] = (await referencePlugins()).flatMap((reference): Way[] => {
  const own = { reference, cniVersion: reference.version === "1.9.1" ? "1.1.0" : "1.0.0" };
  const separate = { firewall: { ingressPolicy: "same-bridge" } };
  const ways: Way[] = [{ ...own, name: "same-bridge", keys: separate }];
  if (reference.version === "1.9.1") {
    return [...ways, { ...own, name: "nftables", keys: { bridge: { ipMasqBackend: "nftables" } } }];
  }
  const script = "iptables -P FORWARD DROP; ip6tables -P FORWARD DROP";
  return [...ways, { ...own, name: "a FORWARD that drops", script }];
});

function networkOf({ cniVersion, keys = {} }: Way): object {
  const ranges = ["10.9.0.0/24", "fd00:9::/64"].map((subnet) => [{ subnet }]);
  return {
    cniVersion,
    name: "front",
    plugins: [
      {
        type: "bridge",
        bridge: "br-front",
        isDefaultGateway: true,
        ipMasq: true,
        ipam: { type: "host-local", ranges },
        ...keys.bridge,
      },
      { type: "portmap", capabilities: { portMappings: true }, ...keys.portmap },
      { type: "firewall", ...keys.firewall },
      { type: "tuning", sysctl: { "net.core.somaxconn": "500" } },
    ],
  };
}

interface Stage {
  readonly host: Host;
  readonly outside: Outside;
}

async function makeStage(t: Test, way: Way): Promise<Stage> {
  const host = await makeHost(t);
  // the bridge of the reference plugins would wait for it
  await host.sysctl("net/ipv6/conf/default/dad_transmits", 0);
  const outside = await host.outside();
  const { dir } = way.reference;
  await host.exec("sh", [
    "-e",
    "-c",
    `mkdir -p /etc/cni/net.d ${DIRECTORY}; cp ${dir}/* ${DIRECTORY}; ${way.script ?? ":"}`,
  ]);
  writeFileSync(host.view("/etc/cni/net.d/10-front.conflist"), JSON.stringify(networkOf(way)));
  for (const name of ["web", "app"]) await host.container(name);
  await attach(host, "web", ["-p", `${HOST_PORT}:${PORT}/tcp`]);
  await attach(host, "app");
  return { host, outside };
}

async function attach(host: Host, name: string, words: readonly string[] = []): Promise<void> {
  await host.exec(WEFT, ["add", "front", name, ...words], { env: RUNTIME });
}

async function detach(host: Host, name: string): Promise<void> {
  await host.exec(WEFT, ["del", "front", name], { env: RUNTIME });
}

/** A program in one of the namespaces, once it says that it is ready. */
async function started(host: Host, place: string, words: readonly string[]): Promise<Running> {
  const running = host.start("ip", ["netns", "exec", place, PYTHON, "-c", ...words]);
  const ready = await firstLine(running.stdout, { timeoutMs: 10_000 });
  if (ready !== "ready")
    throw new Error(`${words.slice(1).join(" ")} in ${place}: ${(await running.ended).stderr}`);
  return running;
}

/** Every kind of way that the rules of a node have a say about, held and made anew. */
async function startClients(
  { host, outside }: Stage,
  { script }: Way,
): Promise<{ name: string; running: Running }[]> {
  await host.exec("rm", ["-f", STOP]);
  const ways = [
    { name: "outside to the published port", place: outside.name, to: [outside.hostAddress4, HOST_PORT] },
    {
      name: "outside to the published port, IPv6",
      place: outside.name,
      to: [outside.hostAddress6, HOST_PORT],
    },
    { name: "a container to the outside", place: "app", to: [outside.address4, OUTSIDE_PORT] },
    { name: "a container to its neighbour's port", place: "app", to: [outside.hostAddress4, HOST_PORT] },
    { name: "the host to its own port", place: "host", to: ["127.0.0.1", HOST_PORT] },
  ] as const;
  // where FORWARD drops, the reference's firewall accepts nothing that comes from outside
  const working = script === undefined ? ways : ways.filter(({ to }) => to[1] === OUTSIDE_PORT);
  const clients = working.flatMap(({ name, place, to }) =>
    (["held", "again"] as const).map(async (mode) => ({
      name: `${name}, ${mode}`,
      running: await started(host, place, [CLIENT, mode, ...to.map(String)]),
    })),
  );
  return Promise.all(clients);
}

async function showUncut(
  t: Test,
  { host }: Stage,
  clients: Awaited<ReturnType<typeof startClients>>,
  when: string,
) {
  await host.exec("touch", [STOP]);
  for (const { name, running } of clients) {
    const { stdout, stderr } = await running.ended;
    t.equal(stdout.trim().split("\n").at(-1), "fine", `${name}, ${when}: ${stderr.split("\n").at(-2) ?? ""}`);
  }
}

/** Tables, chains and rules that name an address or a container of this network. */
async function linesAbout(host: Host): Promise<string[]> {
  return (await filterState(host)).filter((line) => /10\.9\.0\.\d|fd00:9::|cnitool-/.test(line));
}

const migrate = (host: Host, ...words: string[]) =>
  host.exec(WEFT, ["migrate", ...words], { env: RUNTIME, reject: false });

for (const way of WAYS) {
  await t.test(`${way.reference.version}, ${way.name}`, { timeout: TIMEOUT_MS }, async (t) => {
    const lack = lacks ?? way.reference.missing;
    if (lack) return skip(t, lack);
    const stage = await makeStage(t, way);
    const { host, outside } = stage;
    await started(host, "web", [SERVER, String(PORT)]);
    await started(host, outside.name, [SERVER, String(OUTSIDE_PORT)]);
    const theirs = await linesAbout(host);
    const leases = await leasesOf(host);

    const before = await startClients(stage, way);
    const dry = await migrate(host, "--dry-run");
    t.match(
      dry,
      { exitCode: 0, stdout: /would exchange .*\/bridge\n[\s\S]*would take over web/ },
      "--dry-run tells",
    );
    t.same(await linesAbout(host), theirs, "and changes nothing");
    const forth = await migrate(host);
    t.match(forth, {
      exitCode: 0,
      stderr: "",
      stdout: /took over app.*\ntook over web .*: bridge, portmap, firewall\n$/,
    });
    t.match(await migrate(host), { exitCode: 0, stdout: "nothing to do\n" }, "again is nothing");
    await showUncut(t, stage, before, "while weft took over");
    t.same(await diagnose(host, { env: RUNTIME }), [], "the doctor finds nothing");
    t.same(await leasesOf(host), leases, "the leases are the same");
    for (const name of ["web", "app"]) {
      t.match(await host.exec(WEFT, ["check", "front", name], { env: RUNTIME }), { stdout: "", stderr: "" });
    }
    if (!way.script)
      t.notOk(
        (await linesAbout(host)).some((line) => /CNI-|cni_/.test(line)),
        "no rule is the reference's",
      );

    const between = await startClients(stage, way);
    await host.container("more");
    await attach(host, "more");
    await detach(host, "more");
    await showUncut(t, stage, between, "while containers come and go");

    const after = await startClients(stage, way);
    const back = await migrate(host, "--back");
    t.match(back, { exitCode: 0, stderr: "", stdout: /exchanged .*\/bridge\n[\s\S]*handed back web/ });
    await showUncut(t, stage, after, "while it was handed back");
    t.match(await host.exec("find", ["/run/weft/attachments", "-type", "f"], { reject: false }), {
      stdout: "",
    });
    const { stdout } = await host.exec("ls", ["-A", DIRECTORY]);
    t.notMatch(stdout, /vxlan|\.reference/, "weft's plugins are gone");
    t.same(
      (await linesAbout(host)).filter((line) => line.includes("weft")),
      [],
      "and its elements",
    );
    const ours = (await filterState(host)).filter((line) => line.includes("weft portmap"));
    t.same(ours, [], "and what the reference has not for published ports");
    for (const name of ["web", "app"]) await detach(host, name);
    t.same(await linesAbout(host), [], "the reference deletes what was handed back");
    t.same(await leasesOf(host), [], "and its leases");
  });
}

await t.test("what the reference cannot go on with", { timeout: TIMEOUT_MS }, async (t) => {
  const [reference] = await referencePlugins();
  const lack = lacks ?? reference?.missing;
  if (lack || !reference) return skip(t, lack ?? "no reference");
  const keys = { firewall: { icc: false } };
  const { host } = await makeStage(t, { reference, name: "icc", cniVersion: "1.0.0", keys });
  t.match(await migrate(host), { exitCode: 0 });
  const ours = await filterState(host);
  t.match(await migrate(host, "--back"), {
    exitCode: 1,
    stdout: "",
    stderr: /not all can be handed back\napp .*: the reference cannot go on with firewall's "icc": false\n/,
  });
  t.same(await filterState(host), ours, "nothing was changed");
});

async function leasesOf(host: Host): Promise<string[]> {
  const { stdout } = await host.exec(
    "sh",
    ["-c", "cd /var/lib/cni/networks/front && grep -c . [0-9f]*:* [0-9]*.*"],
    {
      reject: false,
    },
  );
  return stdout.split("\n").filter(Boolean).sort();
}
