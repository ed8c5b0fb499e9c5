/**
 * ptp with packets: routed pairs without a bridge, in one family and in both, reachable at once; addresses
 * that share a gateway or have no subnet at all. T17 and T13 of the topologies.
 */
import t, { type Test } from "tap";
import { type Attachment, attach, type NetworkConfig } from "./fixtures/attachment.ts";
import type { Answer } from "./fixtures/exchange.ts";
import { type Host, makeHost } from "./fixtures/host.ts";
import type { Netns } from "./fixtures/netns.ts";
import { type FixedAddress, fixedNetwork, ptpNetwork } from "./fixtures/ptp-network.ts";
import { refused, silent } from "./fixtures/refusal.ts";
import type { Outside } from "./fixtures/wiring.ts";

const TIMEOUT_MS = 60_000;
t.setTimeout(8 * TIMEOUT_MS);
const PORT = 7000;
const PROTOCOLS = ["tcp", "udp"] as const;
/** Less than the second after which ARP and ND ask again: the first packet has to arrive. */
const AT_ONCE = { waitSeconds: 0.6 };

const NETWORKS: Readonly<Record<string, readonly string[]>> = {
  IPv4: ["10.50.0.0/24"],
  IPv6: ["fd00:50::/64"],
  "both families": ["10.50.0.0/24", "fd00:50::/64"],
};

/** What a route of `ip -j route` says of where it goes. */
interface Way {
  readonly dst: string;
  readonly gateway?: string;
  readonly prefsrc?: string;
  readonly scope?: string;
}

const isIpv6 = (address: string) => address.includes(":");
const whole = (address: string) => `${address}/${isIpv6(address) ? 128 : 32}`;
const gatewaysOf = ({ result }: Attachment) => (result.ips ?? []).map(({ gateway = "" }) => gateway);

/** Every address over TCP and UDP: what the server there saw as the client, or the error. */
async function seenFrom(client: Netns, addresses: readonly string[]): Promise<string[][]> {
  const asks = addresses.flatMap((address) =>
    PROTOCOLS.map((protocol) => ({ protocol, address, port: PORT })),
  );
  const seen = ({ error, seenAddress }: Answer) => error ?? seenAddress;
  const answers = (await client.askAll(asks)).map(seen);
  return addresses.map((_, index) => answers.slice(2 * index, 2 * index + 2));
}

const twice = (addresses: readonly string[]) => addresses.map((address) => [address, address]);

/** A socket for each address: a UDP server that is bound to none answers from the nearest. */
async function serve(...places: readonly (readonly [Netns, readonly string[]])[]): Promise<void> {
  const serveOne = ([place, addresses]: (typeof places)[number]) =>
    place.serveAll(
      addresses.flatMap((address) => PROTOCOLS.map((protocol) => ({ protocol, port: PORT, address }))),
    );
  await Promise.all(places.map(serveOne));
}

const served = ({ container, addresses }: Attachment) => [container, addresses] as const;
const servedOutside = (outside: Outside) => [outside, [outside.address4, outside.address6]] as const;

/** The outside knows the way back to containers, as a router of the network would. */
async function routeBack(outside: Outside, prefixes: readonly string[]): Promise<void> {
  for (const prefix of prefixes) {
    const { hostAddress4, hostAddress6 } = outside;
    await outside.ip("route", "add", prefix, "via", isIpv6(prefix) ? hostAddress6 : hostAddress4);
  }
}

/** The pair and nothing else, as ip shows both sides. */
async function showPair(t: Test, host: Host, attachment: Attachment): Promise<void> {
  const { container, addresses, result } = attachment;
  const kinds = (await host.ip("link", "show")).map(({ linkinfo }) => linkinfo?.info_kind);
  t.notOk(kinds.includes("bridge"), "there is no bridge");
  const end = await attachment.hostEnd();
  const inside = await container.link("eth0");
  const interfaces = [
    { name: end.ifname, mac: end.address, mtu: 1500 },
    { name: "eth0", mac: inside.address, mtu: 1500, sandbox: container.path },
  ];
  t.strictSame(result.interfaces, interfaces, "the result has the host's end, then the container's");
  const places = (result.ips ?? []).map((ip) => ip.interface);
  t.strictSame(
    places,
    addresses.map(() => 1),
    "and the addresses at the second",
  );
  const own = end.addr_info.filter(({ local }) => gatewaysOf(attachment).includes(local));
  const held = own.map(({ local, prefixlen }) => `${local}/${prefixlen}`);
  t.strictSame(held, gatewaysOf(attachment).map(whole), "the host has the gateway's addresses, no subnet");
  for (const address of addresses) {
    const family = isIpv6(address) ? "-6" : "-4";
    const [route] = await host.ip<Way & { dev: string }>(family, "route", "show", "exact", whole(address));
    t.equal(route?.dev, end.ifname, `the host's route to ${address}`);
    if (!isIpv6(address)) t.equal(route?.scope, "link", "is of what is on the link");
  }
}

/** Only by the gateway: no route to a subnet without one, but to the gateway itself. */
async function showWays(t: Test, attachment: Attachment): Promise<void> {
  for (const ip of attachment.result.ips ?? []) {
    const [address = "", length] = ip.address.split("/");
    const { gateway = "" } = ip;
    const subnet = isIpv6(address) ? `fd00:50::/${length}` : `10.50.0.0/${length}`;
    const family = isIpv6(address) ? "-6" : "-4";
    const listed = await attachment.container.ip<Way>(family, "route", "show", "dev", "eth0");
    const ways = listed.filter(({ dst }) => !dst.startsWith("fe80:") && dst !== "default");
    const found = ways.map(({ dst, gateway, prefsrc }) => ({ dst, gateway, prefsrc }));
    const wanted = [
      { dst: gateway, gateway: undefined, prefsrc: address },
      { dst: subnet, gateway, prefsrc: address },
    ];
    t.same(new Set(found.map(textOf)), new Set(wanted.map(textOf)), `the container's routes by ${gateway}`);
  }
}

const textOf = ({
  dst,
  gateway,
  prefsrc,
}: {
  dst: string;
  gateway?: string | undefined;
  prefsrc?: string | undefined;
}) => `${dst} via ${gateway ?? "nobody"} src ${prefsrc}`;

for (const [families, subnets] of Object.entries(NETWORKS)) {
  await t.test(`a routed pair: ${families}`, { timeout: TIMEOUT_MS }, async (t) => {
    const host = await makeHost(t);
    const outside = await host.outside();
    const config = ptpNetwork("net", subnets);
    const c1 = await attach(await host.container("c1"), config);
    const c2 = await attach(await host.container("c2"), config);
    for (const attachment of [c1, c2]) {
      await showPair(t, host, attachment);
      await showWays(t, attachment);
    }
    await serve(servedOutside(outside), served(c1), served(c2), [host, gatewaysOf(c1)]);
    await routeBack(outside, subnets);
    const aways = subnets.map((subnet) => (isIpv6(subnet) ? outside.address6 : outside.address4));
    t.same(await seenFrom(c1.container, c2.addresses), twice(c1.addresses), "a container sees another");
    t.same(await seenFrom(c2.container, c1.addresses), twice(c2.addresses), "and the reverse");
    t.same(await seenFrom(c1.container, gatewaysOf(c1)), twice(c1.addresses), "the host sees a container");
    t.same(await seenFrom(c1.container, aways), twice(c1.addresses), "an outside host sees its own address");
    t.same(await seenFrom(outside, c1.addresses), twice(aways), "a container sees the outside host");
    const hosts = await seenFrom(host, c1.addresses);
    t.same(hosts, twice(gatewaysOf(c1)), "a container sees the host as its gateway");
    for (const attachment of [c1, c2]) silent(t, await attachment.check(), "CHECK is content");
    silent(t, await c1.del(), "DEL");
    t.same(await seenFrom(host, c2.addresses), twice(gatewaysOf(c2)), "the other container stays");
    silent(t, await c2.check(), "and its CHECK is content");
  });
}

await t.test(
  "the first packet arrives, in every direction and family",
  { timeout: TIMEOUT_MS },
  async (t) => {
    // with nothing else on the host, both ends of the first pair have the same ifindex
    for (const withOutside of [false, true]) {
      const host = await makeHost(t);
      const outside = withOutside ? await host.outside() : undefined;
      const subnets = ["10.50.0.0/24", "fd00:50::/64"];
      if (outside) await routeBack(outside, subnets);
      // anybody who detects duplicates does so for ten seconds
      await host.sysctl("net/ipv6/conf/default/dad_transmits", 10);
      for (let number = 0; number < 4; number += 1) {
        const container = await host.container(`c${number}`);
        await container.sysctl("net/ipv6/conf/default/dad_transmits", 10);
        const { addresses } = await attach(container, ptpNetwork("net", subnets));
        const { addr_info } = await container.link("eth0");
        t.notOk(
          addr_info.some(({ tentative }) => tentative),
          "no address waits",
        );
        const client = outside ?? host;
        const arrived = [];
        for (const address of addresses.toReversed()) arrived.push(await client.ping(address, AT_ONCE));
        t.strictSame(arrived, [true, true], `from ${client.name} to container ${number}`);
      }
      for (let number = 4; number < 6; number += 1) {
        const container = await host.container(`c${number}`);
        await attach(container, ptpNetwork("net", subnets));
        const targets = outside ? [outside.address6, outside.address4] : ["fd00:50::2", "10.50.0.2"];
        const arrived = [];
        for (const address of targets) arrived.push(await container.ping(address, AT_ONCE));
        t.strictSame(arrived, [true, true], `from container ${number} to ${targets.join(" and ")}`);
      }
    }
  },
);

await t.test("mtu is of both ends", { timeout: TIMEOUT_MS }, async (t) => {
  const host = await makeHost(t);
  const config = ptpNetwork("net", ["10.50.0.0/24", "fd00:50::/64"], { mtu: 1400 });
  const attachment = await attach(await host.container("c1"), config);
  const { container, result } = attachment;
  t.equal((await attachment.hostEnd()).mtu, 1400);
  t.equal((await container.link("eth0")).mtu, 1400);
  t.strictSame(
    result.interfaces?.map(({ mtu }) => mtu),
    [1400, 1400],
    "so says the result",
  );
  for (const [gateway, headers] of [
    ["10.50.0.1", 28],
    ["fd00:50::1", 48],
  ] as const) {
    t.ok(await container.ping(gateway, { size: 1400 - headers, df: true }), "what fits passes");
    t.notOk(await container.ping(gateway, { size: 1401 - headers, df: true }), "a byte more does not");
  }
});

/** Addresses of a container, and by which gateways it has to be reachable. */
type Fixed = [what: string, first: FixedAddress[], second: FixedAddress[], gateways: string[]];
const FIXED: readonly Fixed[] = [
  [
    "addresses without a subnet, and no gateway",
    [{ address: "10.51.0.5/32" }, { address: "fd00:51::5/128" }],
    [{ address: "10.51.0.6/32" }, { address: "fd00:51::6/128" }],
    ["169.254.1.1", "fe80::1"],
  ],
  [
    "addresses without a subnet, and a gateway of nowhere",
    [
      { address: "10.51.0.5/32", gateway: "192.0.0.8" },
      { address: "fd00:51::5/128", gateway: "fd00:9999::1" },
    ],
    [
      { address: "10.51.0.6/32", gateway: "192.0.0.8" },
      { address: "fd00:51::6/128", gateway: "fd00:9999::1" },
    ],
    ["192.0.0.8", "fd00:9999::1"],
  ],
  [
    "subnets without a gateway",
    [{ address: "10.51.0.5/24" }, { address: "fd00:51::5/64" }],
    [{ address: "10.51.0.6/24" }, { address: "fd00:51::6/64" }],
    ["10.51.0.1", "fd00:51::1"],
  ],
  [
    "a link-local gateway of a subnet",
    [{ address: "fd00:51::5/64", gateway: "fe80::1" }],
    [{ address: "fd00:51::6/64", gateway: "fe80::1" }],
    ["fe80::1"],
  ],
  [
    "subnets of two addresses",
    [{ address: "10.51.0.5/31" }, { address: "fd00:51::4/127" }],
    [{ address: "10.51.0.6/31" }, { address: "fd00:51::7/127" }],
    ["10.51.0.4", "fd00:51::5"],
  ],
  [
    "several addresses of a family that share a gateway",
    [
      { address: "10.51.0.5/24", gateway: "10.51.0.1" },
      { address: "10.51.0.15/24", gateway: "10.51.0.1" },
      { address: "fd00:51::5/64", gateway: "fd00:51::1" },
      { address: "fd00:51::15/64", gateway: "fd00:51::1" },
    ],
    [{ address: "10.51.0.6/24" }, { address: "fd00:51::6/64" }],
    ["10.51.0.1", "10.51.0.1", "fd00:51::1", "fd00:51::1"],
  ],
  [
    "several addresses of a family in subnets of their own",
    [
      { address: "10.51.0.5/24", gateway: "10.51.0.1" },
      { address: "10.52.0.5/24", gateway: "10.52.0.254" },
      { address: "fd00:51::5/64" },
      { address: "fd00:52::5/64" },
      { address: "10.53.0.5/32" },
    ],
    [{ address: "10.51.0.6/24" }, { address: "fd00:51::6/64" }],
    ["10.51.0.1", "10.52.0.254", "fd00:51::1", "fd00:52::1", "169.254.1.1"],
  ],
];

/** As `ip` shows them after DEL of the first: everything that is not lo's or the second's. */
async function showGone(t: Test, host: Host, { addresses }: Attachment): Promise<void> {
  for (const address of addresses) {
    const family = isIpv6(address) ? "-6" : "-4";
    t.same(await host.ip(family, "route", "show", "exact", whole(address)), [], `no route to ${address}`);
  }
}

for (const [what, first, second, gateways] of FIXED) {
  await t.test(what, { timeout: TIMEOUT_MS }, async (t) => {
    const host = await makeHost(t);
    const outside = await host.outside();
    const c1 = await attach(await host.container("c1"), fixedNetwork("one", first));
    t.strictSame(gatewaysOf(c1), gateways, "each address has its gateway");
    const c2 = await attach(await host.container("c2"), fixedNetwork("two", second));
    await serve(servedOutside(outside), served(c1), served(c2));
    await routeBack(outside, [...c1.addresses, ...c2.addresses].map(whole));
    const families = new Set(c1.addresses.map(isIpv6));
    const aways = [outside.address4, outside.address6].filter((address) => families.has(isIpv6(address)));
    for (const address of c1.addresses) {
      const [peer] = c2.addresses.filter((each) => isIpv6(each) === isIpv6(address));
      const [away = ""] = aways.filter((each) => isIpv6(each) === isIpv6(address));
      t.same(await seenFrom(c2.container, [address]), twice([peer ?? ""]), `${address} sees its peer`);
      t.same(await seenFrom(outside, [address]), twice([away]), `${address} sees the outside`);
      t.ok(await host.ping(address), "the host reaches it");
    }
    for (const [attachment, others] of [
      [c1, c2.addresses],
      [c2, c1.addresses],
    ] as const) {
      const errors = (await seenFrom(attachment.container, [...others, ...aways])).flat();
      t.notOk(
        errors.some((seen) => /^E/.test(seen)),
        "it reaches the other and the outside",
        { errors },
      );
      for (const gateway of new Set(gatewaysOf(attachment))) {
        const where = gateway.startsWith("fe80") ? `${gateway}%eth0` : gateway;
        t.ok(await attachment.container.ping(where), `${where} is the host`);
      }
      silent(t, await attachment.check(), "CHECK is content");
    }
    silent(t, await c1.del(), "DEL");
    await showGone(t, host, c1);
    silent(t, await c2.check(), "the other stays");
    t.ok(await c2.container.ping(aways[0] ?? ""), "and reaches what it did");
  });
}

await t.test("two pairs of one container may have one gateway", { timeout: TIMEOUT_MS }, async (t) => {
  const host = await makeHost(t);
  const container = await host.container("c1");
  const networks: [NetworkConfig, string][] = [
    [fixedNetwork("one", [{ address: "10.51.0.5/32" }, { address: "fd00:51::5/128" }]), "eth0"],
    [fixedNetwork("two", [{ address: "10.51.0.6/32" }, { address: "fd00:51::6/128" }]), "net1"],
    [ptpNetwork("three", ["10.54.0.0/24", "fd00:54::/64"]), "net2"],
    [fixedNetwork("four", [{ address: "10.54.0.9/24" }, { address: "fd00:54::9/64" }]), "net3"],
  ];
  const attachments: Attachment[] = [];
  for (const [config, ifname] of networks) attachments.push(await attach(container, config, { ifname }));
  for (const attachment of attachments) silent(t, await attachment.check(), `${attachment.ifname}: CHECK`);
  for (const family of ["-4", "-6"]) {
    const [first] = await container.ip<{ dev: string; metric?: number }>(family, "route", "show", "default");
    t.equal(first?.dev, "eth0", "the first default route comes first");
  }
  for (const { addresses, ifname } of attachments) {
    for (const address of addresses) t.ok(await host.ping(address), `${ifname} is reached by ${address}`);
  }
  const [one, two] = attachments;
  if (!one || !two) throw new Error("There are four");
  await container.exec("ip", ["route", "delete", "169.254.1.1", "dev", "net1"]);
  const gone = { code: 100, msg: /^Expected Route 169\.254\.1\.1\/32 not found on interface net1$/ };
  refused(t, await two.check(), gone, "the route of the one is not taken for the other's");
  silent(t, await one.check(), "which is still good");
  silent(t, await one.del(), "DEL of the first");
  await container.exec("ip", ["route", "append", "169.254.1.1", "dev", "net1", "scope", "link"]);
  const [next] = await container.ip<{ dev: string }>("-6", "route", "show", "default");
  t.equal(next?.dev, "net1", "the next default route is left");
  for (const address of two.addresses) t.ok(await host.ping(address), `${address} is still reached`);
});

await t.test("two containers that are given one address", { timeout: TIMEOUT_MS }, async (t) => {
  const host = await makeHost(t);
  const same = [{ address: "10.51.0.5/24" }, { address: "fd00:51::5/64" }];
  const first = await attach(await host.container("c1"), fixedNetwork("one", same));
  const { ifname } = await first.hostEnd();
  const container = await host.container("c2");
  const before = await host.ip("address", "show");
  for (const addresses of [same, same.slice(1)]) {
    const config = fixedNetwork("two", addresses);
    const outcome = await host.cni("ptp", { command: "ADD", config, container });
    const msg = /^this host already has a route to (10\.51\.0\.5|fd00:51::5)$/;
    refused(
      t,
      outcome,
      { code: 7, msg, details: new RegExp(`it leads to "${ifname}"`) },
      "the second is refused",
    );
  }
  t.same(await host.ip("address", "show"), before, "and leaves nothing");
  for (const address of first.addresses) t.ok(await host.ping(address), "the first is as it was");
});

await t.test("routes and DNS come from IPAM, or from the network", { timeout: TIMEOUT_MS }, async (t) => {
  const host = await makeHost(t);
  const dns = { nameservers: ["10.51.0.53"], search: ["a.example"] };
  const routes = [{ dst: "10.77.0.0/16", gw: "10.51.0.1", mtu: 1300, advmss: 1200 }, { dst: "fd77::/48" }];
  const ipam = {
    type: "static",
    addresses: [{ address: "10.51.0.5/24" }, { address: "fd00:51::5/64" }],
    routes,
    dns,
  };
  const config = fixedNetwork("net", [], { ipam });
  const leased = await attach(await host.container("c1"), config);
  t.same(leased.result.dns, dns, "DNS of IPAM");
  t.same(leased.result.routes, routes, "routes of IPAM");
  const [route] = await leased.container.ip("route", "show", "10.77.0.0/16");
  t.match(route, { gateway: "10.51.0.1", metrics: [{ mtu: 1300, advmss: 1200 }] });
  const [route6] = await leased.container.ip("-6", "route", "show", "fd77::/48");
  t.match(route6, { gateway: "fd00:51::1" }, "a route without a gateway takes the family's");
  silent(t, await leased.check(), "CHECK");
  silent(t, await leased.del(), "DEL");
  const own = { nameservers: ["192.0.2.53"] };
  const named = await attach(await host.container("c2"), { ...config, dns: own });
  t.same(named.result.dns, own, "DNS of the network comes first");
});

await t.test("mac, by the runtime, args or CNI_ARGS", { timeout: TIMEOUT_MS }, async (t) => {
  const host = await makeHost(t);
  const [runtime, convention, args] = ["02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:03"];
  const config = ptpNetwork("net", ["10.50.0.0/24"]);
  const all = { ...config, runtimeConfig: { mac: runtime }, args: { cni: { mac: convention } } };
  const cases = [
    [all, runtime],
    [{ ...all, runtimeConfig: {} }, convention],
    [config, args],
  ] as const;
  for (const [index, [given, mac]] of cases.entries()) {
    const attachment = await attach(await host.container(`c${index}`), given, { args: `MAC=${args}` });
    t.equal((await attachment.container.link("eth0")).address, mac);
    t.equal(attachment.result.interfaces?.[1]?.mac, mac, "so says the result");
    silent(t, await attachment.check(), "CHECK");
  }
});
