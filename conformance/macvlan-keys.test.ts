/** The keys of macvlan, each with what ip shows of it: mtu, mac, bcqueuelen, linkInContainer, no master. */
import t, { type Test } from "tap";
import { attach, type NetworkConfig } from "./fixtures/attachment.ts";
import type { Container, Host } from "./fixtures/host.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { normalise } from "./fixtures/normalise.ts";
import type { PluginCall } from "./fixtures/plugin-call.ts";
import { refused, silent, unchanged } from "./fixtures/refusal.ts";
import { remains } from "./fixtures/remains.ts";
import { makeUnderlay, underlayNetwork } from "./fixtures/underlay.ts";

const TIMEOUT_MS = 120_000;
t.setTimeout(5 * TIMEOUT_MS);
// without addresses: each of these is about the link alone
const { ipam: _, ...LINK }: NetworkConfig = underlayNetwork("macvlan");
const lacks = await missing("macvlan");
const MAC = (last: number) => `02:00:00:00:00:0${last}`;

/** Calls `look` between ADD and DEL, and asserts that CHECK is content and nothing is left. */
async function between(
  t: Test,
  container: Container,
  { config = LINK, ...call }: PluginCall & { config?: NetworkConfig },
  look: () => Promise<void>,
): Promise<void> {
  const attachment = await attach(container, config, call);
  await look();
  silent(t, await attachment.check(), "CHECK");
  silent(t, await attachment.del(), "DEL");
  t.strictSame((await container.ip("link", "show")).filter(isMacvlan), [], "and the link is gone");
}

function isMacvlan({ linkinfo }: { linkinfo?: { info_kind?: string } }): boolean {
  return linkinfo?.info_kind === "macvlan";
}

async function makeStage(t: Test, options: { mtu?: number } = {}): Promise<[Host, Container]> {
  const { host } = await makeUnderlay(t, options);
  return [host, await host.container("c1")];
}

await t.test("mtu: 0 is the master's, and it is the most there is", { timeout: TIMEOUT_MS }, async (t) => {
  if (lacks) return skip(t, lacks);
  const [host, container] = await makeStage(t, { mtu: 1450 });
  const keys: [Record<string, unknown>, number][] = [
    [{}, 1450],
    [{ mtu: 0 }, 1450],
    [{ mtu: 1400 }, 1400],
    [{ mtu: 1450 }, 1450],
    [{ mtu: null }, 1450],
  ];
  for (const [key, mtu] of keys) {
    await between(t, container, { config: { ...LINK, ...key } }, async () => {
      t.equal((await container.link("eth0")).mtu, mtu, `${JSON.stringify(key)}: ${mtu}`);
    });
  }
  const before = normalise(await host.snapshot());
  for (const mtu of [1451, 65_535, -1]) {
    const config = { ...LINK, mtu };
    const msg = `invalid MTU ${mtu}, must be [0, master MTU(1450)]`;
    const outcome = await host.cni("macvlan", { command: "ADD", container, config });
    refused(
      t,
      outcome,
      mtu < 0 ? { code: 7, msg: /MTU|mtu/, details: /|./ } : { code: 7, msg, details: /|./ },
      msg,
    );
  }
  await unchanged(t, host, before, "and nothing has changed");
});

await t.test("mac: of the runtime, of CNI_ARGS, of the configuration", { timeout: TIMEOUT_MS }, async (t) => {
  if (lacks) return skip(t, lacks);
  const [host, container] = await makeStage(t);
  const key = { mac: MAC(1) };
  const args = `IgnoreUnknown=1;MAC=${MAC(2)}`;
  const runtime = { runtimeConfig: { mac: MAC(3) } };
  const cases: [what: string, keys: object, args: string | undefined, mac: string][] = [
    ["the key alone", key, undefined, MAC(1)],
    ["CNI_ARGS alone", {}, args, MAC(2)],
    ["CNI_ARGS before the key", key, args, MAC(2)],
    ["the runtime alone", runtime, undefined, MAC(3)],
    ["the runtime before all", { ...key, ...runtime }, args, MAC(3)],
  ];
  for (const [what, keys, args, mac] of cases) {
    const call = { config: { ...LINK, ...keys }, ...(args !== undefined && { args }) };
    await between(t, container, call, async () => {
      t.equal((await container.link("eth0")).address, mac, what);
    });
  }
  const before = normalise(await host.snapshot());
  const wrong: [what: string, keys: object, args?: string][] = [
    ["no MAC", { mac: "02:00:00:00:00" }],
    ["a multicast MAC", { mac: "01:00:5e:00:00:01" }],
    ["no MAC of the runtime", { runtimeConfig: { mac: "x" } }],
    ["no MAC of CNI_ARGS", {}, "IgnoreUnknown=1;MAC=x"],
  ];
  for (const [what, keys, args] of wrong) {
    const call = { config: { ...LINK, ...keys }, ...(args !== undefined && { args }) };
    const outcome = await host.cni("macvlan", { command: "ADD", container, ...call });
    t.ok([4, 7].includes(outcome.error?.code ?? 0), `${what}: code 7, or 4 for a variable`, outcome);
    refused(t, outcome, { msg: /mac|MAC|address/, details: /|./ }, `${what} is refused`);
  }
  await unchanged(t, host, before, "and nothing has changed");
});

await t.test("bcqueuelen, and keys in letters of any case", { timeout: TIMEOUT_MS }, async (t) => {
  if (lacks) return skip(t, lacks);
  const [, container] = await makeStage(t);
  for (const [key, found] of [
    [{ bcqueuelen: 2000 }, 2000],
    [{ BcQueueLen: 300 }, 300],
    [{ bcqueuelen: 0 }, 1000],
    [{}, 1000],
  ] as const) {
    await between(t, container, { config: { ...LINK, ...key } }, async () => {
      const { linkinfo } = await container.link("eth0");
      t.equal(linkinfo?.info_data?.["bcqueuelen"], found, `${JSON.stringify(key)}: ${found}`);
    });
  }
});

await t.test("the interface's name, and one that is taken", { timeout: TIMEOUT_MS }, async (t) => {
  if (lacks) return skip(t, lacks);
  const [host, container] = await makeStage(t);
  await between(t, container, { ifname: "fifteen-letters" }, async () => {
    t.match(await container.link("fifteen-letters"), { operstate: "UP" }, "15 letters");
    const config = { ...LINK, name: "another" };
    const call = { command: "ADD", container, ifname: "fifteen-letters", config };
    const before = normalise(await host.snapshot());
    const wanted = { msg: /fifteen-letters/, details: /|./ };
    refused(t, await host.cni("macvlan", call), wanted, "a second of the name is refused, by name");
    await unchanged(t, host, before, "and nothing has changed");
  });
});

await t.test("linkInContainer: the master is the container's", { timeout: TIMEOUT_MS }, async (t) => {
  if (lacks) return skip(t, lacks);
  const [host, container] = await makeStage(t);
  await container.exec("ip", ["link", "add", "eth0", "mtu", "1300", "type", "veth", "peer", "name", "far"]);
  await container.exec("sh", ["-c", "ip link set eth0 up; ip link set far up"]);
  const config: NetworkConfig = { ...LINK, linkInContainer: true };
  const before = normalise(await host.snapshot());
  await between(t, container, { config, ifname: "net1" }, async () => {
    const link = await container.link("net1");
    t.match(link, { link: "eth0", mtu: 1300, operstate: "UP" }, "it is on the container's eth0");
  });
  t.strictSame(remains(before, await host.snapshot()), [], "nothing is left");
  const missing = { ...config, master: "eth7" };
  const call = { command: "ADD", container, ifname: "net1", config: missing };
  refused(
    t,
    await host.cni("macvlan", call),
    { msg: /eth7/, details: /|./ },
    "a master it has not is refused",
  );
  await container.exec("ip", ["address", "add", "10.0.0.1/24", "dev", "eth0"]);
  await container.exec("ip", ["route", "add", "default", "via", "10.0.0.2"]);
  const { master: _, ...byRoute } = config;
  await between(t, container, { config: byRoute, ifname: "net1" }, async () => {
    t.match(
      await container.link("net1"),
      { link: "eth0" },
      "without a master: by the container's default route",
    );
  });
});

await t.test("no master: the default route's interface", { timeout: TIMEOUT_MS }, async (t) => {
  if (lacks) return skip(t, lacks);
  const [host, container] = await makeStage(t);
  const { master: _, ...config } = LINK;
  const { ifindex } = await host.link("eth0");
  const other = ["link add other0 index 2000 type veth peer name other1", "link set other1 up"];
  const up = ["link set other0 up", "address add 198.51.100.1/24 dev other0"];
  await host.exec("ip", ["-batch", "-"], { input: [...other, ...up].join("\n") });
  const cases: [what: string, change: string, index: number][] = [
    ["of two families", "true", ifindex],
    ["of one that is preferred", "ip route add default via 198.51.100.2 metric 50", ifindex],
    ["of IPv6 alone", "ip -4 route flush default", ifindex],
    ["of another interface", "ip -6 route flush default; ip route add default via 198.51.100.2", 2000],
  ];
  for (const [what, change, index] of cases) {
    await host.exec("sh", ["-c", change]);
    await between(t, container, { config }, async () => {
      t.equal((await container.link("eth0")).link_index, index, what);
    });
  }
  await host.exec("ip", ["route", "flush", "default"]);
  const before = normalise(await host.snapshot());
  const outcome = await host.cni("macvlan", { command: "ADD", container, config });
  const wanted = { msg: /no default route interface found/, details: /master/ };
  refused(t, outcome, wanted, "without a default route it is refused, and told what to do");
  await unchanged(t, host, before, "and nothing has changed");
});
