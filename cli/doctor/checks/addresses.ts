/** Addresses and MACs: that each is one interface's, and known at the right place. */
import { type Address, formatAddress, isLinkLocal, sameAddress } from "../../../lib/netaddr/address.ts";
import { formatMac, randomMac } from "../../../lib/netaddr/mac.ts";
import { formatPrefix } from "../../../lib/netaddr/prefix.ts";
import type { Link } from "../../../lib/rtnetlink/link.ts";
import { NTF_SELF, NUD_NOARP } from "../../../lib/rtnetlink/neighbour.ts";
import type { Port } from "../../inventory/peers.ts";
import type { Stack } from "../../inventory/stack.ts";
import { allOf, inNamespace, shell } from "../../terminal/shell.ts";
import { compareBytes } from "../../trace/filter/known-bytes.ts";
import { type Finding, finding } from "../finding.ts";
import { type Attached, type Host, hostSideOf, inContainer, nameOf, promisedAddresses } from "../host.ts";

/** An interface that hears the frames of a bridge: the bridge itself, or what a port leads to. */
interface Member extends Port {
  /** The bridge's port; undefined of the bridge itself. */
  readonly port: Link | undefined;
}

export function checkAddresses(host: Host): Finding[] {
  return [
    ...host.stack.links.filter(({ kind }) => kind === "bridge").flatMap((bridge) => conflicts(host, bridge)),
    ...host.view.stacks.flatMap((stack) => duplicatesDetected(host, stack)),
    ...host.attachments.flatMap((attached) => neighboursWrong(host, attached)),
    ...host.attachments.flatMap((attached) => forwardingWrong(host, attached)),
  ];
}

function membersOf({ view, stack }: Host, bridge: Link): Member[] {
  const behind = stack.portsOf(bridge).flatMap((port) => {
    const peer = port.kind === "veth" ? view.peerOf(stack, port) : undefined;
    return peer ? { ...peer, port } : [];
  });
  return [{ stack, link: bridge, port: undefined }, ...behind];
}

function conflicts(host: Host, bridge: Link): Finding[] {
  const members = membersOf(host, bridge);
  const found: Finding[] = [];
  const addresses = new Map<string, Member[]>();
  const macs = new Map<string, Member[]>();
  for (const member of members) {
    macs.getOrInsertComputed(formatMac(member.link.mac), () => []).push(member);
    for (const { prefix } of member.stack.addressesOf(member.link)) {
      if (isLinkLocal(prefix.address)) continue;
      addresses.getOrInsertComputed(formatAddress(prefix.address), () => []).push(member);
    }
  }
  for (const [text, holders] of addresses) {
    if (holders.length > 1) found.push(addressConflict(host, { bridge, text, holders }));
  }
  for (const [text, holders] of macs) {
    if (holders.length > 1) found.push(macConflict(host, { bridge, text, holders }));
  }
  return found;
}

interface Conflict {
  readonly bridge: Link;
  readonly text: string;
  /** At least two. */
  readonly holders: readonly Member[];
}

function addressConflict(host: Host, { bridge, text, holders }: Conflict): Finding {
  const loser = loserOf(holders, (holder) => addressesGiven(host, holder).includes(text));
  const prefix = loser.stack
    .addressesOf(loser.link)
    .find((each) => formatAddress(each.prefix.address) === text)?.prefix;
  const command = shell`ip address del ${prefix ? formatPrefix(prefix) : text} dev ${loser.link.name}`;
  const evidence = `${holders.map(placeOf).join(" and ")} have it, on bridge ${bridge.name}`;
  return finding("address-conflict", {
    subject: text,
    evidence,
    remedy: inNamespace(loser.stack.namespace, command),
  });
}

function macConflict(host: Host, { bridge, text, holders }: Conflict): Finding {
  const loser = loserOf(holders, (holder) => macGiven(host, holder) === text);
  const own = macGiven(host, loser);
  const mac = own !== undefined && own !== text ? own : formatMac(randomMac());
  const evidence = `${holders.map(placeOf).join(" and ")} have it, on bridge ${bridge.name}`;
  const command = shell`ip link set ${loser.link.name} address ${mac}`;
  const remedy = inNamespace(loser.stack.namespace, command);
  return finding("mac-conflict", { subject: text, evidence, remedy });
}

/** Who was not given it has to give it up; where that is nobody, or all, the last, which is no bridge. */
function loserOf(holders: readonly Member[], isGiven: (holder: Member) => boolean): Member {
  const strangers = holders.filter((holder) => !isGiven(holder));
  const stranger = strangers.length < holders.length ? strangers[0] : undefined;
  return stranger ?? (holders.at(-1) as Member); // at least two
}

/** A container's by its ADD; the bridge's as its containers' gateway. */
function addressesGiven(host: Host, holder: Member): string[] {
  const attached = attachedAt(host, holder);
  if (holder.port) {
    return attached ? promisedAddresses(attached).map(({ address }) => formatAddress(address.address)) : [];
  }
  const gateways = behind(host, holder).flatMap(({ result }) => result.ips ?? []);
  return gateways.flatMap(({ gateway }) => (gateway ? formatAddress(gateway) : []));
}

function macGiven(host: Host, holder: Member): string | undefined {
  const interfaces = (holder.port ? [attachedAt(host, holder)] : behind(host, holder)).flatMap(
    (attached) => attached?.result.interfaces ?? [],
  );
  const own = interfaces.find(({ name, sandbox, mac }) =>
    holder.port ? sandbox : !sandbox && name === holder.link.name && mac,
  );
  return own?.mac?.toLowerCase();
}

/** Whose host's end is a port of the bridge. */
function behind({ attachments }: Host, bridge: Member): Attached[] {
  return attachments.filter(({ outside }) => outside?.master === bridge.link.index);
}

function attachedAt({ attachments }: Host, { stack, link }: Port): Attached | undefined {
  return attachments.find(({ inside }) => inside?.stack === stack && inside.link.index === link.index);
}

/** "eth0 of web" */
function placeOf({ stack, link }: Port): string {
  return `${link.name} of ${stack.namespace.isHost ? "this host" : stack.name}`;
}

/** What the kernel found out by itself: somebody answered (RFC 4862 §5.4). */
function duplicatesDetected({ attachments }: Host, stack: Stack): Finding[] {
  return stack.addresses
    .filter(({ dadFailed }) => dadFailed)
    .flatMap(({ prefix, ifindex }) => {
      const link = stack.link(ifindex);
      const attached = attachments.find(
        ({ inside }) => inside?.stack === stack && inside.link.index === ifindex,
      );
      if (!link || !attached) return [];
      const text = formatPrefix(prefix);
      const evidence = `${text} of ${link.name} is not in use: somebody else on its network answered for it`;
      const command = (verb: string) =>
        inContainer(attached, shell`ip -6 address ${verb} ${text} dev ${link.name}`);
      const remedy = allOf(command("del"), command("add"));
      return finding("address-conflict", { subject: nameOf(attached), evidence, remedy });
    });
}

/** Who has asked remembers a MAC; one that is another's has the host send to nobody, or to a stranger. */
function neighboursWrong(host: Host, attached: Attached): Finding[] {
  const { inside } = attached;
  const side = hostSideOf(host, attached);
  if (!inside || !side) return [];
  const own = inside.stack.addressesOf(inside.link).map(({ prefix }) => prefix.address);
  return host.stack.neighbours
    .filter(({ ifindex, address }) => ifindex === side.index && isOneOf(own, address))
    .filter(({ mac, state }) => mac.length === 6 && !(state & NUD_NOARP))
    .filter(({ mac }) => formatMac(mac) !== formatMac(inside.link.mac))
    .map(({ address, mac }) => {
      const text = formatAddress(address);
      const evidence = `this host sends what is for ${text} to ${formatMac(mac)}, and its MAC is ${formatMac(inside.link.mac)}`;
      const remedy = shell`ip neighbour del ${text} dev ${side.name}`;
      return finding("neighbour-wrong", { subject: nameOf(attached), evidence, remedy });
    });
}

function isOneOf(addresses: readonly Address[], wanted: Address): boolean {
  return addresses.some((address) => sameAddress(address, wanted));
}

function forwardingWrong({ stack }: Host, attached: Attached): Finding[] {
  const { inside, outside } = attached;
  if (!inside || outside?.master === undefined || stack.link(outside.master)?.kind !== "bridge") return [];
  const { master } = outside;
  const mac = formatMac(inside.link.mac);
  const isOfBridge = (index: number) => index === master || stack.link(index)?.master === master;
  return (
    stack.fdb
      .filter(({ ifindex, flags }) => ifindex !== outside.index && isOfBridge(ifindex) && !(flags & NTF_SELF))
      .filter((entry) => compareBytes(entry.mac, inside.link.mac) === 0)
      // of an interface that has the MAC itself it is "mac-conflict" that tells
      .filter((entry) => compareBytes(entry.mac, stack.link(entry.ifindex)?.mac ?? new Uint8Array(0)) !== 0)
      .map(({ ifindex, vlan }) => {
        const port = stack.link(ifindex)?.name ?? `interface ${ifindex}`;
        const evidence = `the bridge has its MAC ${mac} at ${port}, and it is at ${outside.name}`;
        const inVlan = vlan === undefined ? [] : ["vlan", String(vlan)];
        // the bridge's own are in the same table, but it has no master
        const where = ifindex === master ? [] : ["master"];
        const remedy = shell`bridge fdb del ${mac} dev ${port} ${[...where, ...inVlan]}`;
        return finding("forwarding-entry-wrong", { subject: nameOf(attached), evidence, remedy });
      })
  );
}
