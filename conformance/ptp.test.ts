/**
 * ptp with packets: routed pairs without a bridge, in one family and in both, reachable at once. Unusual
 * addresses: ptp-addresses.test.ts. T17 and T13 of the topologies.
 */
import t, { type Test } from "tap";
import { type Attachment, attach } from "./fixtures/attachment.ts";
import { type Host, makeHost } from "./fixtures/host.ts";
import { SHOWN_BEFORE, skip } from "./fixtures/kernel.ts";
import {
  fixedNetwork,
  gatewaysOf,
  isIpv6,
  ptpNetwork,
  routeBack,
  seenFrom,
  serve,
  served,
  servedOutside,
  twice,
  whole,
} from "./fixtures/ptp-network.ts";
import { silent } from "./fixtures/refusal.ts";

const TIMEOUT_MS = 240_000;
t.setTimeout(8 * TIMEOUT_MS);
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
    if (SHOWN_BEFORE && subnets.length === 1) return skip(t, SHOWN_BEFORE);
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
        const client = outside ?? host;
        const arrived = [];
        for (const address of addresses.toReversed()) arrived.push(await client.ping(address, AT_ONCE));
        t.strictSame(arrived, [true, true], `from ${client.name} to container ${number}`);
        // not before: looking at a link is enough to have the kernel take note of its carrier
        const { addr_info } = await container.link("eth0");
        t.notOk(
          addr_info.some(({ tentative }) => tentative),
          "no address waits",
        );
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
  if (SHOWN_BEFORE) return skip(t, SHOWN_BEFORE);
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

await t.test("routes and DNS come from IPAM, or from the network", { timeout: TIMEOUT_MS }, async (t) => {
  if (SHOWN_BEFORE) return skip(t, SHOWN_BEFORE);
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
  if (SHOWN_BEFORE) return skip(t, SHOWN_BEFORE);
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
