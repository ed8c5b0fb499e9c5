/** MTU: of both ends of a pair, of an overlay and the wire below it, and of paths, which are probed. */
import { type Address, formatAddress, isLinkLocal } from "../../../lib/netaddr/address.ts";
import { type PathProbe, probePaths } from "../../../lib/path-probe.ts";
import type { Link } from "../../../lib/rtnetlink/link.ts";
import { readVxlan } from "../../../lib/rtnetlink/link-kinds.ts";
import type { Stack } from "../../inventory/stack.ts";
import { allOf, type ShellCommand, shell } from "../../terminal/shell.ts";
import { type Finding, finding } from "../finding.ts";
import { type Attached, type Host, inContainer, nameOf, promisedInside } from "../host.ts";

/** IP, UDP, VXLAN and the inner Ethernet header (RFC 7348). */
const VXLAN_OVERHEAD = { 4: 50, 6: 70 } as const;
/** Bytes of a packet that every path carries. */
const SMALL = 96;
const TIMEOUT_MS = 500;
/** Their square is more than the sizes there are between the smallest and an Ethernet frame's. */
const SIZES_AT_ONCE = 40;

export function checkMtu(host: Host, { probed }: { probed: readonly Address[] }): Finding[] {
  return [
    ...host.attachments.flatMap(mismatch),
    ...host.stack.links.filter(({ kind }) => kind === "vxlan").flatMap((link) => aboveUnderlay(host, link)),
    ...blackHoles(host, probed),
  ];
}

/** What is larger than the other end's MTU vanishes there, without an answer. */
function mismatch(attached: Attached): Finding[] {
  const { inside, outside } = attached;
  if (!inside || !outside || inside.link.mtu === outside.mtu) return [];
  const promised = promisedInside(attached)?.mtu ?? Math.max(inside.link.mtu, outside.mtu);
  const changed = inside.link.mtu === promised ? outside : inside.link;
  const command = shell`ip link set ${changed.name} mtu ${changed === outside ? inside.link.mtu : promised}`;
  const remedy = changed === outside ? command : inContainer(attached, command);
  const evidence = `the MTU of ${inside.link.name} is ${inside.link.mtu}, that of ${outside.name}, its other end, ${outside.mtu}`;
  return [finding("mtu-mismatch", { subject: nameOf(attached), evidence, remedy })];
}

function aboveUnderlay({ stack }: Host, link: Link): Finding[] {
  const { local, group, link: index } = readVxlan(link.data);
  const family = (local ?? group)?.family ?? 4;
  const below = index === undefined ? holderOf(stack, local) : stack.link(index);
  const needed = link.mtu + VXLAN_OVERHEAD[family];
  if (!below || below.mtu >= needed) return [];
  const evidence = `its MTU is ${link.mtu}, which makes packets of ${needed} bytes, and that of ${below.name} below is ${below.mtu}`;
  const remedy = shell`ip link set ${below.name} mtu ${needed}`;
  return [finding("mtu-above-underlay", { subject: link.name, evidence, remedy })];
}

function holderOf(stack: Stack, address: Address | undefined): Link | undefined {
  const held = stack.addresses.find(
    ({ prefix }) => prefix.address.family === address?.family && prefix.address.value === address.value,
  );
  return held && stack.link(held.ifindex);
}

interface Probe extends PathProbe {
  readonly subject: string;
  readonly isFromHost: boolean;
  readonly ifname: string;
  /** The largest packet its interface sends. */
  readonly full: number;
  /** What sets the MTU there. */
  remedy(mtu: number): ShellCommand;
}

/** From each container to its gateways, from the host to its own, and from all to what was asked for. */
function blackHoles(host: Host, probed: readonly Address[]): Finding[] {
  const fitting = host.attachments.filter((attached) => mismatch(attached).length === 0);
  const probes = [
    ...fitting.flatMap((attached) => probesOfContainer(attached, probed)),
    ...host.stack.links.flatMap((link) => {
      const remedy = (mtu: number) => shell`ip link set ${link.name} mtu ${mtu}`;
      return probesOf(host.stack, { link, probed, subject: "this host", isFromHost: true, remedy });
    }),
  ];
  // Once more: a single packet may be lost to anything.
  const silent = silentOf(silentOf(probes));
  const fromHost = silent.filter(({ isFromHost }) => isFromHost).map(({ target }) => target);
  return silent
    .filter(({ isFromHost, target }) => isFromHost || !fromHost.includes(target))
    .map((probe) => {
      const { subject, target, full, ifname } = probe;
      const text = formatAddress(target);
      const evidence = `${text} answers small packets; of ${full} bytes, the MTU of ${ifname}, none, and nobody says why`;
      return finding("mtu-black-hole", { subject, evidence, remedy: probe.remedy(largestCarried(probe)) });
    });
}

function probesOfContainer(attached: Attached, probed: readonly Address[]): Probe[] {
  const { inside, outside } = attached;
  if (!inside) return [];
  const remedy = (mtu: number) => {
    const command = inContainer(attached, shell`ip link set ${inside.link.name} mtu ${mtu}`);
    return outside ? allOf(shell`ip link set ${outside.name} mtu ${mtu}`, command) : command;
  };
  const subject = nameOf(attached);
  return probesOf(inside.stack, { link: inside.link, probed, subject, isFromHost: false, remedy });
}

function probesOf(
  stack: Stack,
  {
    link,
    probed,
    ...more
  }: { link: Link; probed: readonly Address[] } & Pick<Probe, "subject" | "isFromHost" | "remedy">,
): Probe[] {
  if (!link.up) return [];
  const defaults = stack.routes.filter(({ oif, dst }) => oif === link.index && dst.length === 0);
  const gateways = defaults.flatMap(({ gateway }) => (gateway && !isLinkLocal(gateway) ? [gateway] : []));
  const beyond = probed.filter(({ family }) => defaults.some(({ dst }) => dst.address.family === family));
  const { name: ifname, mtu: full } = link;
  const sizes = [SMALL, full];
  return [...gateways, ...beyond].map((target) => ({
    ...more,
    netns: stack.netns,
    target,
    ifname,
    full,
    sizes,
  }));
}

/** Those whose small packet is answered, and whose full one by nobody. */
function silentOf(probes: readonly Probe[]): Probe[] {
  if (probes.length === 0) return [];
  const answers = probePaths(probes, { timeoutMs: TIMEOUT_MS });
  return probes.filter((_, at) => answers[at]?.[0] === "answered" && answers[at]?.[1] === "silent");
}

/** The largest size that is answered, by asking for many at a time, twice. */
function largestCarried(probe: Probe): number {
  let [low, high] = [SMALL, probe.full];
  for (let round = 0; round < 2; round++) {
    const step = Math.max(1, Math.ceil((high - low) / SIZES_AT_ONCE));
    const sizes = Array.from({ length: SIZES_AT_ONCE }, (_, i) => low + (i + 1) * step).filter(
      (size) => size < high,
    );
    const [answers = []] = probePaths([{ ...probe, sizes }], { timeoutMs: TIMEOUT_MS });
    low = sizes[answers.lastIndexOf("answered")] ?? low;
    high = Math.min(high, low + step);
  }
  return low;
}
