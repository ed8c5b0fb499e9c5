/**
 * Addresses of ptp that are not one of a subnet behind its first: without a subnet, several of a family, of
 * two interfaces, of two containers. Each is reached, by packets. T17 and T13 of the topologies.
 */
import t, { type Test } from "tap";
import { type Attachment, attach, type NetworkConfig } from "./fixtures/attachment.ts";
import { type Host, makeHost } from "./fixtures/host.ts";
import {
  type FixedAddress,
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
import { refused, silent } from "./fixtures/refusal.ts";

const TIMEOUT_MS = 60_000;
t.setTimeout(8 * TIMEOUT_MS);

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
