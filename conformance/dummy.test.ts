/** dummy: an interface that leads nowhere, with addresses that are the container's all the same. */
import t from "tap";
import { attach } from "./fixtures/attachment.ts";
import { makeHost } from "./fixtures/host.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { normalise } from "./fixtures/normalise.ts";
import { silent } from "./fixtures/refusal.ts";
import { remains } from "./fixtures/remains.ts";

const TIMEOUT_MS = 240_000;
t.setTimeout(TIMEOUT_MS);
const lacks = await missing("dummy");

await t.test("it is up, and answers at its addresses", { timeout: TIMEOUT_MS }, async (t) => {
  if (lacks) return skip(t, lacks);
  const host = await makeHost(t);
  const container = await host.container("c1");
  await container.exec("ip", ["link", "set", "lo", "up"]);
  const before = normalise(await host.snapshot());
  const ranges = [[{ subnet: "10.30.0.0/24" }], [{ subnet: "fd00:30::/64" }]];
  const routes = [{ dst: "10.31.0.0/16" }];
  const dns = { nameservers: ["10.30.0.1"] };
  const ipam = { type: "host-local", ranges, routes };
  const config = { cniVersion: "1.1.0", name: "net", type: "dummy", ipam, dns };
  const one = await attach(container, config);
  t.strictSame(one.addresses, ["10.30.0.2", "fd00:30::2"], "the result has the addresses");
  t.strictSame(one.result.dns, dns, "and the DNS settings of the configuration");
  const { linkinfo, flags, address, mtu, addr_info } = await container.link("eth0");
  t.equal(linkinfo?.info_kind, "dummy", "the link is a dummy");
  t.ok(flags.includes("UP") && flags.includes("LOWER_UP"), "and up");
  const held = addr_info.filter(({ scope }) => scope === "global");
  t.strictSame(
    held.map(({ local }) => local),
    one.addresses,
    "it has them",
  );
  t.notOk(
    held.some(({ tentative }) => tentative),
    "none waits for duplicate detection",
  );
  const interfaces = [{ name: "eth0", mac: address, mtu, sandbox: container.path }];
  t.strictSame(one.result.interfaces, interfaces, "the result has the interface, and no other");
  t.ok(
    one.result.ips?.every((ip) => ip.interface === 0),
    "whose they are",
  );
  t.strictSame(await container.answering(one.addresses), one.addresses, "they answer");
  const [route] = await container.ip("route", "show", "10.31.0.0/16");
  t.match(route, { gateway: "10.30.0.1", dev: "eth0" }, "routes are there");
  t.equal((await host.ip("link", "show", "type", "dummy")).length, 0, "the host has none of it");
  const two = await attach(container, { ...config, name: "other" }, { ifname: "eth1" });
  silent(t, await one.check(), "CHECK");
  silent(t, await two.check(), "CHECK of a second");
  silent(t, await one.del(), "DEL");
  silent(t, await two.check(), "which stays when the first goes");
  silent(t, await two.del(), "DEL");
  t.strictSame(remains(before, await host.snapshot()), [], "nothing is left");
});
