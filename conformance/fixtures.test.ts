/** The ground the other cases stand on does what it says, and leaves nothing behind, however a test ends. */
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { execa } from "execa";
import t, { type Test } from "tap";
import { type Host, makeHost } from "./fixtures/host.ts";
import { has, IN_SECOND_KERNEL, missing, skip } from "./fixtures/kernel.ts";
import { firstLine } from "./fixtures/lines.ts";
import { differences, normalise } from "./fixtures/normalise.ts";
import { PROJECT } from "./fixtures/project.ts";
import { connectSwitch } from "./fixtures/wiring.ts";

const DEBIAN_PLUGINS = "/usr/lib/cni";
const GONE_TIMEOUT_MS = 10_000;

await t.test("makeHost() gives an empty machine of its own", async (t) => {
  const real = realHost();
  const host = await makeHost(t);
  t.same(
    (await host.ip("link", "show")).map(({ ifname }) => ifname),
    ["lo"],
  );
  t.equal(await host.sysctl("net/ipv4/ip_forward"), "0");
  await host.exec("sh", ["-c", "mkdir -p /run/weft /var/lib/cni /etc/cni/net.d /opt/cni/bin"]);
  await host.exec("touch", ["/run/weft/x", "/var/lib/cni/x", "/etc/cni/net.d/x", "/opt/cni/bin/x"]);
  t.ok(existsSync(host.view("/run/weft/x")), "its files are seen from here through view()");
  t.same((await host.snapshot()).files, { "/run/weft/x": "" });
  t.same(realHost(), real, "and the real ones are as before");

  const twin = await makeHost(t);
  await twin.container("c1");
  await host.container("c1");
  t.notOk(existsSync(twin.view("/run/weft")), "another host has its own");
});

await t.test("Netns.ping() tells reached from not reached", async (t) => {
  const host = await makeHost(t);
  const { hostAddress4, hostAddress6, address4, address6, ...outside } = await host.outside({ mtu: 1400 });
  t.equal(outside.hostIfname, "uplink0");
  t.ok(await host.ping(address4));
  t.ok(await host.ping(address6));
  t.notOk(await host.ping("192.0.2.77"));
  t.notOk(await (await host.container("c1")).ping(hostAddress4), "network unreachable");
  t.ok(await host.ping(address4, { size: 1400 - 28, df: true, from: hostAddress4 }));
  t.notOk(await host.ping(address4, { size: 1400 - 27, df: true }));
  t.ok(await host.ping(address4, { size: 3000 }), "in fragments");
  t.ok(await host.ping(address6, { size: 1400 - 48, df: true, from: hostAddress6 }));
  await t.rejects(host.ping(address4, { from: "no-such-link" }), /ping 192.0.2.2 from host: exit 2: /);
});

await t.test("Netns.ask() gets an answer, and the name of the error when there is none", async (t) => {
  const host = await makeHost(t);
  const outside = await host.outside();
  for (const protocol of ["tcp", "udp"] as const) {
    const server = await outside.serve({ protocol, greeting: "outside: " });
    const to = { protocol, port: server.port };
    const answer4 = await host.ask({ ...to, address: outside.address4, from: { port: 4001 } });
    t.same(answer4, {
      error: undefined,
      text: "outside: hello",
      seenAddress: outside.hostAddress4,
      seenPort: 4001,
    });
    const answer6 = await host.ask({ ...to, address: outside.address6, message: "six" });
    t.match(answer6, { text: "outside: six", seenAddress: outside.hostAddress6 });
    await server.stop();
    t.equal((await host.ask({ ...to, address: outside.address4 })).error, "ECONNREFUSED", protocol);
    t.equal((await host.ask({ ...to, address: "192.0.2.77", timeoutMs: 100 })).error, "ETIMEDOUT", protocol);
  }
});

await t.test("Netns.askAll() has an answer for each question, in their order", async (t) => {
  const host = await makeHost(t);
  const outside = await host.outside();
  const servers = await outside.serveAll([
    { protocol: "tcp", greeting: "first: " },
    { protocol: "udp", greeting: "second: " },
  ]);
  const [first = 0, second = 0] = servers.ports;
  const answers = await host.askAll([
    { protocol: "udp", address: "192.0.2.77", port: second, timeoutMs: 300 },
    { protocol: "udp", address: outside.address6, port: second },
    { protocol: "tcp", address: outside.address4, port: first },
    { protocol: "tcp", address: outside.address4, port: 1 },
  ]);
  const told = answers.map(({ error, text }) => error ?? text);
  t.strictSame(told, ["ETIMEDOUT", "second: hello", "first: hello", "ECONNREFUSED"]);
  await servers.stop();
});

await t.test("Netns.capture() shows the frames of an interface", async (t) => {
  const host = await makeHost(t);
  const outside = await host.outside();
  const capture = await outside.capture("eth0", "icmp");
  await host.ping(outside.address4);
  const { address } = await host.link("uplink0");
  t.match(await capture.frame(/echo request/), new RegExp(`^${address} > .*192.0.2.1 > 192.0.2.2`));
  await t.rejects(capture.frame(/vlan 10/, 50), /No frame on outside0 eth0 matched .*vlan 10/);
  await capture.stop();
});

await t.test("connectSwitch() puts hosts on one wire", async (t) => {
  const hub = await makeHost(t, "hub");
  const [a, b] = [await makeHost(t, "a"), await makeHost(t, "b")];
  await connectSwitch(hub, [
    { host: a, addresses: ["10.8.0.1/24"] },
    { host: b, addresses: ["10.8.0.2/24", "fd08::2/64"] },
  ]);
  t.ok(await a.ping("10.8.0.2"));
  t.equal((await hub.link("port1")).master, "switch0");
});

await t.test("Host.cni() calls a plugin as a runtime does", async (t) => {
  if (!existsSync(join(DEBIAN_PLUGINS, "ptp"))) return skip(t, `no reference plugins in ${DEBIAN_PLUGINS}`);
  const lacks = await missing("veth");
  if (lacks) return skip(t, lacks);
  const host = await makeHost(t);
  const container = await host.container("c1");
  const before = normalise(await host.snapshot());
  const ipam = { type: "host-local", subnet: "10.9.0.0/24" };
  const config = { cniVersion: "1.0.0", name: "net", type: "ptp", ipam };
  const call = { dir: DEBIAN_PLUGINS, config, container };

  const added = await host.cni("ptp", { command: "ADD", ...call });
  t.match(added, { code: 0, error: undefined, result: { ips: [{ address: "10.9.0.2/24" }] } });
  t.ok(await container.ping("10.9.0.1"));
  const during = await host.snapshot();
  t.match(during.files["/var/lib/cni/networks/net/10.9.0.2"], /^c1-\S+\r\neth0$/);

  const bad = await host.cni("ptp", { command: "ADD", ...call, env: { CNI_NETNS: undefined } });
  t.match(bad, { code: 1, result: undefined, error: { code: 4, msg: /CNI_NETNS/ } });
  await t.rejects(host.cni("no-such-plugin", call), /Cannot run .*no-such-plugin/);

  t.equal((await host.cni("ptp", { command: "DEL", ...call })).code, 0);
  const left = differences(before, normalise(await host.snapshot()));
  t.notOk(
    left.some((line) => line.startsWith("networks.host.links")),
    "no link is left",
    { left },
  );
});

await t.test("normalise() makes twins equal, and differences() finds what is not", async (t) => {
  const [left, right] = [await makeHost(t), await makeHost(t)];
  await makeNetwork(left, "veth12345678");
  await makeNetwork(right, "veth87654321");
  const normal = normalise(await left.snapshot());
  t.same(differences(normal, normalise(await right.snapshot())), []);
  await right.exec("ip", ["link", "set", "br0", "mtu", "1450"]);
  await right.exec("ip", ["route", "add", "10.7.0.0/24", "via", "10.6.0.2"]);
  const lines = differences(normal, normalise(await right.snapshot()));
  t.equal(lines[0], "networks.host.links.br0.mtu: 1500 | 1450");
  t.match(lines[1], /^networks.host.routes4: nothing \| \{.*"dst":"10.7.0.0\/24"/);
  t.equal(lines.length, 2);
});

async function makeNetwork(host: Host, ifname: string): Promise<void> {
  // one more link first, so that the numbers are not the same
  if (ifname.endsWith("1")) await host.exec("ip", ["link", "add", "x0", "type", "bridge"]);
  const container = await host.container("c1");
  await host.exec("ip", ["link", "add", "br0", "type", "bridge"]);
  await host.exec("ip", ["link", "add", ifname, "type", "veth", "peer", "name", "eth0", "netns", "c1"]);
  await host.exec("ip", ["link", "set", ifname, "master", "br0", "up"]);
  await host.exec("ip", ["link", "set", "br0", "up"]);
  await host.exec("ip", ["address", "add", "10.6.0.1/24", "dev", "br0"]);
  await container.exec("ip", ["link", "set", "eth0", "up"]);
  await container.exec("ip", ["address", "add", "10.6.0.2/24", "dev", "eth0"]);
  if (ifname.endsWith("1")) await host.exec("ip", ["link", "delete", "x0"]);
}

await t.test("has() asks the kernel", async (t) => {
  t.ok(await has("veth"));
  t.equal(await missing("veth", "bridge"), undefined);
});

for (const [how, end] of [
  ["throw", "a thrown failure"],
  ["SIGINT", "SIGINT"],
  ["SIGKILL", "SIGKILL"],
] as const) {
  await t.test(`nothing is left after ${end}`, async (t) => {
    if (IN_SECOND_KERNEL) return skip(t, "the scenario is TypeScript, transpiled on the outside only");
    const real = realHost();
    const loader = join(PROJECT, "conformance", "typescript.mjs");
    const scenario = join(PROJECT, "conformance", "fixtures", "abandoned.ts");
    const child = execa(process.execPath, [`--import=${loader}`, scenario, how], {
      reject: false,
      env: { TAP: "1" },
    });
    const line = await firstLine(child.stdout, { matching: /made \{/, timeoutMs: 20_000 });
    const { pid, namespaces } = JSON.parse(line?.replace(/.*made /, "") ?? "{}");
    t.ok(namespaces.length === 2 && existsSync(`/proc/${pid}`), "it was there", { line });
    if (how !== "throw") child.kill(how);
    t.not((await child).exitCode, 0);
    await gone(t, pid, namespaces);
    t.same(realHost(), real);
  });
}

/** Waits until the process and everyone in its namespaces are gone. */
async function gone(t: Test, pid: number, namespaces: string[]): Promise<void> {
  const deadline = Date.now() + GONE_TIMEOUT_MS;
  const left = () => (existsSync(`/proc/${pid}`) ? [pid] : membersOf(namespaces));
  while (left().length > 0 && Date.now() < deadline) await delay(20);
  t.same(left(), [], "no process is left in them");
}

function membersOf(namespaces: string[]): string[] {
  return readdirSync("/proc").filter((entry) => {
    try {
      return /^\d+$/.test(entry) && namespaces.includes(readlinkSync(`/proc/${entry}/ns/net`));
    } catch {
      return false; // ended meanwhile
    }
  });
}

/** What a fixture could have touched of the real machine. */
function realHost(): Record<string, unknown> {
  const folders = ["/run/netns", "/run/weft", "/var/lib/cni", "/etc/cni", "/opt/cni"];
  const files = folders.map((path) =>
    existsSync(path) ? readdirSync(path, { recursive: true }).sort() : undefined,
  );
  const mounts = readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .filter((line) => /weft|netns/.test(line));
  return { files, mounts, links: readdirSync("/sys/class/net").sort() };
}
