/**
 * hostAccess: the host reaches its macvlan children, and they reach it, by a link that is made for that with
 * the first of them and goes with the last.
 */
import t, { type Test } from "tap";
import { type Attachment, attach } from "./fixtures/attachment.ts";
import type { Host } from "./fixtures/host.ts";
import { missing, SHOWN_BEFORE, skip } from "./fixtures/kernel.ts";
import { normalise } from "./fixtures/normalise.ts";
import { refused, silent, unchanged } from "./fixtures/refusal.ts";
import { remains } from "./fixtures/remains.ts";
import { makeUnderlay, type Underlay, underlayNetwork, wireAddresses } from "./fixtures/underlay.ts";

const TIMEOUT_MS = 240_000;
t.setTimeout(5 * TIMEOUT_MS);
const routes = [{ dst: "0.0.0.0/0" }, { dst: "::/0" }];
const ipam = { ...wireAddresses(), routes };
const NETWORK = underlayNetwork("macvlan", { hostAccess: true, ipam });
const lacks = await missing("macvlan");
/** All but the first depend on no kernel. */
const lacksHere = lacks ?? SHOWN_BEFORE;

/** The links of the host that stand in for it: no network of this file has others of that kind there. */
async function shims(host: Host) {
  return (await host.ip("link", "show")).filter(({ linkinfo }) => linkinfo?.info_kind === "macvlan");
}

/** Who reaches whom, in both directions and both families. */
async function showReach(t: Test, { host, outside }: Underlay, { container, addresses }: Attachment) {
  const wire = [outside.address4, outside.address6];
  const toHost = [outside.hostAddress4, outside.hostAddress6];
  const fromHost = [...addresses, ...wire];
  t.strictSame(await host.answering(fromHost), fromHost, "the host reaches the container, and the wire");
  t.strictSame(await outside.answering(addresses), addresses, "a machine on the wire reaches it, too");
  const reached = await container.answering([...toHost, ...wire]);
  t.strictSame(reached, [...toHost, ...wire], "the container reaches the host, and the wire");
  const server = await host.serve({ protocol: "tcp" });
  const ask = { protocol: "tcp", address: outside.hostAddress4, port: server.port } as const;
  const answer = await container.ask(ask);
  const wanted = { error: undefined, seenAddress: addresses[0] };
  t.match(answer, wanted, "a server on the host sees the container's address");
  await server.stop();
}

await t.test("both ways, and as long as somebody wants it", { timeout: TIMEOUT_MS }, async (t) => {
  if (lacks) return skip(t, lacks);
  const underlay = await makeUnderlay(t);
  const { host } = underlay;
  const [one, two] = [await host.container("c1"), await host.container("c2")];
  const before = normalise(await host.snapshot());
  const c1 = await attach(one, NETWORK);
  await showReach(t, underlay, c1);
  const [shim] = await shims(host);
  t.equal(shim?.link, "eth0", "the host has a macvlan on the master");
  const c2 = await attach(two, NETWORK);
  await showReach(t, underlay, c2);
  t.equal((await shims(host)).length, 1, "both share it");
  silent(t, await c1.check(), "CHECK of the first");
  silent(t, await c2.check(), "CHECK of the second");
  silent(t, await c1.del(), "DEL of the first");
  await showReach(t, underlay, c2);
  await showQuiet(t, underlay);
  const left = await host.ip("route", "get", c1.address);
  t.equal(left[0]?.dev, "eth0", "the route to the first is gone");
  silent(t, await c2.del(), "DEL of the second");
  t.strictSame(await shims(host), [], "takes the link away");
  t.strictSame(remains(before, await host.snapshot()), [], "and all that came with it");
  silent(t, await c2.del(), "DEL again");

  const again = await attach(one, NETWORK);
  await showReach(t, underlay, again);
  silent(t, await again.del(), "and DEL once more");
  t.strictSame(remains(before, await host.snapshot()), [], "leaves nothing either");
});

/** The address of the host stays where it is: nobody on the wire learns another MAC for it. */
async function showQuiet(t: Test, { host, outside }: Underlay): Promise<void> {
  await outside.exec("ip", ["neighbour", "flush", "dev", "eth0"]);
  const { address: mac } = await host.link("eth0");
  for (const address of [outside.hostAddress4, outside.hostAddress6]) {
    t.ok(await outside.ping(address), `the host is reached at ${address}`);
    const [entry] = await outside.ip("neighbour", "show", "to", address, "dev", "eth0");
    t.equal(entry?.["lladdr"], mac, "with the master's MAC");
  }
}

await t.test("two networks on one master", { timeout: TIMEOUT_MS }, async (t) => {
  if (lacksHere) return skip(t, lacksHere);
  const underlay = await makeUnderlay(t);
  const { host } = underlay;
  const names = ["c1", "c2", "c3"];
  const [one, two, three] = await Promise.all(names.map((name) => host.container(name)));
  if (!one || !two || !three) throw new Error("No containers");
  const before = normalise(await host.snapshot());
  const fixed = (last: number) => {
    const addresses = [`192.0.2.${last}/24`, `2001:db8:1::${last}/64`].map((address) => ({ address }));
    return { ipam: { type: "static", addresses } };
  };
  const c1 = await attach(one, NETWORK);
  const c2 = await attach(two, { ...NETWORK, name: "other", ...fixed(7) });
  const c3 = await attach(three, { ...NETWORK, name: "apart", hostAccess: false, ...fixed(8) });
  await showReach(t, underlay, c1);
  await showReach(t, underlay, c2);
  for (const address of c3.addresses) {
    t.notOk(await host.ping(address), `${address} of a network that did not ask is not reached`);
    t.ok(await one.ping(address), "but by its neighbours");
  }
  silent(t, await c1.del(), "DEL of the first network's");
  await showReach(t, underlay, c2);
  silent(t, await c2.del(), "DEL of the other's");
  t.strictSame(await shims(host), [], "takes the link away");
  t.ok(await three.ping(underlay.outside.address4), "the third network goes on");
  silent(t, await c3.del(), "DEL");
  t.strictSame(remains(before, await host.snapshot()), [], "nothing is left");
});

await t.test("the end of it, however it comes", { timeout: TIMEOUT_MS }, async (t) => {
  if (lacksHere) return skip(t, lacksHere);
  const { host } = await makeUnderlay(t);
  const before = normalise(await host.snapshot());
  const valid = (list: object[]) => ({ ...NETWORK, "cni.dev/valid-attachments": list });

  await attach(await host.container("c1"), NETWORK);
  silent(t, await host.cni("macvlan", { command: "GC", config: valid([]) }), "GC with the namespace alive");
  await host.containers.get("c1")?.remove();
  t.strictSame(remains(before, await host.snapshot()), [], "leaves nothing");

  const gone = await attach(await host.container("c1"), NETWORK);
  await gone.container.remove();
  silent(t, await gone.del(), "DEL with the namespace gone");
  t.strictSame(remains(before, await host.snapshot()), [], "leaves nothing");

  await attach(await host.container("c1"), NETWORK).then(({ container }) => container.remove());
  silent(t, await host.cni("macvlan", { command: "GC", config: valid([]) }), "GC with the namespace gone");
  t.strictSame(remains(before, await host.snapshot()), [], "leaves nothing");

  const robbed = await attach(await host.container("c1"), NETWORK);
  for (const { ifname } of await shims(host)) await host.exec("ip", ["link", "delete", ifname]);
  silent(t, await robbed.del(), "DEL after somebody else has deleted the link");
  await robbed.container.remove();
  t.strictSame(remains(before, await host.snapshot()), [], "leaves nothing");

  const range = { subnet: "192.0.2.0/24", rangeStart: "192.0.2.60", rangeEnd: "192.0.2.60" };
  const small = { ...NETWORK, name: "small", ipam: { type: "host-local", ranges: [[range]] } };
  const only = await attach(await host.container("c1"), small);
  const call = { command: "ADD", container: await host.container("c2"), config: small };
  refused(
    t,
    await host.cni("macvlan", call),
    { code: 11, msg: /no IP addresses/, details: /|./ },
    "a pool that is full",
  );
  t.equal((await shims(host)).length, 1, "the link is still there for the one who holds it");
  t.ok(await host.ping(only.address), "who is reached");
  silent(t, await only.del(), "DEL");
  for (const container of [...host.containers.values()]) await container.remove();
  t.strictSame(remains(before, await host.snapshot()), [], "leaves nothing");

  const broken = { ...NETWORK, name: "broken", ipam: { type: "static", addresses: [{ address: "x" }] } };
  const failed = { command: "ADD", container: await host.container("c1"), config: broken };
  refused(t, await host.cni("macvlan", failed), { msg: /./, details: /|./ }, "an ADD that fails");
  await host.containers.get("c1")?.remove();
  t.strictSame(remains(before, await host.snapshot()), [], "takes back what it made");
});

await t.test("CHECK finds what is missing on the host", { timeout: TIMEOUT_MS }, async (t) => {
  if (lacksHere) return skip(t, lacksHere);
  const { host } = await makeUnderlay(t);
  const container = await host.container("c1");
  const steps: [what: string, command: (shim: string) => string][] = [
    ["the link deleted", (shim) => `link delete ${shim}`],
    ["the link down", (shim) => `link set ${shim} down`],
    ["the route deleted", () => "route delete 192.0.2.50/32"],
    ["the neighbour deleted", (shim) => `neighbour delete 192.0.2.50 dev ${shim}`],
    ["the IPv6 route deleted", () => "-6 route delete 2001:db8:1::50/128"],
  ];
  for (const [what, command] of steps) {
    const one = await attach(container, { ...NETWORK, name: what.replaceAll(" ", "-") });
    silent(t, await one.check(), "CHECK before");
    const [shim] = await shims(host);
    await host.exec("ip", command(shim?.ifname ?? "").split(" "));
    const wanted = { code: 100, msg: /./, details: /|./ };
    refused(t, await one.check(), wanted, `CHECK with ${what}`);
    silent(t, await one.del(), "DEL");
    t.strictSame(await shims(host), [], "and nothing is left on the host");
  }
});

await t.test("a subnet in which the host has no address", { timeout: TIMEOUT_MS }, async (t) => {
  if (lacksHere) return skip(t, lacksHere);
  const { host } = await makeUnderlay(t);
  const container = await host.container("c1");
  const addresses = ["203.0.113.5/24", "2001:db8:9::5/64"].map((address) => ({ address }));
  const hostAccessAddresses = ["203.0.113.1", "2001:db8:9::1"];
  for (const address of hostAccessAddresses) await host.exec("ip", ["address", "add", address, "dev", "lo"]);
  const before = normalise(await host.snapshot());
  const config = { ...NETWORK, hostAccessAddresses, ipam: { type: "static", addresses } };
  const one = await attach(container, config);
  for (const address of one.addresses) t.ok(await host.ping(address), `the host reaches ${address}`);
  for (const address of hostAccessAddresses) {
    t.ok(await container.ping(address), `the container reaches it at ${address}, which lo has`);
  }
  silent(t, await one.check(), "CHECK");
  silent(t, await one.del(), "DEL");
  t.strictSame(remains(before, await host.snapshot()), [], "nothing is left");
});

await t.test("where there is no such thing", { timeout: TIMEOUT_MS }, async (t) => {
  if (lacksHere) return skip(t, lacksHere);
  const { host } = await makeUnderlay(t);
  const container = await host.container("c1");
  const before = normalise(await host.snapshot());
  // a macvlan of bridge mode reaches none of the other modes: macvlan_hash_lookup(), macvlan_queue_xmit()
  for (const keys of [
    { mode: "private" },
    { mode: "vepa" },
    { mode: "passthru" },
    { linkInContainer: true },
  ]) {
    const config = { ...NETWORK, ...keys };
    const outcome = await host.cni("macvlan", { command: "ADD", container, config });
    const wanted = { code: 7, msg: /hostAccess/, details: /|./ };
    refused(t, outcome, wanted, `with ${JSON.stringify(keys)} it is refused, by the key's name`);
  }
  const addresses = { ...NETWORK, hostAccessAddresses: ["x"] };
  const call = { command: "ADD", container, config: addresses };
  refused(
    t,
    await host.cni("macvlan", call),
    { code: 7, msg: /|./, details: /hostAccessAddresses|x/ },
    "no address",
  );
  await unchanged(t, host, before, "and nothing has changed");
});
