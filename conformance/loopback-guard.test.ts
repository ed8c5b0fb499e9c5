/**
 * What listens on the host's 127.0.0.1 is not for others, also where route_localnet lets packets to it in by
 * every interface, as kube-proxy has it. Those of network cards have no kind of link, those of this kernel
 * do.
 */
import t from "tap";
import { attach } from "./fixtures/attachment.ts";
import { makeHost } from "./fixtures/host.ts";
import { IN_SECOND_KERNEL } from "./fixtures/kernel.ts";
import { machineHost } from "./fixtures/machine.ts";
import { enterNamed, Netns } from "./fixtures/netns.ts";

const TIMEOUT_MS = 240_000;
t.setTimeout(TIMEOUT_MS);
/** An emulated machine takes its time. */
const ASK_TIMEOUT_MS = IN_SECOND_KERNEL ? 5_000 : 1_000;
/** Two cards on a cable, as second-kernel/machine.ts plugs them in; another file may have left them up. */
const CARDS = `modprobe virtio_net; mkdir -p /run/netns; ip netns add outside0
  card() { basename /sys/bus/pci/devices/0000:00:$1.0/virtio*/net/*; }
  ip link set $(card 10) down; ip link set $(card 11) down
  ip link set $(card 10) name uplink0; ip link set $(card 11) name eth0 netns outside0`;
/** A container's interface is one of a veth. */
const VETH = `ip netns add outside0; ip link add uplink0 type veth peer name eth0 netns outside0`;
/** Other files find the cards as they were, and a new namespace takes over what is set in the first. */
const UNDO = `ip netns delete outside0; ip address flush dev uplink0
  sysctl -qw net.ipv4.conf.all.route_localnet=0`;

async function reached(from: Netns, port: number): Promise<boolean> {
  const answer = await from.ask({ protocol: "tcp", address: "127.0.0.1", port, timeoutMs: ASK_TIMEOUT_MS });
  return answer.error === undefined;
}

await t.test("127.0.0.1 is the host's own", { timeout: TIMEOUT_MS }, async (t) => {
  const host = IN_SECOND_KERNEL ? await machineHost(t) : await makeHost(t);
  const wiring = `${IN_SECOND_KERNEL ? CARDS : VETH}
    ip link set uplink0 up; ip address add 192.0.2.1/24 dev uplink0; ip link set lo up
    ip -n outside0 link set eth0 up; ip -n outside0 address add 192.0.2.2/24 dev eth0
    ip -n outside0 route add 127.0.0.1 via 192.0.2.1 dev eth0
    ip netns exec outside0 sysctl -qw net.ipv4.conf.all.route_localnet=1
    sysctl -qw net.ipv4.conf.all.route_localnet=1 net.ipv4.conf.all.rp_filter=0`;
  await host.exec("sh", ["-e", "-c", wiring]);
  t.teardown(() => host.exec("sh", ["-c", UNDO], { reject: false }));

  const outside = new Netns("outside0", "/run/netns/outside0", enterNamed(host.pid, "outside0"));
  const { port, stop } = await host.serve({ protocol: "tcp", address: "127.0.0.1" });
  t.teardown(stop);
  t.ok(await reached(host, port), "the host reaches its own");
  t.ok(await reached(outside, port), "and without a published port nobody keeps others from it");

  const publication = { hostPort: 8_080, containerPort: 80, protocol: "tcp" };
  const ranges = [[{ subnet: "10.9.0.0/24" }]];
  const bridge = { type: "bridge", bridge: "cni0", isGateway: true, ipam: { type: "host-local", ranges } };
  const container = await host.container("c1");
  const network = { cniVersion: "1.0.0", name: "guarded" };
  const attachment = await attach(container, { ...network, ...bridge });
  const portmap = { ...network, type: "portmap", runtimeConfig: { portMappings: [publication] } };
  const config = { ...portmap, prevResult: attachment.result };
  const published = await host.cni("portmap", { command: "ADD", config, container });
  t.equal(published.code, 0, "a port is published");
  t.ok(await reached(host, port), "the host still reaches its own");
  t.notOk(await reached(outside, port), "and others do not");
  await host.cni("portmap", { command: "DEL", config, container });
  await attachment.del();
});
