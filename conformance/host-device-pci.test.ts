/**
 * host-device with network cards, which need a machine of their own: found by their place and address, in
 * containers that reach each other, unplugged, driven by a program, and in a container that dies. The kernel
 * gives hardware to its initial namespace then, so that is the host here.
 */
import t, { type Test } from "tap";
import { type Attachment, attach } from "./fixtures/attachment.ts";
import type { Container } from "./fixtures/host.ts";
import { claimsOf, deviceIn, deviceNetwork } from "./fixtures/host-device.ts";
import { IN_SECOND_KERNEL, skip } from "./fixtures/kernel.ts";
import { machineHost } from "./fixtures/machine.ts";
import { refused, silent } from "./fixtures/refusal.ts";

const TIMEOUT_MS = 240_000;
t.setTimeout(TIMEOUT_MS);
if (!IN_SECOND_KERNEL) {
  skip(t, "needs network cards that are nobody's: those of a-second-kernel.test.ts");
  process.exit();
}

/** As second-kernel/machine.ts plugs them in: two of virtio on a cable, and another kind. */
const [FIRST, SECOND, OTHER] = ["0000:00:10.0", "0000:00:11.0", "0000:00:12.0"] as const;
const BUS = "/sys/bus/pci/devices";
const VALID = "cni.dev/valid-attachments";

const host = await machineHost(t);
await host.exec("sh", [
  "-c",
  "for it in virtio_net e1000; do modprobe $it || exit; done; mkdir -p /run/netns",
]);

interface Card {
  readonly pci: string;
  readonly ifname: string;
  readonly address: string;
  /** The directory above net/. */
  readonly path: string;
}

async function cardOf(pci: string): Promise<Card> {
  const script = `cd $(readlink -f ${BUS}/${pci}); for it in net/* virtio*/net/*; do
    [ -e $it/address ] && echo "\${it##*/} $(cat $it/address) $(dirname $(dirname $PWD/$it))"; done`;
  const { stdout } = await host.exec("sh", ["-c", script], { reject: false });
  const [ifname = "", address = "", path = ""] = stdout.trim().split(" ");
  return { pci, ifname, address, path };
}

const cards = [await cardOf(FIRST), await cardOf(SECOND), await cardOf(OTHER)] as const;
const [first, second, other] = cards;
// a MAC and an MTU to lose, an alias to keep
for (const { ifname } of cards)
  await host.ip("link", "set", ifname, "mtu", "1480", "alias", `card ${ifname}`, "up");

async function isAsBefore(t: Test, { ifname, address }: Card, what: string): Promise<void> {
  const wanted = { ifname, address, mtu: 1480, up: true, ifalias: `card ${ifname}`, addresses: [] };
  t.strictSame(await deviceIn(host, ifname), wanted, what);
  t.strictSame(await claimsOf(host), [], "no lease, no record");
}

/** A network of the card that the keys name. */
function network(keys: Record<string, unknown>) {
  return deviceNetwork({ device: undefined, ...keys });
}

function run(name: string, act: (t: Test) => Promise<void>): Promise<unknown> {
  return t.test(name, { timeout: TIMEOUT_MS }, act);
}

await run("a card is found by its place and its address", async (t) => {
  const container = await host.container("c1");
  const directory = (path: string) => path.replace(/\/virtio\d+$/, "");
  const ways: [card: Card, keys: Record<string, unknown>][] = [
    [first, { pciBusID: FIRST }],
    [first, { runtimeConfig: { deviceID: FIRST } }],
    [first, { pciBusID: OTHER, runtimeConfig: { deviceID: FIRST } }],
    [first, { kernelpath: first.path }],
    [first, { kernelpath: directory(first.path) }],
    [second, { hwaddr: second.address }],
    [second, { device: second.ifname }],
    [other, { pciBusID: OTHER }],
    [other, { kernelpath: `${other.path}/` }],
  ];
  t.match(first.path, /\/virtio\d+$/, "one lies a level deeper");
  for (const [card, keys] of ways) {
    const what = JSON.stringify(keys);
    const attachment = await attach(container, network({ ipam: {}, ...keys }));
    const [found] = attachment.result.interfaces ?? [];
    t.match(found, { name: "eth0", mac: card.address, mtu: 1480, pciID: card.pci }, what);
    t.match(await deviceIn(container, "eth0"), { ifalias: card.ifname, up: true }, "it is there");
    if ("pciBusID" in keys || "kernelpath" in keys) {
      // whose interface /sys does not show any more
      const another = { config: attachment.config, containerId: "c2", netns: container.path, ifname: "eth1" };
      const refusal = await host.cni("host-device", { command: "ADD", ...another });
      refused(t, refusal, { code: 11, msg: /is in use: container "c1-/ }, "it is in use");
    }
    silent(t, await attachment.del(), "DEL");
  }
  for (const card of cards) await isAsBefore(t, card, `${card.ifname} is as it was`);
  await container.remove();
});

await run("two containers reach each other by their cards", async (t) => {
  const attachments: Attachment[] = [];
  for (const { pci, ifname } of [first, second])
    attachments.push(await attach(await host.container(`of-${ifname}`), network({ pciBusID: pci })));
  const [one, two] = attachments;
  for (const address of two?.addresses ?? [])
    t.ok(await one?.container.ping(address, { waitSeconds: 5 }), address);
  const [neighbour] = (await one?.container.ip("neighbour", "show", two?.address ?? "")) ?? [];
  t.match(neighbour, { lladdr: second.address }, "with the MAC of the card");
  for (const attachment of attachments) {
    silent(t, await attachment.check(), "CHECK");
    silent(t, await attachment.del(), "DEL");
    await attachment.container.remove();
  }
  for (const card of [first, second]) await isAsBefore(t, card, "it is as it was");
});

/** Lets the container die with the card, and waits for the kernel to give the card to the host. */
async function die(container: Container, { address }: Card): Promise<string> {
  await container.remove();
  const script = `for _ in $(seq 500); do ip -br link | grep ${address} && exit; sleep 0.02; done; exit 1`;
  const { stdout } = await host.exec("sh", ["-c", script]);
  return stdout.split(" ")[0] ?? "";
}

const RECORDS = "/run/weft/attachments";

await run("a card whose container died is given back", async (t) => {
  const keys = { pciBusID: FIRST };
  const del = (call: object) => host.cni("host-device", { command: "DEL", config: network(keys), ...call });
  const gone = { containerId: "c1-0123456789abcdef", netns: "/run/netns/c1", ifname: "net1" };
  const start = async (more: Record<string, unknown> = {}) =>
    attach(await host.container("c1"), network({ ...keys, ...more }), { ifname: "net1" });

  const { container } = await start();
  await container.exec("sh", [
    "-c",
    "ip link set net1 down; ip link set net1 address 52:54:00:00:00:99 mtu 1400",
  ]);
  const name = await die(container, { ...first, address: "52:54:00:00:00:99" });
  t.equal(name, "net1", "the kernel leaves it the name it had there");
  silent(t, await del({ ...gone, netns: "" }), "DEL with an empty CNI_NETNS");
  await isAsBefore(t, first, "name, MAC, MTU, alias and up");
  silent(t, await del(gone), "the second DEL");

  await host.exec("ip", ["link", "add", "net1", "type", "dummy"]);
  t.match(await die((await start()).container, first), /^dev\d+$/, "or another, where that is taken");
  silent(t, await del(gone), "DEL with a path that is gone");
  await isAsBefore(t, first, "it is as it was");
  await host.exec("ip", ["link", "del", "net1"]);

  await (await start()).container.remove();
  silent(t, await del(gone), "DEL at once");
  await isAsBefore(t, first, "it was waited for");

  await die((await start()).container, first);
  const gc = { command: "GC", config: { ...network(keys), [VALID]: [] } };
  silent(t, await host.cni("host-device", gc), "GC");
  await isAsBefore(t, first, "it is as it was");

  for (const next of [keys, { device: first.ifname }, { hwaddr: first.address }]) {
    await die((await start()).container, first);
    const attachment = await attach(await host.container("c2"), network({ name: "net2", ...next }));
    t.match(await deviceIn(attachment.container, "eth0"), { ifalias: first.ifname }, "the next ADD");
    silent(t, await del(gone), "DEL of the one that died");
    silent(t, await attachment.check(), "takes nothing from the next");
    silent(t, await attachment.del(), "whose DEL");
    await attachment.container.remove();
    await isAsBefore(t, first, "gives back what it was");
  }

  await die((await start()).container, first);
  await host.exec("rm", ["-r", RECORDS]);
  silent(t, await del({ ...gone, config: network({ device: first.ifname }) }), "DEL without a record");
  const back = { ifname: first.ifname, address: first.address, up: false, ifalias: "" };
  t.match(await deviceIn(host, first.ifname), back, "it has its name");
  t.strictSame(await claimsOf(host), []);
  await host.ip("link", "set", first.ifname, "alias", `card ${first.ifname}`, "up");
});

await run("a card is known by its alternative name, whatever becomes of it", async (t) => {
  const altname = "a-name-that-is-very-long";
  await host.exec("ip", ["link", "property", "add", "dev", first.ifname, "altname", altname]);
  const config = network({ device: altname });
  const { container } = await attach(await host.container("c1"), config, { ifname: "net1" });
  silent(t, await host.cni("host-device", { command: "STATUS", config }), "STATUS");
  await die(container, first);
  const next = await attach(await host.container("c2"), config, { ifname: "net1" });
  t.match(await deviceIn(next.container, "net1"), { ifalias: first.ifname }, "the next ADD");
  const gone = { containerId: container.containerId, netns: "", ifname: "net1" };
  const start = performance.now();
  silent(t, await host.cni("host-device", { command: "DEL", config, ...gone }), "DEL of the one that died");
  t.ok(performance.now() - start < 4_000, "waits for nothing");
  silent(t, await next.check(), "and takes nothing");
  silent(t, await next.del(), "DEL");
  await next.container.remove();
  await isAsBefore(t, first, "name, alias and up");
  await host.exec("ip", ["link", "property", "del", "dev", first.ifname, "altname", altname]);
});

await run("a VLAN of a card is not the card, though it has its MAC", async (t) => {
  const add = (name: string, id: string) =>
    host.ip("link", "add", "link", first.ifname, "name", name, "type", "vlan", "id", id);
  await host.exec("modprobe", ["8021q"]);
  for (const id of ["5", "6"]) await add(`v${id}`, id);
  const container = await host.container("c1");
  const five = await attach(container, network({ device: "v5" }), { ifname: "net1" });
  const six = await attach(container, network({ device: "v6" }), { ifname: "net2" });
  await container.ip("link", "del", "net1");
  silent(t, await five.del(), "DEL of one that is gone");
  silent(t, await six.check(), "leaves the other");
  silent(t, await six.del(), "whose DEL");
  t.match(await deviceIn(host, "v6"), { ifalias: "" }, "gives back what it was");

  const config = network({ hwaddr: first.address });
  const card = await attach(container, config);
  const second = { command: "ADD", config, container: await host.container("c2") };
  const inUse = { code: 11, msg: /is in use: container "c1-/ };
  refused(t, await host.cni("host-device", second), inUse, "ADD of the card that is in use");
  silent(t, await card.del(), "DEL");
  await isAsBefore(t, first, "it is as it was");
  await host.ip("link", "del", "v6");
  for (const name of ["c1", "c2"]) await host.containers.get(name)?.remove();
});

await run("a card that is in the way of another's name gets its own later", async (t) => {
  const container = await host.container("c1");
  const attachment = await attach(container, network({ pciBusID: FIRST }));
  await host.exec("ip", ["link", "add", first.ifname, "type", "dummy"]);
  silent(t, await attachment.del(), "DEL, with its name another's");
  const links = await host.ip("link", "show");
  t.match(
    links.find(({ address }) => address === first.address),
    { ifname: /^dev\d+$/, ifalias: first.ifname },
  );
  await host.exec("ip", ["link", "del", first.ifname]);
  const again = await attach(container, network({ pciBusID: FIRST }));
  silent(t, await again.del(), "DEL");
  const { ifname = "" } =
    (await host.ip("link", "show")).find(({ address }) => address === first.address) ?? {};
  const rename = `ip link set ${ifname} down && ip link set ${ifname} name ${first.ifname}`;
  await host.exec("sh", ["-c", `${rename} && ip link set ${first.ifname} alias "card ${first.ifname}" up`]);
  await container.remove();
});

await run("a card that a program drives stays where it is", async (t) => {
  const container = await host.container("c1");
  const bind = `
    modprobe uio_pci_generic || exit 0
    echo uio_pci_generic > ${BUS}/${OTHER}/driver_override
    echo ${OTHER} > ${BUS}/${OTHER}/driver/unbind
    echo ${OTHER} > /sys/bus/pci/drivers_probe
    readlink ${BUS}/${OTHER}/driver`;
  const { stdout, stderr } = await host.exec("sh", ["-c", bind], { reject: false });
  if (!/uio_pci_generic/.test(stdout)) return skip(t, `no driver for programs could be bound: ${stderr}`);
  for (const keys of [{ pciBusID: OTHER }, { runtimeConfig: { deviceID: OTHER } }]) {
    const attachment = await attach(container, network(keys));
    const interfaces = [{ name: "eth0", sandbox: container.path, pciID: OTHER }];
    t.match(attachment.result, { interfaces, ips: [{ interface: 0 }, { interface: 0 }] });
    t.equal((await container.ip("link", "show")).length, 1, "nothing came into the container");
    silent(t, await attachment.check(), "CHECK");
    silent(t, await host.cni("host-device", { command: "STATUS", config: network(keys) }), "STATUS");
    silent(t, await attachment.del(), "DEL");
    t.strictSame(await claimsOf(host), []);
  }
  const unbind = `
    echo > ${BUS}/${OTHER}/driver_override
    echo ${OTHER} > ${BUS}/${OTHER}/driver/unbind
    echo ${OTHER} > /sys/bus/pci/drivers_probe`;
  await host.exec("sh", ["-c", unbind]);
  await container.remove();
});

await run("a card that was unplugged is no error", async (t) => {
  const container = await host.container("c1");
  for (const script of ["true", `rm -r ${RECORDS}`, "ip netns del c1"]) {
    const attachment = await attach(container, network({ pciBusID: OTHER }));
    await host.exec("sh", ["-c", `echo 1 > ${BUS}/${OTHER}/remove; ${script}`]);
    const again = await host.cni("host-device", { command: "ADD", config: attachment.config, container });
    t.equal(again.code, 1, "ADD");
    const status = { command: "STATUS", config: network({ pciBusID: OTHER, name: "other" }) };
    silent(t, await attachment.del(), `DEL, and ${script}`);
    t.strictSame(await claimsOf(host), [], "no lease, no record");
    refused(
      t,
      await host.cni("host-device", status),
      { code: 50, msg: /^failed to find host device/ },
      "STATUS",
    );
    await host.exec("sh", ["-c", "echo 1 > /sys/bus/pci/rescan"]);
    t.ok((await cardOf(OTHER)).ifname, "it is plugged in again");
  }
});
