/** VXLAN: a frame in a UDP packet to the host that its forwarding table names (vxlan_core.c). */
import { type Address, formatAddress } from "../../lib/netaddr/address.ts";
import { formatMac } from "../../lib/netaddr/mac.ts";
import { readVxlan, type VxlanSettings } from "../../lib/rtnetlink/link-kinds.ts";
import { NTF_SELF } from "../../lib/rtnetlink/neighbour.ts";
import { compareBytes } from "./filter/known-bytes.ts";
import { IPPROTO, type Packet } from "./filter/packet.ts";
import { dropped, type End, type Flight, isBroadcast, tryAll, UNKNOWN_MAC, type Walk } from "./flight.ts";
import type { NodePort } from "./node.ts";

/** Outer headers: IP, UDP 8, VXLAN 8, and the inner frame's 14. */
const OVERHEAD = { 4: 50, 6: 70 } as const;
/** RFC 6335 §6: any of the ephemeral ones; the kernel takes a hash of the inner flow. */
const SOURCE_PORT = 49_152;

export function transmitVxlan(walk: Walk, port: NodePort, flight: Flight): End {
  const settings = readVxlan(port.link.data);
  const remotes = remotesOf(port, settings, flight);
  if (remotes.length === 0) {
    const mac = formatMac(flight.frame.destination);
    return dropped(
      port,
      flight,
      isBroadcast(flight)
        ? `${port.link.name} of ${port.node.name} sends broadcasts to nobody`
        : `${port.link.name} of ${port.node.name} has no forwarding entry for ${mac}`,
    );
  }
  const ways = remotes.map((remote) => (copy: Flight) => encapsulated(walk, port, settings, remote, copy));
  return tryAll(port.node, flight, ways) ?? dropped(port, flight, "no remote host takes it");
}

/** The addresses of the hosts that get the frame: those of its MAC, else those of all that are unknown. */
function remotesOf({ node, link }: NodePort, settings: VxlanSettings, flight: Flight): Address[] {
  const entries = node.stack.fdb.filter(
    ({ ifindex, flags }) => ifindex === link.index && (flags & NTF_SELF) !== 0,
  );
  const of = (mac: Uint8Array) =>
    entries.flatMap(({ mac: each, dst }) => (dst && compareBytes(each, mac) === 0 ? [dst] : []));
  const known = isBroadcast(flight) ? [] : of(flight.frame.destination);
  if (known.length > 0) return known.slice(0, 1);
  const others = of(UNKNOWN_MAC);
  if (others.length > 0 || !settings.group) return others;
  return [settings.group];
}

function encapsulated(
  walk: Walk,
  port: NodePort,
  settings: VxlanSettings,
  remote: Address,
  inner: Flight,
): End {
  const { node, link } = port;
  const { trail } = inner;
  const { vni, local } = settings;
  const text = `VXLAN ${vni}: to the host ${formatAddress(remote)}`;
  const mac = formatMac(inner.frame.destination);
  if (!inner.question) {
    trail.add(node, link, text, [
      { kind: "fdb", text: `${mac} dev ${link.name} dst ${formatAddress(remote)}` },
    ]);
  }
  const route = node.lookUp({ destination: remote, source: local });
  const source = local ?? (typeof route === "string" ? undefined : route.prefsrc);
  if (!source) return dropped(port, inner, `no route from ${node.name} to the host ${formatAddress(remote)}`);
  const outer: Packet = {
    source,
    destination: remote,
    protocol: IPPROTO.udp,
    sourcePort: SOURCE_PORT,
    destinationPort: settings.port,
    isAnswer: false,
    ttl: settings.ttl ?? 64,
    length: inner.packet.length + OVERHEAD[remote.family],
    dontFragment: false,
  };
  const hopsBefore = trail.hops.length;
  const end = walk.send(node, { ...inner, packet: outer, question: undefined, tracked: undefined, mark: 0 });
  if (inner.question) trail.hops.length = hopsBefore;
  if (end.verdict === "left") {
    const reason = `to the host ${formatAddress(remote)} (VXLAN ${vni}); what is beyond cannot be seen from here`;
    return { ...end, reason, flight: { ...inner, trail: end.flight.trail }, at: port };
  }
  if (end.verdict !== "delivered") return end;
  return decapsulated(walk, settings, end, inner);
}

function decapsulated(walk: Walk, { vni, port }: VxlanSettings, end: End, inner: Flight): End {
  const { node } = end.at;
  const flight: Flight = { ...inner, trail: end.flight.trail, tracked: undefined, mark: 0 };
  const there = node.stack.links.find((link) => {
    if (link.kind !== "vxlan") return false;
    const settings = readVxlan(link.data);
    return settings.vni === vni && settings.port === port;
  });
  if (!there)
    return dropped({ node }, flight, `${node.name} has no VXLAN device of VNI ${vni}, port ${port}`);
  if (!flight.question) flight.trail.add(node, there, `taken out of VXLAN ${vni}`);
  return walk.receive({ node, link: there }, flight);
}
