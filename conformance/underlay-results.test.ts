/**
 * What macvlan, ipvlan, vlan and dummy make of IPAM's answer: routes with all that they may have, DNS
 * settings, and on a shared wire addresses that somebody else has already.
 */
import t from "tap";
import { attach } from "./fixtures/attachment.ts";
import { skip } from "./fixtures/kernel.ts";
import { normalise } from "./fixtures/normalise.ts";
import { refused, silent } from "./fixtures/refusal.ts";
import { remains } from "./fixtures/remains.ts";
import { lacksFor, makeUnderlay, UNDERLAY_TYPES } from "./fixtures/underlay.ts";

const TIMEOUT_MS = 240_000;
t.setTimeout(8 * TIMEOUT_MS);
const DNS = {
  nameservers: ["192.0.2.53"],
  domain: "example.com",
  search: ["a.example"],
  options: ["ndots:5"],
};
const addresses = [
  { address: "192.0.2.50/24", gateway: "192.0.2.2" },
  { address: "2001:db8:1::50/64", gateway: "2001:db8:1::2" },
];
const ROUTES = [
  { dst: "0.0.0.0/0" },
  { dst: "10.1.0.0/16", gw: "192.0.2.9" },
  { dst: "10.2.0.0/16", mtu: 1300, advmss: 1200, priority: 77 },
  { dst: "10.3.0.0/16", table: 100 },
  { dst: "fd02::/48", mtu: 1290, advmss: 1210, priority: 78 },
  { dst: "fd03::/48", gw: "2001:db8:1::9", table: 100 },
];

interface ShownRoute {
  dst: string;
  gateway?: string;
  metric?: number;
  table?: string;
  scope?: string;
  dev: string;
  metrics?: { mtu?: number; advmss?: number }[];
}

for (const underlayType of UNDERLAY_TYPES) {
  const { type, network } = underlayType;
  const lacks = await lacksFor(underlayType);

  await t.test(`${type}: routes and DNS of IPAM`, { timeout: TIMEOUT_MS }, async (t) => {
    if (lacks) return skip(t, lacks);
    const { host } = await makeUnderlay(t);
    const container = await host.container("c1");
    const ipam = { type: "static", addresses, routes: ROUTES, dns: DNS };
    const attachment = await attach(container, { ...network, ipam });
    const routes4 = await container.ip<ShownRoute>("-4", "route", "show", "table", "all");
    const routes6 = await container.ip<ShownRoute>("-6", "route", "show", "table", "all");
    const find = (dst: string) => [...routes4, ...routes6].find((route) => route.dst === dst);
    t.match(
      find("default"),
      { gateway: "192.0.2.2", dev: "eth0" },
      "a route without a gateway takes the first",
    );
    t.match(find("10.1.0.0/16"), { gateway: "192.0.2.9" }, "one with a gateway keeps it");
    const metrics = [{ mtu: 1300, advmss: 1200 }];
    t.match(find("10.2.0.0/16"), { metric: 77, metrics }, "mtu, advmss and priority");
    t.match(find("10.3.0.0/16"), { table: "100" }, "table");
    const metrics6 = [{ mtu: 1290, advmss: 1210 }];
    t.match(find("fd02::/48"), { gateway: "2001:db8:1::2", metric: 78, metrics: metrics6 }, "over IPv6");
    t.match(find("fd03::/48"), { gateway: "2001:db8:1::9", table: "100" }, "with a table");
    t.strictSame(attachment.result.dns, DNS, "the DNS settings of IPAM are kept");
    silent(t, await attachment.check(), "CHECK");
    const { dst } = { dst: "10.2.0.0/16" };
    await container.exec("ip", ["route", "change", dst, "via", "192.0.2.2", "metric", "77", "mtu", "1400"]);
    const changed = await attachment.check();
    refused(
      t,
      changed,
      { code: 100, msg: /10\.2\.0\.0/, details: /|./ },
      "CHECK with another MTU of a route",
    );
    silent(t, await attachment.del(), "DEL");

    const own = { nameservers: ["192.0.2.54"] };
    const scoped = { type: "static", addresses: [{ address: "192.0.2.50/24" }], dns: DNS };
    const direct = { ...scoped, routes: [{ dst: "198.51.100.0/24", scope: 253 }] };
    const preferred = await attach(container, { ...network, ipam: direct, dns: own });
    t.strictSame(preferred.result.dns, own, "those of the configuration come first");
    const [route] = await container.ip<ShownRoute>("route", "show", "198.51.100.0/24");
    t.match(route, { scope: "link", dev: "eth0" }, "scope");
    silent(t, await preferred.check(), "CHECK");
    silent(t, await preferred.del(), "DEL");
  });

  if (type === "dummy") continue; // it is on no wire
  await t.test(`T13: ${type}, an IPv6 address that somebody has`, { timeout: TIMEOUT_MS }, async (t) => {
    if (lacks) return skip(t, lacks);
    const { host, outside } = await makeUnderlay(t);
    const container = await host.container("c1");
    const place = type === "vlan" ? "vlan10" : "eth0";
    if (type === "vlan") {
      const steps = ["address flush dev eth0", "link add link eth0 name vlan10 type vlan id 10"];
      const own = ["address add 192.0.2.2/24 dev vlan10", "address add 2001:db8:1::2/64 dev vlan10 nodad"];
      const input = [...steps, ...own, "link set vlan10 up"].join("\n");
      await outside.exec("ip", ["-batch", "-"], { input });
    }
    await outside.exec("ip", ["address", "add", "2001:db8:1::50/64", "dev", place, "nodad"]);
    const before = normalise(await host.snapshot());
    const config = { ...network, ipam: { type: "static", addresses } };
    const call = { container, config };
    const added = await host.cni(type, { command: "ADD", ...call });
    const wanted = { msg: /2001:db8:1::50/, details: /|./ };
    if (added.code === 0) {
      t.comment("the answer was late");
      await container.exec("sh", [
        "-c",
        "until ip address show dev eth0 | grep -q dadfailed; do sleep 0.1; done",
      ]);
      const known = { ...config, prevResult: added.result };
      const checked = await host.cni(type, { command: "CHECK", container, config: known });
      refused(t, checked, { code: 100, ...wanted }, "ADD had no answer yet; CHECK names the address");
    } else refused(t, added, wanted, "ADD names the address");
    t.not(added.error?.code, 999, "with a code that says what it is");
    silent(t, await host.cni(type, { command: "DEL", ...call }), "DEL");
    t.strictSame(remains(before, await host.snapshot()), [], "nothing is left");
    await outside.exec("ip", ["address", "delete", "2001:db8:1::50/64", "dev", place]);
    const again = await attach(container, config);
    t.strictSame(await outside.answering(again.addresses), again.addresses, "then it is to be had");
    silent(t, await again.del(), "DEL");
  });
}
