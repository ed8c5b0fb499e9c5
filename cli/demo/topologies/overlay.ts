/** T8: one network over several hosts. */
import { macOf } from "../equivalent-overlay.ts";
import { missingModules } from "../link-kinds.ts";
import { look, lookJson } from "../look.ts";
import { addressOf } from "../outside.ts";
import { proveAddresses } from "../proofs.ts";
import type { Stage } from "../stage.ts";
import { type OverlayEndpoint, type SwitchedHost, SwitchedHosts } from "../switched-hosts.ts";
import type { Topology } from "../topology.ts";

const VNI = 42;
const DEVICE = `vx${VNI}`;
const BRIDGE = `vxbr${VNI}`;
const BROADCAST = "10.8.0.255";
const UNKNOWN_MAC = "00:00:00:00:00:00";
/** Ethernet's 1500 less IPv4, UDP, VXLAN and an Ethernet header. */
const MTU = 1450;
/** IPv4 and ICMP. */
const PING_HEADERS = 28;
/** Where a packet begins, on Linux; each router takes one off. */
const TTL = 64;

/** Each host gives addresses of its own part of the subnet: there is no store that would tell them apart. */
function networkText(start: number): string {
  return `{ "cniVersion": "1.1.0", "name": "blue", "plugins": [
  { "type": "vxlan", "vni": ${VNI},
    "remotes": ["192.0.2.1", "192.0.2.2", "192.0.2.3"],
    "ipam": { "type": "host-local",
              "ranges": [ [{ "subnet": "10.8.0.0/24",
                             "rangeStart": "10.8.0.${start}1",
                             "rangeEnd": "10.8.0.${start}9" }] ] } }
] }`;
}

export const overlay: Topology = {
  name: "T8",
  title: "an overlay: docker network create -d overlay",
  story:
    "Containers of several hosts are on one bridge, as it were. Each host has a bridge of its own, and a port of " +
    "it leads to the others: a VXLAN device, which puts each frame into a UDP packet between the hosts. Here " +
    "each host is told who the others are, and learns where a container is from its frames. With many hosts a " +
    "store, etcd, says where each one is, and nothing is flooded or learned; that needs etcd and weft agent, " +
    "and is not shown here.",
  show,
};

async function show(stage: Stage): Promise<void> {
  const { narrator } = stage;
  const missing = missingModules(["vxlan"]);
  if (missing.length > 0) {
    narrator.say(`Not shown: this kernel has no ${missing.join(" and no ")}.`);
    return;
  }
  narrator.step("Three hosts on one switch");
  const hosts = new SwitchedHosts(stage);
  const [first, second, third] = [await hosts.add(), await hosts.add(), await hosts.add()];
  narrator.step("The same network on each, with addresses of its own");
  for (const [i, host] of [first, second, third].entries()) {
    hosts.network(host, networkText(i + 1), { shown: i === 0 });
  }
  narrator.say("  host2 and host3: the same, from 10.8.0.21 and 10.8.0.31");
  narrator.step("A container on the first two");
  for (const sandbox of ["web", "api", "db"]) stage.sandbox(sandbox);
  const web = hosts.connect(first, "web", "blue", VNI);
  const api = hosts.connect(second, "api", "blue", VNI);
  countFrames(stage);

  narrator.step("Proof");
  for (const endpoint of [web, api]) proveEndpoint(stage, endpoint);
  proveDevice(stage, first, [second, third]);
  stage.ping("web", api.addresses, { because: "host to host" });
  stage.ping("api", web.addresses);

  narrator.step("A container on the third, later");
  const db = hosts.connect(third, "db", "blue", VNI);
  hosts.draw(VNI);
  proveEndpoint(stage, db);
  stage.ping("web", db.addresses);
  stage.ping("db", [...web.addresses, ...api.addresses]);

  proveSegment(stage, { web, api, db });
  proveSize(stage, "web", db);
  proveWire(stage);
  proveEnd(stage, hosts, { web, api, db });
}

function proveEndpoint(stage: Stage, endpoint: OverlayEndpoint): void {
  const { sandbox, addresses, mac, host, hostEnd } = endpoint;
  proveAddresses(stage, endpoint);
  const port = stage.interface(hostEnd, host.name);
  stage.narrator.proof(`${sandbox}'s cable leads to ${hostEnd} of ${host.name}, a port of ${port?.master}`, {
    holds: port?.master === BRIDGE,
  });
  stage.narrator.proof(`its MAC ${mac} follows from its address`, {
    holds: mac === macOf(addresses[0] ?? ""),
  });
}

interface VxlanLink {
  readonly mtu: number;
  readonly master?: string;
  readonly linkinfo?: { readonly info_data?: { readonly id?: number; readonly port?: number } };
}

/** It is a port of the bridge, and what nobody has been learned of goes to each of the others. */
function proveDevice(stage: Stage, { name }: SwitchedHost, others: readonly SwitchedHost[]): void {
  const { narrator } = stage;
  const [link] = lookJson<VxlanLink>(`ip -d -j -n ${name} link show ${DEVICE}`);
  const { id, port } = link?.linkinfo?.info_data ?? {};
  narrator.proof(
    `${DEVICE} of ${name} has VNI ${id} and UDP port ${port}, and is a port of ${link?.master}`,
    {
      holds: id === VNI && port === 4789 && link?.master === BRIDGE,
    },
  );
  const remotes = forwardingOf(name)
    .filter(({ mac }) => mac === UNKNOWN_MAC)
    .map(({ dst }) => dst);
  narrator.proof(`what it has not learned it sends to ${remotes.join(" and ")}`, {
    holds: remotes.toSorted().join() === others.map(({ address }) => address).join(),
  });
}

interface ForwardingEntry {
  readonly mac: string;
  readonly dst?: string;
}

function forwardingOf(host: string): ForwardingEntry[] {
  return lookJson<ForwardingEntry>(`bridge -j -n ${host} fdb show dev ${DEVICE}`);
}

type Three = Readonly<Record<"web" | "api" | "db", OverlayEndpoint>>;

/** No router is between them: they know each other's MACs, and a broadcast reaches all. */
function proveSegment(stage: Stage, { web, api, db }: Three): void {
  const { narrator } = stage;
  narrator.step("One segment: no router, and what is for all reaches all");
  const [address = ""] = db.addresses.map(addressOf);
  const { stdout } = look(`ip netns exec web ping -n -c 1 -W 1 ${address}`);
  const ttl = Number(/ttl=(\d+)/.exec(stdout)?.[1]);
  narrator.proof(`web pings ${address}: answers, with a TTL of ${ttl}: by no router`, { holds: ttl === TTL });
  const [neighbour] = lookJson<{ lladdr?: string }>(`ip -j -n web neigh show to ${address}`);
  narrator.proof(`web knows db by its MAC, ${neighbour?.lladdr}`, { holds: neighbour?.lladdr === db.mac });
  const learned = forwardingOf("host1").find(({ mac, dst }) => mac === db.mac && dst);
  narrator.proof(`host1 has learned that this MAC is behind ${learned?.dst}, which is host3`, {
    holds: learned?.dst === db.host.address,
  });
  for (const { sandbox } of [api, db]) {
    stage.run(`ip netns exec ${sandbox} sysctl -q -w net.ipv4.icmp_echo_ignore_broadcasts=0`);
  }
  const heard = look(`ip netns exec ${web.sandbox} ping -n -b -c 2 -i 0.2 -W 1 ${BROADCAST}`).stdout;
  const answering = [api, db].filter(({ addresses }) =>
    addresses.some((each) => heard.includes(`from ${addressOf(each)}:`)),
  );
  const names = answering.map(({ sandbox }) => sandbox).join(" and ") || "nobody";
  narrator.proof(`web pings ${BROADCAST}, the broadcast address: ${names} answer`, {
    holds: answering.length === 2,
  });
}

/** A packet in a packet must fit: what is larger is refused at once, and never lost on the way. */
function proveSize({ narrator }: Stage, sandbox: string, { addresses }: OverlayEndpoint): void {
  const [address = ""] = addresses.map(addressOf);
  narrator.step("A full-size packet that must not be divided");
  for (const [bytes, passes] of [
    [MTU, true],
    [MTU + 1, false],
  ] as const) {
    const size = bytes - PING_HEADERS;
    const { stdout } = look(`ip netns exec ${sandbox} ping -n -c 1 -W 1 -M do -s ${size} ${address}`);
    const answered = stdout.includes("bytes from");
    narrator.proof(`${sandbox} sends ${address} ${bytes} bytes: ${answered ? "an answer" : "refused"}`, {
      holds: answered === passes,
    });
  }
}

/** Counts what comes from host1's cable: packets between hosts, and, which must not be, of containers. */
function countFrames(stage: Stage): void {
  stage.run("nft add table netdev wire");
  stage.run("nft add chain netdev wire in { type filter hook ingress device port1 priority 0 ; }");
  stage.run("nft add rule netdev wire in udp dport 4789 counter");
  stage.run("nft add rule netdev wire in ip saddr 10.8.0.0/24 counter");
}

function proveWire({ narrator }: Stage): void {
  narrator.step("On the wire");
  const { stdout } = look("nft list chain netdev wire in");
  const [vxlan = 0, bare = 0] = [...stdout.matchAll(/packets (\d+)/g)].map(([, packets]) => Number(packets));
  narrator.proof(`host1 has sent ${vxlan} UDP packets to port 4789`, { holds: vxlan > 0 });
  narrator.proof(`and ${bare} packets with a container's address outside of them`, { holds: bare === 0 });
}

/** With the last container of a host its devices go. */
function proveEnd(stage: Stage, hosts: SwitchedHosts, endpoints: Three): void {
  const { narrator } = stage;
  narrator.step(`${DEVICE} and ${BRIDGE} go with the last container of a host`);
  for (const endpoint of Object.values(endpoints)) {
    const { sandbox, host } = endpoint;
    hosts.disconnect(endpoint);
    const left = stage.interfaces(host.name).map(({ ifname }) => ifname);
    narrator.proof(`${sandbox} has gone: ${host.name} has ${left.join(" and ")}`, {
      holds: left.toSorted().join() === "eth0,lo",
    });
  }
  stage.run("nft delete table netdev wire");
  hosts.remove();
}
