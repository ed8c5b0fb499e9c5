/** A container's network, for people. */
import { isLinkLocal } from "../../lib/netaddr/address.ts";
import { parsePrefix } from "../../lib/netaddr/prefix.ts";
import { type Fact, formatFacts } from "../terminal/facts.ts";
import { fold } from "../terminal/fold.ts";
import { countOf, formatBytes } from "../terminal/quantity.ts";
import { bold, dim, green, red, yellow } from "../terminal/style.ts";
import type { AttachmentView } from "./attachment.ts";
import { formatPublished } from "./attachment-table.ts";
import type { BridgePortView, InterfaceView, WayPoint } from "./interface.ts";
import type { Namespace } from "./namespaces.ts";
import type { RuleView } from "./rules.ts";

export interface ContainerView {
  readonly name: string;
  /** Undefined where it is gone; what was on it is in `lost`. */
  readonly namespace: Namespace | undefined;
  /** The programs of its processes, by pid. */
  readonly programs: readonly string[];
  readonly interfaces: readonly (InterfaceView & { readonly rules: readonly RuleView[] })[];
  /** Attachments whose interface is not there any more. */
  readonly lost: readonly AttachmentView[];
}

const PROGRAMS_SHOWN = 5;

export function formatContainer(container: ContainerView, width?: number): string[] {
  const { name, namespace, programs, interfaces, lost } = container;
  const shown = programs.slice(0, PROGRAMS_SHOWN).join(", ");
  const more = programs.length > PROGRAMS_SHOWN ? `, and ${programs.length - PROGRAMS_SHOWN} more` : "";
  return [
    bold(name),
    ...formatFacts(
      [
        ["namespace", namespace ? `${namespace.path} (inode ${namespace.inode})` : goneText(lost)],
        ["processes", namespace && (shown === "" ? "none" : shown + more)],
      ],
      width,
    ),
    ...lost.flatMap((each) => ["", ...formatLost(each, width)]),
    ...interfaces.flatMap((each) => ["", ...formatInterface(each, width)]),
  ];
}

function goneText([first]: readonly AttachmentView[]): string {
  const where = first?.netns ? `${first.netns} is ` : "";
  return `${where}${red("gone")}; weft gc removes what it has left`;
}

function formatInterface(each: ContainerView["interfaces"][number], width: number | undefined): string[] {
  const { name, attachment, mac, mtu, routes, port, rules, way } = each;
  const [, peer] = way;
  const on = attachment ? `  ${networkText(attachment)}` : "";
  const title = `${bold(peer ? `${name}@if${peer.index}` : name)}  ${stateText(each)}${on}`;
  const loopback: Fact[] = [["addresses", each.addresses.join(", ") || undefined]];
  const facts: Fact[] = [
    ["way", way.length > 1 ? way.map(wayText).join(" → ") : undefined],
    ["kind", each.kind || "a device of this machine"],
    ["MAC", macText(mac, port)],
    ["MTU", mtuText(mtu, way)],
    ["addresses", addressesText(each.addresses)],
    ["routes", routes],
    ["port", port ? portText(port) : undefined],
    ["ports", attachment && formatPublished(attachment.ports)],
    ["rules", rules.map(ruleText)],
    ["traffic", trafficText(each)],
    ["id", attachment?.containerId],
  ];
  return [...fold(title, { hanging: 2, width }), ...formatFacts(name === "lo" ? loopback : facts, width)];
}

/** What was attached, as the results say; the kernel has nothing of it. */
function formatLost(lost: AttachmentView, width: number | undefined): string[] {
  const facts: Fact[] = [
    ["MAC", lost.mac],
    ["addresses", lost.addresses],
    ["ports", formatPublished(lost.ports)],
    ["id", lost.containerId],
  ];
  return [`${bold(lost.ifname)}  ${red("gone")}  ${networkText(lost)}`, ...formatFacts(facts, width)];
}

function networkText({ network, plugins }: AttachmentView): string {
  return `network ${network}${plugins.length > 0 ? ` (${plugins.join(", ")})` : ""}`;
}

function stateText({ isUp, hasCarrier }: InterfaceView): string {
  if (isUp && hasCarrier) return green("up");
  return isUp ? yellow("up, no carrier") : red("down");
}

/** "vethb1c2@if2 of host", "bridge docker0", "uplink eth0" */
function wayText({ name, index, namespace, role, kind }: WayPoint): string {
  if (role === "container") return name;
  if (role === "bridge") return `${kind} ${name}`;
  if (role === "tunnel") return `${name} (${kind})`;
  if (role === "uplink") return `uplink ${name}`;
  return `${name} (${index}) of ${namespace}`;
}

function macText(mac: string, port: BridgePortView | undefined): string {
  if (!port) return mac;
  const { bridge, macSeen } = port;
  if (macSeen === "here") return `${mac}, in the forwarding table of ${bridge}`;
  const where = macSeen === "not yet" ? "does not have it yet" : `has it behind ${macSeen}`;
  return `${mac}; the forwarding table of ${bridge} ${where}`;
}

/** With what is smaller on the way. */
function mtuText(mtu: number, way: readonly WayPoint[]): string {
  const smaller = way.filter((each) => each.mtu < mtu).map((each) => `${each.name} has ${each.mtu}`);
  return smaller.length > 0 ? `${mtu}; on the way ${smaller.join(", ")}` : String(mtu);
}

/** Addresses of the link alone are dim: nobody asks for them. */
function addressesText(addresses: readonly string[]): string[] {
  return addresses.map((text) => {
    const { address } = parsePrefix(text);
    return address.family === 6 && isLinkLocal(address) ? dim(text) : text;
  });
}

function portText({ port, bridge, isHairpin, isIsolated, isLearning, vlans }: BridgePortView): string {
  const flags = [
    ...(isHairpin ? ["hairpin"] : []),
    ...(isIsolated ? ["isolated"] : []),
    ...(isLearning ? [] : ["learning off"]),
    ...(vlans.length > 0 ? [`VLAN ${vlans.join(" ")}`] : []),
  ];
  return `${port} of bridge ${bridge}${flags.length > 0 ? `: ${flags.join(", ")}` : ""}`;
}

function ruleText({ says, by, elements }: RuleView): string {
  const missing = elements.filter(({ isMissing }) => isMissing).length;
  const fault = missing > 0 ? ` ${red(`(${countOf(missing, "element")} of it missing: weft restore)`)}` : "";
  return says + (by === "nftables" ? "" : ` (${by})`) + fault;
}

/** "sent 12 packets, 968 B; received 22 packets, 2.1 kB, 3 dropped" */
function trafficText({ counters }: InterfaceView): string {
  const { txPackets, txBytes, txDropped, txErrors, rxPackets, rxBytes, rxDropped, rxErrors } = counters;
  const sent = `sent ${countOf(txPackets, "packet")}, ${formatBytes(txBytes)}`;
  const received = `received ${countOf(rxPackets, "packet")}, ${formatBytes(rxBytes)}`;
  return [
    [sent, ...losses(txDropped, txErrors)].join(", "),
    [received, ...losses(rxDropped, rxErrors)].join(", "),
  ].join("; ");
}

function losses(dropped: number, errors: number): string[] {
  return [
    ...(dropped > 0 ? [yellow(`${dropped} dropped`)] : []),
    ...(errors > 0 ? [yellow(countOf(errors, "error"))] : []),
  ];
}
