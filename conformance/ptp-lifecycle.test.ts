/**
 * ptp: what it refuses and how, an ADD that fails half-way and leaves nothing, what GC takes and STATUS says.
 * What DEL and CHECK do: differential-ptp.test.ts.
 */
import t from "tap";
import { attach } from "./fixtures/attachment.ts";
import { makeHost } from "./fixtures/host.ts";
import { normalise } from "./fixtures/normalise.ts";
import { fixedNetwork, ptpNetwork } from "./fixtures/ptp-network.ts";
import { type Refusal, refused, silent, unchanged } from "./fixtures/refusal.ts";
import { remains } from "./fixtures/remains.ts";

const TIMEOUT_MS = 60_000;
t.setTimeout(6 * TIMEOUT_MS);
const SUBNETS = ["10.57.0.0/24", "fd00:57::/64"];

const at = (address: string, gateway?: string) => {
  const ipam = { type: "static", addresses: [{ address, ...(gateway && { gateway }) }] };
  return { ipam };
};

/** What it is, the keys, what ADD says; code 7 unless told. */
type Row = [what: string, keys: object, wanted: Refusal];
const CONFIGURATIONS: readonly Row[] = [
  ["no ipam", { ipam: undefined }, { msg: '"ipam" is missing', details: /"ipam\.type"/ }],
  ["an empty ipam", { ipam: {} }, { msg: '"ipam" is missing', details: /"ipam\.type"/ }],
  ["ipam without a type", { ipam: { type: "" } }, { msg: '"ipam" is missing', details: /"ipam\.type"/ }],
  ["ipam that is none", { ipam: [] }, { msg: /ipam/, details: /.*/ }],
  [
    "a plugin that is not there",
    { ipam: { type: "nosuch" } },
    { msg: /^failed to find plugin "nosuch" in path/ },
  ],
  [
    "no addresses",
    { ipam: { type: "static" } },
    { code: 999, msg: "IPAM plugin returned missing IP config" },
  ],
  ["an MTU below the kernel's least", { mtu: 67 }, { msg: 'invalid "mtu": 67', details: /at least 68/ }],
  ["a negative MTU", { mtu: -1 }, { msg: /mtu/, details: /.*/ }],
  ["an MTU that no link has", { mtu: 70_000 }, { msg: /mtu/, details: /.*/ }],
  ["an MTU that is a word", { mtu: "big" }, { msg: /mtu/, details: /.*/ }],
  [
    "an MTU that IPv6 cannot use",
    { mtu: 1279 },
    { msg: /^"veth\w+" cannot have IPv6 addresses at an MTU of 1279$/, details: /1280/ },
  ],
  ["ipMasq that is a word", { ipMasq: "yes" }, { msg: /ipMasq/, details: /.*/ }],
  ["an unknown backend", { ipMasqBackend: "pf" }, { msg: /ipMasqBackend "?pf"?.*nftables/, details: /.*/ }],
  ["DNS that is a word", { dns: "10.0.0.1" }, { msg: /dns/, details: /.*/ }],
  ["half a MAC", { runtimeConfig: { mac: "02:00" } }, { msg: /mac/, details: /.*/ }],
  ["a multicast MAC", { args: { cni: { mac: "01:00:5e:00:00:01" } } }, { msg: /mac/, details: /.*/ }],
  [
    "a gateway that is the container",
    at("10.57.0.5/24", "10.57.0.5"),
    { msg: "the gateway of 10.57.0.5/24 is the container's own address 10.57.0.5", details: /"gateway"/ },
  ],
  [
    "the first address of the subnet, without a gateway",
    at("fd00:57::1/64"),
    { msg: "the gateway of fd00:57::1/64 is the container's own address fd00:57::1", details: /"gateway"/ },
  ],
];

await t.test("configurations that are refused", { timeout: TIMEOUT_MS }, async (t) => {
  const host = await makeHost(t);
  const container = await host.container("c1");
  await attach(container, ptpNetwork("net", SUBNETS)).then((attachment) => attachment.del());
  const untouched = normalise(await host.snapshot());
  for (const [what, keys, wanted] of CONFIGURATIONS) {
    const config = { ...ptpNetwork("net", SUBNETS), ...keys };
    const outcome = await host.cni("ptp", { command: "ADD", config, container });
    refused(t, outcome, { code: 7, ...wanted }, what);
  }
  const config = ptpNetwork("net", SUBNETS);
  const call = { command: "ADD", config, container };
  refused(
    t,
    await host.cni("ptp", { ...call, netns: "/run/netns/none" }),
    { code: 4, msg: /\/run\/netns\/none/, details: /.*/ },
    "a namespace that is not there",
  );
  refused(
    t,
    await host.cni("ptp", { ...call, netns: "/etc/hostname" }),
    { code: 4, msg: /\/etc\/hostname/, details: /.*/ },
    "a file that is no namespace",
  );
  refused(
    t,
    await host.cni("ptp", { ...call, args: "MAC=nonsense" }),
    { code: 7, msg: /mac/i, details: /.*/ },
    "no MAC",
  );
  const given = remains(untouched, await host.snapshot());
  t.same(given, [], "none of them leaves anything");
});

await t.test("an MTU below 1280 does for IPv4", { timeout: TIMEOUT_MS }, async (t) => {
  const host = await makeHost(t);
  const attachment = await attach(
    await host.container("c1"),
    ptpNetwork("net", ["10.57.0.0/24"], { mtu: 576 }),
  );
  t.ok(await attachment.container.ping("10.57.0.1", { size: 548, df: true }));
  silent(t, await attachment.check(), "CHECK");
  silent(t, await attachment.del(), "DEL");
});

/** Its names are links to where the host keeps alternatives. */
const HIDE_IPTABLES = "mkdir /run/empty; mount --bind /run/empty /etc/alternatives";
const SHOW_IPTABLES = "umount /etc/alternatives; rmdir /run/empty";

/** What is broken before ADD, and mended; what ADD says. */
type Failure = [what: string, before: string, after: string, wanted: Refusal];
const READ_ONLY = (key: string) =>
  `mount --bind /proc/sys/${key} /proc/sys/${key}; mount -o remount,ro,bind /proc/sys/${key}`;
const FAILURES: readonly Failure[] = [
  [
    "forwarding cannot be turned on",
    `sysctl -qw net.ipv4.ip_forward=0; ${READ_ONLY("net/ipv4/ip_forward")}`,
    "umount /proc/sys/net/ipv4/ip_forward",
    { code: 5, msg: /ip_forward/, details: /.*/ },
  ],
  [
    "IPv6 forwarding cannot be turned on",
    `sysctl -qw net.ipv6.conf.all.forwarding=0; ${READ_ONLY("net/ipv6/conf/all/forwarding")}`,
    "umount /proc/sys/net/ipv6/conf/all/forwarding",
    { code: 5, msg: /forwarding/, details: /.*/ },
  ],
  ["there are no programs of iptables", HIDE_IPTABLES, SHOW_IPTABLES, { msg: /iptables/, details: /.*/ }],
  [
    "one of the addresses is routed elsewhere",
    "ip link add other0 type bridge; ip link set other0 up; ip route add fd00:57::9 dev other0",
    "ip link del other0",
    { code: 7, msg: "this host already has a route to fd00:57::9", details: /"other0"/ },
  ],
];

await t.test("an ADD that fails leaves nothing", { timeout: TIMEOUT_MS }, async (t) => {
  const host = await makeHost(t);
  const container = await host.container("c1");
  const [v4 = "", v6 = ""] = SUBNETS;
  const ranges = [[{ subnet: v4 }], [{ subnet: v6, rangeStart: "fd00:57::9", rangeEnd: "fd00:57::9" }]];
  const config = ptpNetwork("net", [], {
    ipMasq: true,
    ipMasqBackend: "iptables",
    ipam: { type: "host-local", ranges },
  });
  await attach(container, config).then((attachment) => attachment.del());
  for (const [what, before, after, wanted] of FAILURES) {
    const untouched = normalise(await host.snapshot());
    await host.exec("sh", ["-e", "-c", before]);
    const outcome = await host.cni("ptp", { command: "ADD", config, container });
    refused(t, outcome, wanted, what);
    await host.exec("sh", ["-e", "-c", after]);
    await host.exec("sysctl", ["-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"]);
    t.same(remains(untouched, await host.snapshot()), [], `${what}: nothing is left`);
  }
  silent(t, await (await attach(container, config)).check(), "the next ADD is good");
});

await t.test("a second ADD changes nothing", { timeout: TIMEOUT_MS }, async (t) => {
  const host = await makeHost(t);
  const container = await host.container("c1");
  const elsewhere = await host.container("c2");
  const config = ptpNetwork("net", SUBNETS, { ipMasq: true });
  const attachment = await attach(container, config);
  const untouched = normalise(await host.snapshot());
  const again = await host.cni("ptp", { command: "ADD", config, container });
  const msg = `container interface "eth0" already exists in "${container.path}"`;
  refused(t, again, { code: 4, msg, details: /run DEL first/ }, "in the same namespace");
  const moved = await host.cni("ptp", { command: "ADD", config, container, netns: elsewhere.path });
  refused(
    t,
    moved,
    { code: 4, msg: /already has "eth0" on network "net"/, details: /run DEL first/ },
    "in another",
  );
  await unchanged(t, host, untouched, "nothing changed");
  silent(t, await attachment.check(), "the first is good");
});

await t.test("GC takes what nobody named", { timeout: TIMEOUT_MS }, async (t) => {
  const host = await makeHost(t);
  const config = ptpNetwork("net", SUBNETS);
  const other = await attach(await host.container("c0"), ptpNetwork("other", ["10.58.0.0/24"]));
  const kept = await attach(await host.container("c1"), config);
  const valid = [{ containerID: kept.container.containerId, ifname: "eth0" }];
  const gc = (list: object[] | undefined) =>
    host.cni("ptp", { command: "GC", config: { ...config, "cni.dev/valid-attachments": list } });
  const untouched = normalise(await host.snapshot());
  for (const [what, script] of [
    ["all is there", "true"],
    ["the container is gone", "ip netns del c2"],
    ["the records are gone", "rm -f /run/weft/attachments/net/c2*"],
    [
      "the record is gone and the container's interface has another name",
      "rm -f /run/weft/attachments/net/c2*; ip -n c2 link set eth0 down; ip -n c2 link set eth0 name eth9",
    ],
    [
      "the alias is gone",
      "for link in $(ls /sys/class/net | grep veth); do grep -q c2 /sys/class/net/$link/ifalias && ip link set $link alias x; done; true",
    ],
  ] as const) {
    await attach(await host.container("c2"), config);
    await host.exec("sh", ["-c", script]);
    silent(t, await gc(undefined), "GC without a list");
    silent(t, await gc(valid), `GC, ${what}`);
    await host.exec("sh", ["-c", "ip netns del c2 2> /dev/null || true"]);
    host.containers.delete("c2");
    t.same(remains(untouched, await host.snapshot()), [], `${what}: nothing is left, nothing missing`);
  }
  for (const attachment of [kept, other]) silent(t, await attachment.check(), "the others are good");
  silent(t, await gc([]), "GC of all");
  t.same(await kept.container.ip("link", "show", "type", "veth"), [], "takes the last");
  silent(t, await other.check(), "and no other network's");
});

await t.test("STATUS", { timeout: TIMEOUT_MS }, async (t) => {
  const host = await makeHost(t);
  const ranges = [[{ subnet: "10.57.0.0/24", rangeStart: "10.57.0.9", rangeEnd: "10.57.0.9" }]];
  const config = ptpNetwork("net", [], { ipMasq: true, ipam: { type: "host-local", ranges } });
  const status = (keys: object) => host.cni("ptp", { command: "STATUS", config: { ...config, ...keys } });
  silent(t, await status({}), "it is ready");
  const attachment = await attach(await host.container("c1"), config);
  refused(t, await status({}), { code: 50, msg: /10\.57\.0\.9/, details: /.*/ }, "no address is left");
  await attachment.del();
  silent(t, await status({}), "one is again");
  const nosuch = { ipam: { type: "nosuch" } };
  refused(t, await status(nosuch), { code: 50, msg: /nosuch/, details: /.*/ }, "IPAM is not installed");
  const iptables = { ipMasqBackend: "iptables" };
  silent(t, await status(iptables), "iptables is installed");
  await host.exec("sh", ["-e", "-c", HIDE_IPTABLES]);
  refused(
    t,
    await status(iptables),
    { code: 50, msg: "this host has no iptables", details: /.*/ },
    "it is not",
  );
  silent(t, await status({ ...iptables, ipMasq: false }), "nor is it needed");
  refused(
    t,
    await status({ ipam: {} }),
    { code: 7, msg: '"ipam" is missing', details: /.*/ },
    "no IPAM at all",
  );
  const fixed = fixedNetwork("net", [{ address: "10.57.0.5/32" }]);
  silent(t, await host.cni("ptp", { command: "STATUS", config: fixed }), "static has always another");
});
