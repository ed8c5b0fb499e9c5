/**
 * host-device, after ADD: the device comes back from wherever it is, whatever was lost meanwhile, by DEL, by
 * GC, by the next ADD, or because ADD failed. CNI spec 1.1 §4; plugins#1196, #766, #773.
 */
import t, { type Test } from "tap";
import { type Attachment, attach, type NetworkConfig } from "./fixtures/attachment.ts";
import type { Host } from "./fixtures/host.ts";
import {
  addDevice,
  claimsOf,
  DEVICE,
  deviceIn,
  deviceNetwork,
  FAR_END,
  makeStage,
  removeWithDevice,
  VALID,
} from "./fixtures/host-device.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { normalise } from "./fixtures/normalise.ts";
import type { PluginCall } from "./fixtures/plugin-call.ts";
import { type Refusal, refused, silent } from "./fixtures/refusal.ts";
import { remains } from "./fixtures/remains.ts";

const TIMEOUT_MS = 120_000;
t.setTimeout(6 * TIMEOUT_MS);
const lacks = await missing("veth");
if (lacks) {
  skip(t, lacks);
  process.exit();
}

const REMOVE_RECORDS = "rm -r /run/weft/attachments";

function run(name: string, act: (t: Test) => Promise<void>): Promise<unknown> {
  return t.test(name, { timeout: TIMEOUT_MS }, act);
}

function sh(host: Host, script: string) {
  return host.exec("sh", ["-e", "-c", script]);
}

interface Loss {
  readonly script?: string;
  /** How the runtime's DEL differs. */
  readonly call?: PluginCall;
  /** And its configuration. */
  readonly keys?: Record<string, unknown>;
  /** How the device differs when it is back: nobody knows more. */
  readonly back?: Partial<typeof DEVICE>;
}

/** What the alias alone tells. */
const BY_ALIAS = { up: false, ifalias: "", addresses: [] };

const LOSSES: readonly (readonly [what: string, Loss])[] = [
  ["all is there", {}],
  ["CNI_NETNS is empty", { call: { netns: "" } }],
  ["CNI_NETNS is another path", { call: { netns: "/run/netns/none" } }],
  ["the interface has another name", { script: "$c1 set eth0 down; $c1 set eth0 name eth7 up" }],
  ["the interface has no alias", { script: "$c1 set eth0 alias ''" }],
  ["it has another MAC", { script: "$c1 set eth0 address 02:00:00:00:00:78" }],
  ["it has another MAC and is down", { script: "$c1 set eth0 down; $c1 set eth0 address 02:00:00:00:00:78" }],
  ["it has another MTU", { script: "$c1 set eth0 mtu 1280" }],
  ["it is down", { script: "$c1 set eth0 down" }],
  ["its addresses are gone", { script: "ip -n c1 address flush dev eth0" }],
  ["the lease is gone", { script: "rm /var/lib/cni/networks/net/10.9.0.*" }],
  ["somebody brought it back", { script: `$c1 set eth0 netns host name ${DEVICE.ifname}` }],
  ["somebody brought it back as it is called there", { script: "$c1 set eth0 netns host" }],
  ["and set it up", { script: "$c1 set eth0 netns host; ip link set eth0 up" }],
  ["an address of it is another's", { script: `ip address add 10.7.0.1/24 dev ${FAR_END}` }],
  ["the configuration names no device", { keys: { device: "" } }],
  ["the configuration names another device", { keys: { device: "none0" } }],
  ["the configuration names two", { keys: { hwaddr: "02:00:00:00:00:99" } }],
  ["the record is gone", { script: REMOVE_RECORDS, back: BY_ALIAS }],
  [
    "the record is damaged",
    { script: "for it in /run/weft/attachments/net/*; do echo x > $it; done", back: BY_ALIAS },
  ],
  [
    "the record is gone, and the name is another's",
    { script: `${REMOVE_RECORDS}; ip link add ${DEVICE.ifname} type veth peer name other0` },
  ],
];

await run("DEL gives the device back, whatever was lost", async (t) => {
  const { host, container } = await makeStage(t);
  for (const [what, { script = "true", call = {}, keys = {}, back = {} }] of LOSSES) {
    const { config, result } = await attach(container, deviceNetwork());
    await sh(host, script.replaceAll("$c1", "ip -n c1 link"));
    const del = { command: "DEL", config: { ...config, prevResult: result, ...keys }, container, ...call };
    silent(t, await host.cni("host-device", del), what);
    const found = (await host.ip("address", "show")).find(({ address }) => address === DEVICE.address);
    const isRenamed = found?.ifname !== DEVICE.ifname;
    const other = what.startsWith("an address of it") ? { addresses: ["fd00:7::1/64"] } : {};
    if (isRenamed) t.match(found, { ifname: /^dev\d+$/, ifalias: DEVICE.ifname }, `${what}: another name`);
    else t.strictSame(await deviceIn(host), { ...DEVICE, ...back, ...other }, `${what}: it is as it was`);
    silent(t, await host.cni("host-device", del), `${what}: the second DEL`);
    t.strictSame(await claimsOf(host), [], `${what}: no lease, no record`);
    await sh(host, `ip link del ${FAR_END}; ip link del ${DEVICE.ifname} 2> /dev/null || true`);
    await addDevice(host);
  }
});

await run("a virtual device dies with its namespace, and its lease is released", async (t) => {
  const { host } = await makeStage(t);
  for (const netns of ["/run/netns/c1", ""]) {
    for (const script of ["true", REMOVE_RECORDS]) {
      const container = host.containers.get("c1") ?? (await host.container("c1"));
      const { config } = await attach(container, deviceNetwork());
      await sh(host, script);
      await removeWithDevice(container);
      const del = { command: "DEL", config, containerId: container.containerId, netns, ifname: "eth0" };
      silent(t, await host.cni("host-device", del), `DEL with CNI_NETNS "${netns}", ${script}`);
      t.strictSame(await claimsOf(host), [], "no lease, no record");
      await addDevice(host);
      silent(t, await host.cni("host-device", del), "DEL when there is another of the name");
      t.strictSame(await deviceIn(host), DEVICE, "which is none of its business");
    }
  }
});

await run("a device that was made anew is the next container's", async (t) => {
  const { host, container } = await makeStage(t);
  const first = await attach(container, deviceNetwork());
  await removeWithDevice(container);
  await addDevice(host); // as a script does, with the same name and MAC
  const second = await host.container("c2");
  const next = await attach(second, deviceNetwork());
  silent(t, await first.del(), "DEL of the first comes late");
  silent(t, await next.check(), "the second has its device");
  silent(t, await next.del(), "DEL");
  t.strictSame(await deviceIn(host), DEVICE);
  t.strictSame(await claimsOf(host), []);

  // and in a namespace of the same path
  const again = await attach(second, deviceNetwork());
  await removeWithDevice(second);
  await addDevice(host);
  const reborn = await host.container("c2");
  const call = { containerId: "another" };
  const taken = await attach(reborn, deviceNetwork(), call);
  silent(t, await again.del(), "DEL of the one before");
  silent(t, await taken.check(), "takes nothing of it");
  silent(t, await taken.del(), "DEL");
  t.strictSame(await deviceIn(host), DEVICE);
  t.strictSame(await claimsOf(host), []);
});

function collect(host: Host, config: NetworkConfig, valid: readonly Attachment[] | undefined) {
  const list = valid?.map(({ container, ifname }) => ({ containerID: container.containerId, ifname }));
  return host.cni("host-device", { command: "GC", config: { ...config, [VALID]: list } });
}

await run("GC gives back what is not in use", async (t) => {
  const { host, container } = await makeStage(t);
  await sh(host, "ip link add wan1 type veth peer name far1");
  const stale = await attach(container, deviceNetwork());
  const kept = await attach(await host.container("c2"), deviceNetwork({ device: "wan1" }));
  silent(t, await collect(host, deviceNetwork(), undefined), "GC without a list");
  silent(t, await collect(host, deviceNetwork({ name: "other" }), []), "GC of another network");
  silent(t, await collect(host, deviceNetwork(), [stale, kept]), "GC with both in the list");
  for (const attachment of [stale, kept]) silent(t, await attachment.check(), "nothing was taken");

  silent(t, await collect(host, deviceNetwork({ device: "" }), [kept]), "GC with one in the list");
  t.strictSame(await deviceIn(host), DEVICE, "the other is back");
  silent(t, await kept.check(), "that one is there");
  silent(t, await stale.del(), "DEL of the other");
  await container.remove();
  t.equal((await claimsOf(host)).length, 3, "a record, two addresses");
  silent(t, await collect(host, deviceNetwork(), []), "GC with none in the list");
  t.match(await deviceIn(host, "wan1"), { ifalias: "", up: false });
  t.strictSame(await claimsOf(host), []);

  const gone = await attach(await host.container("c3"), deviceNetwork());
  await gone.container.remove();
  silent(t, await collect(host, deviceNetwork(), []), "GC of a container that died");
  t.strictSame(await claimsOf(host), []);
});

await run("STATUS says whether there is a device, and an address", async (t) => {
  const { host, container } = await makeStage(t);
  const status = (keys: Record<string, unknown> = {}) =>
    host.cni("host-device", { command: "STATUS", config: deviceNetwork(keys) });
  silent(t, await status(), "the device is there");
  const absent: Refusal = { code: 50, msg: /^failed to find host device: no interface of this host/ };
  refused(t, await status({ device: "none0" }), absent, "there is none");
  refused(t, await status({ device: "", pciBusID: "ffff:00:00.0" }), absent, "nor is hardware");
  silent(t, await status({ device: "" }), "the runtime is to choose");
  refused(
    t,
    await status({ hwaddr: "02:00:00:00:00:99" }),
    { code: 7 as number, msg: /^specify either/ },
    "two",
  );
  const range = { subnet: "10.9.0.0/24", rangeStart: "10.9.0.5", rangeEnd: "10.9.0.5" };
  const ipam = { type: "host-local", ranges: [[range]] };
  const attachment = await attach(container, deviceNetwork({ ipam }));
  silent(t, await status(), "a container has it");
  refused(t, await status({ ipam }), { code: 50, msg: /./ }, "no address is left");
  refused(t, await status({ ipam: { type: "none" } }), { code: 50, msg: /none/ }, "no IPAM plugin");
  silent(t, await attachment.del(), "DEL");
});

/** What makes ADD fail after the device was moved. */
const FAILURES: readonly (readonly [what: string, keys: Record<string, unknown>, script?: string])[] = [
  ["there is no IPAM plugin", { ipam: { type: "none" } }],
  ["IPAM has no address", { ipam: { type: "host-local", ranges: [[{ subnet: "10.9.0.0/32" }]] } }],
  ["IPAM fails", { ipam: { type: "static", addresses: [{ address: "x" }] } }],
  [
    "a route leads nowhere",
    {
      ipam: {
        type: "static",
        addresses: [{ address: "10.9.0.9/24" }],
        routes: [{ dst: "10.8.0.0/16", gw: "10.99.0.1" }],
      },
    },
  ],
  ["an address is another host's", { ipam: { type: "static", addresses: [{ address: "fd00:9::1/64" }] } }],
  ["the result has no IPv4 form", { cniVersion: "0.2.0", ipam: {} }],
  ["its name is another's in the meantime", { ipam: { type: "none" } }, "ip -n c1 link add wan0 type veth"],
];

await run("an ADD that fails leaves nothing", async (t) => {
  const { host, container } = await makeStage(t);
  for (const [what, keys, script = "true"] of FAILURES) {
    await sh(host, script);
    const before = normalise(await host.snapshot());
    const config = deviceNetwork(keys);
    const added = await host.cni("host-device", { command: "ADD", config, container });
    t.equal(added.code, 1, `${what}: ${added.error?.msg}`);
    t.strictSame(await deviceIn(host), DEVICE, `${what}: the device is as it was`);
    t.strictSame(remains(before, await host.snapshot()), [], `${what}: nothing is left`);
    // an IPAM plugin that is not there cannot release anything either
    const del = { command: "DEL", config: deviceNetwork({ ...keys, ipam: {} }), container };
    silent(t, await host.cni("host-device", del), `${what}: DEL`);
    t.strictSame(await claimsOf(host), []);
  }
});
