/**
 * What attachments have in common: a name, an address, a link below. One may not take another's, nor take it
 * along when it goes.
 */
import t from "tap";
import { attach, type NetworkConfig } from "./fixtures/attachment.ts";
import { missing, SHOWN_BEFORE, skip } from "./fixtures/kernel.ts";
import { normalise } from "./fixtures/normalise.ts";
import { fixedNetwork } from "./fixtures/ptp-network.ts";
import { refused, silent } from "./fixtures/refusal.ts";
import { makeUnderlay, underlayNetwork } from "./fixtures/underlay.ts";

const TIMEOUT_MS = 240_000;
t.setTimeout(4 * TIMEOUT_MS);
const REFUSED = { code: 7, details: /./ };

await t.test("DEL in another namespace than ADD's", { timeout: TIMEOUT_MS }, async (t) => {
  if (SHOWN_BEFORE) return skip(t, SHOWN_BEFORE);
  const lacks = await missing("macvlan");
  if (lacks) return skip(t, lacks);
  const { host } = await makeUnderlay(t);
  const one = await attach(await host.container("c1"), underlayNetwork("macvlan"));
  const two = await host.container("c2");
  const elsewhere = { config: one.config, container: one.container, netns: two.path };
  const again = await host.cni("macvlan", { command: "ADD", ...elsewhere });
  refused(t, again, { code: 4, msg: /already has "eth0"/, details: /run DEL first/ }, "a second ADD there");
  silent(t, await host.cni("macvlan", { command: "DEL", ...elsewhere }), "and its DEL");
  const links = await one.container.ip("link");
  t.notOk(
    links.some(({ ifname }) => ifname === "eth0"),
    "takes the interface with the lease: nobody else gets an address that is still in use",
  );
});

await t.test("addresses that are somebody's", { timeout: TIMEOUT_MS }, async (t) => {
  if (SHOWN_BEFORE) return skip(t, SHOWN_BEFORE);
  const { host } = await makeUnderlay(t);
  const [one, two] = [await host.container("c1"), await host.container("c2")];
  await attach(one, fixedNetwork("first", [{ address: "10.9.0.2/24" }, { address: "fd00:9::2/64" }]));
  await host.exec("ip", ["address", "add", "10.9.0.77/32", "dev", "lo"]);
  const before = normalise(await host.snapshot());
  const cases: [what: string, network: NetworkConfig, msg: RegExp][] = [
    [
      "another's for a gateway",
      fixedNetwork("net", [{ address: "10.9.0.3/24", gateway: "10.9.0.2" }]),
      /10\.9\.0\.2/,
    ],
    ["another's IPv6", fixedNetwork("net", [{ address: "fd00:9::3/64", gateway: "fd00:9::2" }]), /fd00:9::2/],
    [
      "the host's own",
      fixedNetwork("net", [{ address: "10.9.0.77/24" }]),
      /10\.9\.0\.77 is an address of this host/,
    ],
  ];
  for (const [what, config, msg] of cases) {
    refused(t, await host.cni("ptp", { command: "ADD", config, container: two }), { ...REFUSED, msg }, what);
  }
  t.strictSame(normalise(await host.snapshot()), before, "nothing has changed");
  t.ok(await host.ping("10.9.0.2"), "and the first is reached");
});

await t.test("a VLAN of a sub-interface on demand", { timeout: TIMEOUT_MS }, async (t) => {
  const lacks = await missing("8021q", "macvlan");
  if (lacks) return skip(t, lacks);
  const { host } = await makeUnderlay(t);
  const outer = await attach(await host.container("c1"), {
    ...underlayNetwork("macvlan", { master: "eth0.10" }),
    name: "outer",
  });
  const inner = await attach(await host.container("c2"), {
    ...underlayNetwork("macvlan", { master: "eth0.10", vlan: 20 }),
    name: "inner",
  });
  silent(t, await outer.del(), "DEL of who made eth0.10");
  const left = async () => (await host.ip("link", "show", "type", "vlan")).map(({ ifname }) => ifname).sort();
  t.strictSame(await left(), ["eth0.10", "eth0.10.20"], "leaves it to whom it carries");
  t.ok((await inner.container.link("eth0")).flags.includes("LOWER_UP"), "who has carrier");
  silent(t, await inner.del(), "DEL of that one");
  t.strictSame(await left(), [], "takes both");
});

await t.test("one name, two masters", { timeout: TIMEOUT_MS }, async (t) => {
  const lacks = await missing("ipvlan");
  if (lacks) return skip(t, lacks);
  const { host } = await makeUnderlay(t);
  for (const [name, mode, last] of [
    ["c1", "l2", 1],
    ["c2", "l3", 2],
  ] as const) {
    const container = await host.container(name);
    await container.exec("ip", ["link", "add", "up0", "type", "veth", "peer", "name", "up1"]);
    await container.exec("ip", ["link", "set", "up0", "up"]);
    const ipam = { type: "static", addresses: [{ address: `10.8.0.${last}/24` }] };
    const config = { ...underlayNetwork("ipvlan", { master: "up0", mode, linkInContainer: true }), ipam };
    const added = await attach(container, config);
    t.equal(added.addresses.length, 1, `${mode} on the up0 of ${name}, whatever those of others have`);
  }
});
