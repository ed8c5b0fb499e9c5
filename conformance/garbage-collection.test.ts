/**
 * GC: what is missing from the list goes, of this network
 * alone; without a list nothing does. CNI spec 1.1 §4 GC.
 */
import t, { type Test } from "tap";
import { type Host, makeHost } from "./fixtures/host.ts";
import { normalise } from "./fixtures/normalise.ts";
import { PLUGINS, plainCall, plainConfig } from "./fixtures/plain-call.ts";
import { refused, silent, unchanged } from "./fixtures/refusal.ts";

const KEY = "cni.dev/valid-attachments";
const LEASES = "/var/lib/cni/networks";

/** The leases of a network: address → content. */
async function leasesOf(host: Host, network: string): Promise<Record<string, string>> {
  const { files } = await host.snapshot();
  const mine = Object.entries(files).filter(([path]) => path.startsWith(`${LEASES}/${network}/`));
  const named = mine.map(([path, text]): [string, string] => [path.slice(path.lastIndexOf("/") + 1), text]);
  return Object.fromEntries(named.filter(([name]) => /^[0-9a-f.:]+$/.test(name)));
}

async function lease(t: Test, host: Host, name: string, containerId: string, ifname = "eth0"): Promise<void> {
  const call = plainCall("host-local", "ADD", {
    config: plainConfig("host-local", { name }),
    containerId,
    ifname,
  });
  t.match(await host.cni("host-local", call), { code: 0 }, `ADD ${name} ${containerId} ${ifname}`);
}

function collect(host: Host, keys: object) {
  return host.cni("host-local", plainCall("host-local", "GC", { config: plainConfig("host-local", keys) }));
}

await t.test("host-local keeps what is valid", async (t) => {
  const host = await makeHost(t);
  await lease(t, host, "net", "c1");
  await lease(t, host, "net", "c1", "eth1");
  await lease(t, host, "net", "c2");
  await lease(t, host, "other", "c1");
  const all = {
    "10.1.0.2": "c1\r\neth0",
    "10.1.0.3": "c1\r\neth1",
    "10.1.0.4": "c2\r\neth0",
  };
  t.strictSame(await leasesOf(host, "net"), all);
  const before = normalise(await host.snapshot());

  silent(t, await collect(host, {}), "no list");
  silent(t, await collect(host, { [KEY]: null }), "null for a list");
  silent(t, await collect(host, { "cni.dev/attachments": [] }), "a list of another name");
  const malformed: [what: string, list: unknown, named: RegExp][] = [
    ["a string", "c1", /valid-attachments/],
    ["an object", {}, /valid-attachments/],
    ["a list of strings", ["c1"], /valid-attachments/],
    ["a list of nothing", [null], /valid-attachments/],
    ["an empty entry", [{}], /containerID/],
    ["no ifname", [{ containerID: "c1" }], /ifname/],
    ["no containerID", [{ ifname: "eth0" }], /containerID/],
    ["a number", [{ containerID: 1, ifname: "eth0" }], /containerID/],
    ["an empty name", [{ containerID: "c1", ifname: "" }], /ifname/],
    ["one bad among good", [{ containerID: "c1", ifname: "eth0" }, { containerID: "c2" }], /ifname/],
  ];
  for (const [what, list, msg] of malformed)
    refused(t, await collect(host, { [KEY]: list }), { code: 7, msg }, what);
  await unchanged(t, host, before, "nothing was collected");

  const c1 = { containerID: "c1", ifname: "eth0" };
  const c2 = { containerID: "c2", ifname: "eth0", extra: true };
  silent(t, await collect(host, { "CNI.DEV/Valid-Attachments": [c1, c2] }), "two are valid");
  const { "10.1.0.3": _, ...two } = all;
  t.strictSame(await leasesOf(host, "net"), two, "the third goes");
  silent(
    t,
    await collect(host, { [KEY]: [c1, { containerID: "gone", ifname: "eth0" }] }),
    "one and a stranger",
  );
  t.strictSame(await leasesOf(host, "net"), { "10.1.0.2": "c1\r\neth0" });
  silent(t, await collect(host, { [KEY]: [] }), "an empty list");
  t.strictSame(await leasesOf(host, "net"), {}, "everything goes");
  t.strictSame(await leasesOf(host, "other"), { "10.1.0.2": "c1\r\neth0" }, "of this network");
  const { files } = await host.snapshot();
  t.equal(files[`${LEASES}/net/last_reserved_ip.0`], "10.1.0.4", "the cursor stays");
  silent(t, await collect(host, { [KEY]: [] }), "again");
  silent(t, await collect(host, { name: "unheard-of", [KEY]: [] }), "a network that never was");
});

await t.test("host-local knows the leases of older plugins, and those of others", async (t) => {
  const host = await makeHost(t);
  await lease(t, host, "net", "c1");
  const write = (file: string, text: string) =>
    host.exec("sh", ["-c", 'printf "$1" > "$2"', "sh", text, `${LEASES}/net/${file}`]);
  await write("10.1.0.20", "c1"); // up to 0.7: the container alone
  await write("10.1.0.21", "c9");
  await write("10.1.0.22", "");
  await write("fd00::5", "c9\\r\\neth0");
  await write("notes.txt", "not ours");
  silent(t, await collect(host, { [KEY]: [{ containerID: "c1", ifname: "eth0" }] }), "GC");
  const left = await leasesOf(host, "net");
  t.strictSame(left, { "10.1.0.2": "c1\r\neth0", "10.1.0.20": "c1" }, "c1 has both of its addresses");
  const { files } = await host.snapshot();
  t.equal(files[`${LEASES}/net/notes.txt`], "not ours", "what is no lease stays");
});

await t.test("bridge collects links, leases and records, of this network", async (t) => {
  const host = await makeHost(t);
  const ipam = (subnet: string) => ({ ipam: { type: "host-local", ranges: [[{ subnet }]] } });
  const net = { isGateway: true, ...ipam("10.1.0.0/24") };
  const other = { name: "other", bridge: "cni1", ...ipam("10.2.0.0/24") };
  const containers = [];
  for (const name of ["c1", "c2", "c3"]) {
    const container = await host.container(name);
    containers.push(container);
    const added = await host.cni("bridge", { command: "ADD", container, config: plainConfig("bridge", net) });
    t.match(added, { code: 0 }, `ADD ${name}`);
  }
  const [c1, c2, c3] = containers;
  if (!c1 || !c2 || !c3) throw new Error("three were made");
  const second = { command: "ADD", container: c1, ifname: "eth1", config: plainConfig("bridge", other) };
  t.match(await host.cni("bridge", second), { code: 0 }, "c1 is on the other network as well");
  await host.exec("ip", ["link", "add", "foreign0", "type", "veth", "peer", "name", "foreign1"]);
  await host.exec("ip", ["link", "set", "foreign0", "master", "cni0"]);
  await c3.remove(); // its link goes with it, its lease does not

  const gc = (list: unknown) =>
    host.cni("bridge", plainCall("bridge", "GC", { config: plainConfig("bridge", { ...net, [KEY]: list }) }));
  const ports = async () =>
    (await host.ip("link", "show", "master", "cni0"))
      .map(({ ifname }) => ifname.replace(/^veth.+/, "veth"))
      .sort();
  const before = normalise(await host.snapshot());
  silent(t, await gc(undefined), "no list");
  refused(t, await gc([{ containerID: "c1" }]), { code: 7, msg: /ifname/ }, "a list that is none");
  await unchanged(t, host, before, "nothing was collected");

  silent(t, await gc([{ containerID: c1.containerId, ifname: "eth0" }]), "c1 is valid");
  t.strictSame(await ports(), ["foreign0", "veth"], "one port of ours, and that of others");
  t.strictSame(Object.values(await leasesOf(host, "net")), [`${c1.containerId}\r\neth0`]);
  t.strictSame(Object.values(await leasesOf(host, "other")), [`${c1.containerId}\r\neth1`]);
  t.ok(await c1.ping("10.1.0.1"), "c1 still works");
  t.notOk(
    (await c2.ip("link", "show")).some(({ ifname }) => ifname === "eth0"),
    "c2 has lost its interface",
  );
  t.ok(await c1.link("eth1"), "the other network's is still there");

  silent(t, await gc([]), "nothing is valid");
  t.strictSame(await ports(), ["foreign0"], "the port of others stays, and so does the bridge");
  t.strictSame(await leasesOf(host, "net"), {});
  const { files } = await host.snapshot();
  const records = Object.keys(files).filter((path) => path.startsWith("/run/weft/attachments/"));
  t.strictSame(
    records.map((path) => path.split("/")[4]),
    ["other"],
    "records of this network are gone",
  );
});

await t.test("bridge goes on when IPAM fails, and says so", async (t) => {
  const host = await makeHost(t);
  const container = await host.container("c1");
  await host.cni("bridge", { command: "ADD", container, config: plainConfig("bridge") });
  await host.exec("ip", [
    "link",
    "add",
    "foreign0",
    "master",
    "cni0",
    "type",
    "veth",
    "peer",
    "name",
    "foreign1",
  ]);
  const config = plainConfig("bridge", { ipam: { type: "nosuch" }, [KEY]: [] });
  const failed = await host.cni("bridge", plainCall("bridge", "GC", { config }));
  refused(t, failed, { msg: /^failed to find plugin "nosuch" in path/ }, "GC");
  const ports = await host.ip("link", "show", "master", "cni0");
  t.strictSame(
    ports.map(({ ifname }) => ifname),
    ["foreign0"],
  );
});

await t.test("loopback and static own nothing that could be left", async (t) => {
  const host = await makeHost(t);
  const container = await host.container("c1");
  for (const plugin of ["loopback", "static"] as const)
    await host.cni(plugin, plainCall(plugin, "ADD", { container }));
  const before = normalise(await host.snapshot());
  for (const plugin of ["loopback", "static"] as const) {
    const config = plainConfig(plugin, { [KEY]: [] });
    silent(t, await host.cni(plugin, plainCall(plugin, "GC", { config })), plugin);
  }
  await unchanged(t, host, before, "lo stays up");
});

await t.test("STATUS changes nothing", async (t) => {
  const host = await makeHost(t);
  const before = normalise(await host.snapshot());
  for (const plugin of PLUGINS) silent(t, await host.cni(plugin, plainCall(plugin, "STATUS")), plugin);
  const pooled = { isGateway: true, ipam: { type: "host-local", ranges: [[{ subnet: "10.1.0.0/30" }]] } };
  const call = plainCall("bridge", "STATUS", { config: plainConfig("bridge", pooled) });
  silent(t, await host.cni("bridge", call), "bridge with host-local");
  await unchanged(t, host, before, "no bridge, no directory, no file");

  const config = plainConfig("host-local", { ipam: pooled.ipam });
  for (const ifname of ["eth0"])
    t.match(await host.cni("host-local", plainCall("host-local", "ADD", { config, ifname })), { code: 0 });
  const full = await host.cni("host-local", plainCall("host-local", "STATUS", { config }));
  refused(t, full, { code: 50, msg: /10\.1\.0\./ }, "a pool with no address left");
  refused(t, await host.cni("bridge", call), { code: 50, msg: /10\.1\.0\./ }, "and the bridge that asks it");
  const nosuch = plainCall("bridge", "STATUS", {
    config: plainConfig("bridge", { ipam: { type: "nosuch" } }),
  });
  refused(
    t,
    await host.cni("bridge", nosuch),
    { code: 50, msg: /nosuch/ },
    "an IPAM plugin that is not there",
  );
  await host.exec("ip", ["link", "add", "cni0", "type", "veth", "peer", "name", "x0"]);
  const taken = await host.cni("bridge", plainCall("bridge", "STATUS"));
  refused(t, taken, { code: 50, msg: /cni0/ }, "a bridge that is none");
});
