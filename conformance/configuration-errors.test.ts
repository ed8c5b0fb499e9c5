/**
 * Every configuration that bridge, host-local and static
 * refuse, in their words, with nothing changed on the host.
 */
import t, { type Test } from "tap";
import { makeHost } from "./fixtures/host.ts";
import { normalise } from "./fixtures/normalise.ts";
import { type PluginName, plainCall, plainConfig } from "./fixtures/plain-call.ts";
import { refused, unchanged } from "./fixtures/refusal.ts";

const host = await makeHost(t);
await host.container("c1");
// what is in the way of some cases
await host.exec("ip", ["link", "add", "taken0", "type", "veth", "peer", "name", "taken1"]);
await host.exec("ip", ["link", "add", "br9", "address", "02:00:00:00:00:09", "type", "bridge"]);
await host.exec("ip", ["link", "add", "port0", "type", "veth", "peer", "name", "port1"]);
await host.exec("ip", ["link", "set", "port0", "master", "br9"]); // so that it has carrier all the time
for (const link of ["port0", "port1", "br9"]) await host.exec("ip", ["link", "set", link, "up"]);
for (const address of ["10.9.9.1/24", "fd09::1/64"])
  await host.exec("ip", ["address", "add", address, "dev", "br9"]);
// the network's directory is there before the first request is refused
for (const command of ["ADD", "DEL"]) await host.cni("host-local", plainCall("host-local", command));
const untouched = normalise(await host.snapshot());

interface BadConfig {
  what: string;
  keys: object;
  msg: string | RegExp;
  /** Default: 7, a wrong configuration. */
  code?: number;
  args?: string;
}

async function refuseAll(t: Test, plugin: PluginName, cases: readonly BadConfig[]): Promise<void> {
  for (const { what, keys, msg, code = 7, args } of cases) {
    const config = plainConfig(plugin, keys);
    const call = plainCall(plugin, "ADD", args === undefined ? { config } : { config, args });
    refused(t, await host.cni(plugin, call), { code, msg }, what);
  }
  await unchanged(t, host, untouched, "nothing changed");
}

/** One line a case: what it is, the keys, the message. */
type Row = [what: string, keys: object, msg: string | RegExp, rest?: { code?: number; args?: string }];
const rows = (table: readonly Row[]): BadConfig[] =>
  table.map(([what, keys, msg, rest = {}]) => ({ what, keys, msg, ...rest }));

/** A value of a wrong type is refused by the key's name. */
const wrongTypes = (keys: Readonly<Record<string, readonly unknown[]>>): BadConfig[] =>
  Object.entries(keys).flatMap(([key, values]) =>
    values.map((value) => ({
      what: `${key}: ${JSON.stringify(value)}`,
      keys: nested(key.split("."), value),
      msg: new RegExp(key.split(".").at(-1) ?? key),
    })),
  );

function nested([key = "", ...rest]: string[], value: unknown): object {
  return { [key]: rest.length === 0 ? value : nested(rest, value) };
}

const trunk = (...vlanTrunk: object[]) => ({ vlanTrunk });
const IPAM = { type: "static", addresses: [{ address: "10.1.0.5/24" }] };
const VLAN = (id: number) => `invalid VLAN ID ${id} (must be between 0 and 4094)`;

const BRIDGE: Row[] = [
  [
    "hairpin and promiscuous mode",
    { hairpinMode: true, promiscMode: true },
    "cannot set hairpin mode and promiscuous mode at the same time",
  ],
  ["vlan -1", { vlan: -1 }, VLAN(-1)],
  ["vlan 4095", { vlan: 4095 }, VLAN(4095)],
  ["a trunk from 0", trunk({ minID: 0, maxID: 5 }), "incorrect trunk minID parameter"],
  ["a trunk from -1", trunk({ minID: -1, maxID: 5 }), "incorrect trunk minID parameter"],
  ["a trunk from 4095", trunk({ minID: 4095, maxID: 4095 }), "incorrect trunk minID parameter"],
  ["a trunk to 4095", trunk({ minID: 1, maxID: 4095 }), "incorrect trunk maxID parameter"],
  ["a trunk to 0", trunk({ minID: 1, maxID: 0 }), "incorrect trunk maxID parameter"],
  ["a trunk backwards", trunk({ minID: 6, maxID: 5 }), "minID is greater than maxID in trunk parameter"],
  [
    "a trunk without an end",
    trunk({ minID: 6 }),
    "minID and maxID should be configured simultaneously, maxID is missing",
  ],
  [
    "a trunk without a start",
    trunk({ maxID: 6 }),
    "minID and maxID should be configured simultaneously, minID is missing",
  ],
  ["trunk 0", trunk({ id: 0 }), "incorrect trunk id parameter"],
  ["trunk 4095", trunk({ id: 4095 }), "incorrect trunk id parameter"],
  ["the second trunk", trunk({ id: 5 }, { id: -5 }), "incorrect trunk id parameter"],
  [
    "addresses for an interface that is off",
    { disableContainerInterface: true, ipam: IPAM },
    "cannot use IPAM when DisableContainerInterface flag is set",
  ],
  ["a link of another kind", { bridge: "taken0" }, '"taken0" already exists but is not a bridge'],
  [
    "an IPAM plugin with no address",
    { ipam: { type: "static" } },
    "IPAM plugin returned missing IP config",
    { code: 999 },
  ],
  [
    "an IPAM plugin that is not there",
    { ipam: { type: "nosuch" } },
    /^failed to find plugin "nosuch" in path \[.*dist\/bin\]$/,
  ],
  [
    "a bridge with another address",
    { bridge: "br9", isGateway: true, ipam: IPAM },
    /^"br9" already has an IP address different from 10\.1\.0\.1\/24/,
  ],
  ["a name of a bridge that is too long", { bridge: "sixteen-bytes-xx" }, /bridge/],
  ["a name of a bridge with a slash", { bridge: "a/b" }, /bridge/],
  ["a name of a bridge with a space", { bridge: "a b" }, /bridge/],
  ["a bridge called .", { bridge: "." }, /bridge/],
  ["a bridge whose name the kernel completes", { bridge: "br%d" }, /bridge/],
  ["an MTU below the kernel's least", { mtu: 67 }, 'invalid "mtu": 67'],
  ["a network too long for an alias", { name: "n".repeat(251) }, "network name is too long"],
  ["an MTU below what IPv4 needs", { mtu: -1 }, /mtu/],
  ["an MTU that no link has", { mtu: 70_000 }, /mtu/],
  ["half a MAC, from args", { args: { cni: { mac: "02:00" } } }, /mac/i],
  ["no MAC, from the runtime", { runtimeConfig: { mac: "zz" } }, /mac/i],
  ["a MAC of eight bytes", { runtimeConfig: { mac: "02:00:00:00:00:00:00:01" } }, /mac/i],
  ["no MAC, from CNI_ARGS", {}, /mac/i, { args: "MAC=nonsense" }],
  ["a multicast MAC", { runtimeConfig: { mac: "01:00:5e:00:00:01" } }, /mac/i],
  ["a MAC of zeros", { runtimeConfig: { mac: "00:00:00:00:00:00" } }, /mac/i],
  [
    "a backend that is none",
    { ipMasqBackend: "pf" },
    /ipMasqBackend.*pf.*(iptables|nftables)|ipMasqBackend.*(iptables|nftables).*pf/,
  ],
];

const NO_STRING = [5, true, {}, []];
const NO_BOOLEAN = ["true", 1, {}, []];
const NO_INTEGER = ["5", true, 1.5, 1e20, {}, []];
const BRIDGE_TYPES = {
  bridge: NO_STRING,
  ...Object.fromEntries(
    [
      "isGateway",
      "isDefaultGateway",
      "forceAddress",
      "ipMasq",
      "hairpinMode",
      "promiscMode",
      "preserveDefaultVlan",
      "macspoofchk",
      "enabledad",
      "disableContainerInterface",
      "portIsolation",
    ].map((key) => [key, NO_BOOLEAN]),
  ),
  mtu: NO_INTEGER,
  vlan: NO_INTEGER.filter((value) => value !== 1e20), // an integer, and out of range
  vlanTrunk: ["5", {}, [5], [{ id: "5" }], [{ minID: 1.5, maxID: 2 }]],
  ipam: ["host-local", 5, []],
  "ipam.type": [5, {}, []],
  dns: ["10.0.0.1", []],
  "dns.nameservers": ["10.0.0.1", [5]],
  args: ["x", []],
  "args.cni": ["x"],
  "args.cni.mac": NO_STRING,
  runtimeConfig: ["x", []],
  "runtimeConfig.mac": NO_STRING,
};

await t.test("bridge", (t) => refuseAll(t, "bridge", rows(BRIDGE)));
await t.test("bridge: wrong types", (t) => refuseAll(t, "bridge", wrongTypes(BRIDGE_TYPES)));

const ranges = (...sets: object[][]) => ({ ipam: { type: "host-local", ranges: sets } });
const inline = (keys: object) => ({ ipam: { type: "host-local", ...keys } });
const SET = "invalid range set 0:";
const BITS = (length: number, network: string) =>
  `${SET} Network has host bits set. For a subnet mask of length ${length} the network address is ${network}`;
const SMALL = (network: string) => `${SET} Network ${network} too small to allocate from`;
const NET = { subnet: "10.1.0.0/24" };

const HOST_LOCAL: Row[] = [
  ["no ipam", { ipam: undefined }, "IPAM config missing 'ipam' key"],
  ["no range", inline({}), "no IP ranges specified"],
  ["an empty list of ranges", inline({ ranges: [] }), "no IP ranges specified"],
  ["an empty set", ranges([]), `${SET} empty range set`],
  ["host bits", ranges([{ subnet: "10.1.0.5/24" }]), BITS(24, "10.1.0.0")],
  ["host bits in IPv6", ranges([{ subnet: "fd00::5/64" }]), BITS(64, "fd00::")],
  ["a /31", ranges([{ subnet: "10.1.0.0/31" }]), SMALL("10.1.0.0/31")],
  ["a /32", ranges([{ subnet: "10.1.0.0/32" }]), SMALL("10.1.0.0/32")],
  ["a /127", ranges([{ subnet: "fd00::/127" }]), SMALL("fd00::/127")],
  ["a /128", ranges([{ subnet: "fd00::/128" }]), SMALL("fd00::/128")],
  ["no subnet", ranges([{ rangeStart: "10.1.0.5" }]), /subnet/],
  ["a subnet that is none", ranges([{ subnet: "10.1.0.0" }]), "invalid CIDR address: 10.1.0.0"],
  ["a prefix length that is none", ranges([{ subnet: "10.1.0.0/33" }]), "invalid CIDR address: 10.1.0.0/33"],
  [
    "a start outside",
    ranges([{ ...NET, rangeStart: "10.2.0.5" }]),
    `${SET} RangeStart 10.2.0.5 not in network 10.1.0.0/24`,
  ],
  [
    "an end outside",
    ranges([{ ...NET, rangeEnd: "10.2.0.5" }]),
    `${SET} RangeEnd 10.2.0.5 not in network 10.1.0.0/24`,
  ],
  [
    "a start after the end",
    ranges([{ ...NET, rangeStart: "10.1.0.9", rangeEnd: "10.1.0.5" }]),
    `${SET} RangeStart 10.1.0.9 not in network 10.1.0.0/24`,
  ],
  [
    "a start of the other family",
    ranges([{ ...NET, rangeStart: "fd00::1" }]),
    `${SET} RangeStart fd00::1 not in network 10.1.0.0/24`,
  ],
  ["a start that is none", ranges([{ ...NET, rangeStart: "x" }]), "invalid IP address: x"],
  ["a gateway that is none", ranges([{ ...NET, gateway: "x" }]), "invalid IP address: x"],
  ["two families in a set", ranges([NET, { subnet: "fd00::/64" }]), `${SET} mixed address families`],
  [
    "a set that overlaps itself",
    ranges([NET, { subnet: "10.1.0.128/25" }]),
    `${SET} subnets 10.1.0.1-10.1.0.254 and 10.1.0.129-10.1.0.254 overlap`,
  ],
  ["sets that overlap", ranges([NET], [{ subnet: "10.1.0.0/16" }]), "range set 0 overlaps with 1"],
  ["inline and ranges that overlap", inline({ ...NET, ranges: [[NET]] }), "range set 0 overlaps with 1"],
  [
    "runtime ranges that overlap",
    { ...ranges([NET]), runtimeConfig: { ipRanges: [[NET]] } },
    "range set 0 overlaps with 1",
  ],
  [
    "two of a family in 0.2.0",
    { ...ranges([NET], [{ subnet: "10.2.0.0/24" }]), cniVersion: "0.2.0" },
    "CNI version 0.2.0 does not support more than 1 address per family",
  ],
  [
    "two of a family in 0.1.0",
    { ...ranges([NET], [{ subnet: "10.2.0.0/24" }]), cniVersion: "0.1.0" },
    "CNI version 0.1.0 does not support more than 1 address per family",
  ],
  ["a request that is no address, CNI_ARGS", {}, /10\.1\.0/, { args: "IP=10.1.0" }],
  ["a request that is no address, args", { args: { cni: { ips: ["10.1.0"] } } }, /10\.1\.0/],
  ["a request that is no address, runtime", { runtimeConfig: { ips: ["10.1.0"] } }, /10\.1\.0/],
  [
    "a request outside of all ranges",
    { args: { cni: { ips: ["10.7.7.7"] } } },
    "failed to allocate all requested IPs: 10.7.7.7",
  ],
  [
    "two requests for one range",
    { args: { cni: { ips: ["10.1.0.7", "10.1.0.8"] } } },
    "failed to allocate all requested IPs: 10.1.0.8",
  ],
  [
    "the gateway",
    { args: { cni: { ips: ["10.1.0.1"] } } },
    "failed to allocate for range 0: requested ip 10.1.0.1 is subnet's gateway",
  ],
  ["a route that is none", inline({ ...NET, routes: [{ dst: "10.0.0.0" }] }), /10\.0\.0\.0|dst/],
  ["a next hop that is none", inline({ ...NET, routes: [{ dst: "10.0.0.0/8", gw: "x" }] }), /gw|x/],
  ["a resolvConf that is not there", inline({ ...NET, resolvConf: "/nope" }), /\/nope/],
];

const HOST_LOCAL_TYPES = {
  ipam: ["x", 5, []],
  "ipam.ranges": ["x", {}, [5], [NET], [[5]]],
  "ipam.subnet": NO_STRING,
  "ipam.dataDir": NO_STRING,
  "ipam.resolvConf": NO_STRING,
  "ipam.routes": ["x", {}, [5]],
  "args.cni.ips": ["10.1.0.5", {}, [5]],
  "runtimeConfig.ips": ["10.1.0.5", {}, [5]],
  "runtimeConfig.ipRanges": ["x", {}, [5], [NET]],
};

await t.test("host-local", (t) => refuseAll(t, "host-local", rows(HOST_LOCAL)));
await t.test("host-local: wrong types", (t) => refuseAll(t, "host-local", wrongTypes(HOST_LOCAL_TYPES)));

const addresses = (...list: object[]) => ({ ipam: { type: "static", addresses: list } });
const STATIC: Row[] = [
  ["no ipam", { ipam: undefined }, "IPAM config missing 'ipam' key"],
  [
    "an address without a prefix length",
    addresses({ address: "10.1.0.5" }),
    "the 'address' field is expected to be in CIDR notation, got: '10.1.0.5'",
  ],
  [
    "an address that is none",
    addresses({ address: "x" }),
    "the 'address' field is expected to be in CIDR notation, got: 'x'",
  ],
  ["no address in an entry", addresses({ gateway: "10.1.0.1" }), /address/],
  [
    "the second address",
    addresses({ address: "10.1.0.5/24" }, { address: "y" }),
    "the 'address' field is expected to be in CIDR notation, got: 'y'",
  ],
  [
    "IP of CNI_ARGS",
    {},
    "the 'ip' field is expected to be in CIDR notation, got: '10.1.0.9'",
    { args: "IP=10.1.0.9" },
  ],
  [
    "the second IP of CNI_ARGS",
    {},
    "the 'ip' field is expected to be in CIDR notation, got: 'x'",
    { args: "IP=10.1.0.9/24,x" },
  ],
  ["GATEWAY of CNI_ARGS", {}, "invalid gateway address: x", { args: "IP=10.1.0.9/24;GATEWAY=x" }],
  [
    "ips of args",
    { args: { cni: { ips: ["10.1.0.9"] } } },
    "an entry in the 'ips' field is NOT in CIDR notation, got: '10.1.0.9'",
  ],
  [
    "ips of the runtime",
    { runtimeConfig: { ips: ["10.1.0.9/24", "z"] } },
    "an entry in the 'ips' field is NOT in CIDR notation, got: 'z'",
  ],
  ["a gateway that is none", addresses({ address: "10.1.0.5/24", gateway: "x" }), /x/],
  ["a route that is none", { ipam: { ...IPAM, routes: [{ dst: "x" }] } }, /dst|x/],
];
const STATIC_TYPES = {
  ipam: ["x", 5, []],
  "ipam.addresses": ["x", {}, [5]],
  "ipam.routes": ["x", {}, [5]],
  "ipam.dns": ["x", []],
  "args.cni.ips": ["10.1.0.5/24", {}, [5]],
  "runtimeConfig.ips": ["10.1.0.5/24", {}, [5]],
};

await t.test("static", (t) => refuseAll(t, "static", rows(STATIC)));
await t.test("static: wrong types", (t) => refuseAll(t, "static", wrongTypes(STATIC_TYPES)));
