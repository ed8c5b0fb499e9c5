/**
 * macspoofchk of bridge, with packets: a frame with another source MAC than the container's goes nowhere,
 * not even by way of a device behind it; what CHECK notices, what DEL and GC take away.
 */
import t from "tap";
import { type Attachment, attach, bridgeNetwork } from "./fixtures/attachment.ts";
import { type Host, makeHost } from "./fixtures/host.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { normalise } from "./fixtures/normalise.ts";
import { filterBridgedFrames, rulesAbout } from "./fixtures/packet-filter.ts";
import type { PluginOutcome } from "./fixtures/plugin-call.ts";
import { refused, silent } from "./fixtures/refusal.ts";
import { remains } from "./fixtures/remains.ts";

const TIMEOUT_MS = 120_000;
t.setTimeout(3 * TIMEOUT_MS);
const SUBNETS = ["10.24.0.0/24", "fd00:24::/64"];
const GATEWAYS = ["10.24.0.1", "fd00:24::1"];
const OTHER_MAC = "02:00:00:00:00:66";
const lacks = await missing("bridge", "br_netfilter", "nf_tables");
const TAMPERINGS = [
  "nft flush set bridge weft macs",
  "nft flush set bridge weft checked",
  "nft flush table bridge weft",
  "nft delete table bridge weft",
];
const checked = bridgeNetwork("net", SUBNETS, { bridge: "br-net", macspoofchk: true });
const open = bridgeNetwork("net", SUBNETS, { bridge: "br-net" });

/** Whether pings to the gateways are answered, each asked for anew by a neighbour who knows nobody. */
async function reachesGateways({ container }: Attachment): Promise<boolean[]> {
  const forget = "ip neigh flush dev br-net";
  await container.host.exec("sh", ["-c", forget]);
  await container.exec("ip", ["neigh", "flush", "dev", "eth0"]);
  return Promise.all(GATEWAYS.map((address) => container.ping(address)));
}

/** The container's own interface gets another MAC, and its address back that it lost with it. */
async function changeMac({ container, addresses }: Attachment, mac: string): Promise<void> {
  const lines = [
    `ip link set eth0 address ${mac}`,
    `ip -6 address replace ${addresses[1]}/64 dev eth0 nodad`,
    `ip route replace default via ${GATEWAYS[0]}`,
  ];
  await container.exec("sh", ["-e", "-c", lines.join("\n")]);
}

for (const filtered of [0, 1] as const) {
  await t.test(`frames with another MAC, bridge-nf-call ${filtered}`, { timeout: TIMEOUT_MS }, async (t) => {
    if (lacks) return skip(t, lacks);
    const host = await makeHost(t);
    await filterBridgedFrames(host, filtered);
    const c1 = await attach(await host.container("c1"), checked);
    const c2 = await attach(await host.container("c2"), checked);
    const free = await attach(await host.container("free"), open);
    t.same(await reachesGateways(c1), [true, true], "with its own MAC a container reaches its gateways");
    t.ok(await c1.container.ping(c2.address), "and its neighbours");
    const { address: own } = await c1.container.link("eth0");

    for (const attachment of [c1, free])
      await changeMac(attachment, OTHER_MAC.replace("66", attachment === c1 ? "66" : "77"));
    t.same(await reachesGateways(free), [true, true], "one that is not checked takes any MAC");
    const capture = await c2.container.capture("eth0", `ether src ${OTHER_MAC}`);
    t.same(await reachesGateways(c1), [false, false], "one that is checked reaches nobody");
    t.notOk(await c1.container.ping(c2.address), "not even a neighbour");
    const { address: stolen } = await c2.container.link("eth0");
    await changeMac(c1, stolen);
    t.same(await reachesGateways(c1), [false, false], "nor with a MAC that another has");
    t.same(await reachesGateways(c2), [true, true], "who is not harmed");
    t.same(capture.frames, [], "no frame has passed");
    await capture.stop();
    await changeMac(c1, own);
    t.same(await reachesGateways(c1), [true, true], "its own MAC passes again");

    t.ok(await reachesFromBehind(host, free), "a device behind one that is not checked reaches the gateway");
    t.notOk(await reachesFromBehind(host, c1), "one behind a container that is checked does not");
    for (const attachment of [c1, c2]) silent(t, await attachment.del(), "DEL says nothing");
    t.same(
      await rulesAbout(host, own, c1.container.containerId, c2.container.containerId),
      [],
      "and leaves no rule",
    );
  });
}

/** Whether a device behind the container's own, which sends with a MAC of its own, reaches the gateway. */
async function reachesFromBehind(host: Host, { container }: Attachment): Promise<boolean> {
  const inner = await host.container("behind");
  const link = "link add link eth0 name mv0 netns behind type macvlan mode bridge";
  await host.exec("ip", ["-netns", container.name, ...link.split(" ")]);
  await inner.exec("sh", ["-e", "-c", "ip address add 10.24.0.77/24 dev mv0; ip link set mv0 up"]);
  const reached = await inner.ping(GATEWAYS[0] ?? "");
  await inner.remove();
  return reached;
}

await t.test("what CHECK notices, and DEL and GC remove", { timeout: TIMEOUT_MS }, async (t) => {
  if (lacks) return skip(t, lacks);
  const host = await makeHost(t);
  const stays = await attach(await host.container("stays"), checked);
  const before = normalise(await host.snapshot());
  const call = (attachment: Attachment, command: string, keys: object = {}): Promise<PluginOutcome> =>
    host.cni("bridge", { command, container: attachment.container, config: checked, ...keys });
  const removals: [how: string, remove: (attachment: Attachment) => Promise<PluginOutcome>][] = [
    ["DEL", (attachment) => attachment.del()],
    ["DEL when CNI_NETNS is empty", (attachment) => call(attachment, "DEL", { netns: "" })],
    [
      "DEL when the namespace is gone",
      async (attachment) => {
        await attachment.container.remove();
        return call(attachment, "DEL");
      },
    ],
    [
      "GC",
      () => {
        const valid = [{ containerID: stays.container.containerId, ifname: "eth0" }];
        return host.cni("bridge", {
          command: "GC",
          config: { ...checked, "cni.dev/valid-attachments": valid },
        });
      },
    ],
  ];
  for (const [index, [how, remove]] of removals.entries()) {
    const attachment = await attach(await host.container(`goes${index}`), checked);
    const { containerId, name } = attachment.container;
    t.ok((await rulesAbout(host, `net/${containerId}/eth0`)).length > 0, "rules tell of a container");
    silent(t, await remove(attachment), `${how} says nothing`);
    t.same(await rulesAbout(host, `net/${containerId}/eth0`), [], `${how} leaves no rule`);
    await host.containers.get(name)?.remove();
    t.same(remains(before, await host.snapshot()), [], `${how} leaves nothing else`);
  }

  silent(t, await stays.check(), "CHECK is content");
  await host.exec("sh", ["-c", "nft -s list ruleset > /run/saved"]);
  for (const tampering of TAMPERINGS) {
    await host.exec("sh", ["-e", "-c", tampering]);
    refused(t, await stays.check(), { code: 100, msg: /bridge weft|MAC|mac/ }, `CHECK notices: ${tampering}`);
    await host.exec("sh", ["-e", "-c", "nft flush ruleset; nft -f /run/saved"]);
  }
  silent(t, await stays.check(), "CHECK is content again");
});
