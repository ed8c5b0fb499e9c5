/** A device of the host: what it was before a container got it, and whether a link is that device. */
import { invalidConfig } from "../cni/error.ts";
import { formatMac, isUnicastMac } from "../netaddr/mac.ts";
import { formatPrefix } from "../netaddr/prefix.ts";
import { listAddresses } from "../rtnetlink/address.ts";
import { findLink, type Link, listLinks } from "../rtnetlink/link.ts";
import type { RouteSocket } from "../rtnetlink/route-socket.ts";
import { macDigits, type Selector } from "./selector.ts";
import { deviceDirectory, findInterfaceOf, isParentIn, sysfsPath } from "./sysfs.ts";

/** RT_SCOPE_UNIVERSE (linux/rtnetlink.h) */
const SCOPE_GLOBAL = 0;
/** linux/if_ether.h */
const ETH_ALEN = 6;

/** What is to be given back, and what the device is known by meanwhile. */
export interface HostDevice {
  readonly name: string;
  readonly altnames: readonly string[];
  readonly alias: string;
  readonly mac: string;
  /** Bytes. */
  readonly mtu: number;
  readonly up: boolean;
  /** Global addresses that somebody had set, "10.1.0.2/24": the kernel drops them when the device goes. */
  readonly addresses: readonly string[];
  readonly kind: string;
  /** Of hardware, as Link has them. */
  readonly parent?: string | undefined;
  readonly permanentMac?: string | undefined;
  /** Where /sys had it. */
  readonly path?: string | undefined;
}

export function describeDevice(host: RouteSocket, link: Link): HostDevice {
  const addresses = listAddresses(host, link).filter(
    ({ permanent, scope, ifindex }) => permanent && scope === SCOPE_GLOBAL && ifindex === link.index,
  );
  return {
    ...identify(link),
    name: link.name,
    altnames: link.altnames,
    alias: link.alias,
    mtu: link.mtu,
    up: link.up,
    addresses: addresses.map(({ prefix }) => formatPrefix(prefix)),
    path: sysfsPath(link),
  };
}

/** What a link is known by. */
export function identify(link: Link): Pick<HostDevice, "mac" | "kind" | "parent" | "permanentMac"> {
  const { mac, kind, parent, permanentMac } = link;
  return { mac: formatMac(mac), kind, parent, permanentMac: permanentMac && formatMac(permanentMac) };
}

/**
 * How much a link in a container is like the device that is to be `ifname` there, and to have its name on the
 * host as its alias; 0 where it is another. A MAC alone says nothing: VLANs have that of their card.
 */
export function likeness(
  link: Link,
  { ifname, details: device }: { ifname: string; details: HostDevice },
): number {
  const hasAlias = link.alias === device.name;
  const hasName = link.name === ifname;
  const hasMac = hasOwnMac(link) && formatMac(link.mac) === device.mac;
  const isKnown = link.kind === device.kind && (hasAlias || (hasName && hasMac));
  if (!(isSameHardware(link, device) ?? isKnown)) return 0;
  return 1 + (hasAlias ? 4 : 0) + (hasName ? 2 : 0) + (hasMac ? 1 : 0);
}

/**
 * Whether a link of the host is the device, come back and not yet what it was. A virtual one without the
 * alias was never away, or is another that somebody made with the same name and MAC.
 */
export function isReturned(link: Link, device: HostDevice): boolean {
  return isSameHardware(link, device) ?? (link.alias === device.name && link.kind === device.kind);
}

/** By where it is plugged in; undefined for what is not, or before Linux 5.14. */
function isSameHardware(link: Link, device: HostDevice): boolean | undefined {
  if (device.parent === undefined) return undefined;
  const { parent, permanentMac } = identify(link);
  return link.kind === device.kind && parent === device.parent && permanentMac === device.permanentMac;
}

/** A tunnel has an address of another kind there, or none. */
function hasOwnMac({ mac }: Link): boolean {
  return mac.length === ETH_ALEN && isUnicastMac(mac);
}

/** The device on the host, under whatever name. */
export function findReturned(host: RouteSocket, device: HostDevice): Link | undefined {
  const likely = findLink(host, device.name);
  if (likely && isReturned(likely, device)) return likely;
  return listLinks(host).find((link) => isReturned(link, device));
}

/** The link that a configuration names; undefined where there is none in the namespace. */
export function selectLink(host: RouteSocket, selector: Selector): Link | undefined {
  const { key, value } = selector;
  if (key === "device") return findLink(host, value);
  if (key === "hwaddr") {
    const digits = macDigits(value);
    const links = listLinks(host).filter(({ mac }) => mac.toHex() === digits);
    // a bridge, a bond and a VLAN have the MAC of what is below them
    return links.find(({ kind }) => kind === "") ?? links[0];
  }
  const directory = deviceDirectory(selector);
  return directory === undefined ? undefined : findInterfaceOf(host, directory);
}

/** Whether the configuration names this device, wherever that is now. */
export function isSelected(device: HostDevice, selector: Selector): boolean {
  const { name, altnames, mac, path, parent } = device;
  const { key, value } = selector;
  if (key === "device") return name === value || altnames.includes(value);
  if (key === "hwaddr") return macDigits(mac) === macDigits(value);
  if (path !== undefined)
    return key === "kernelpath" ? path.startsWith(`${value}/`) : path.includes(`/${value}/`);
  const directory = deviceDirectory(selector);
  return directory !== undefined && parent !== undefined && isParentIn(directory, parent);
}

/** @throws CniError 7 for what no container can have */
export function refuseUnmovable(host: RouteSocket, { name, master }: Link): void {
  const refuse = (why: string, details: string) => invalidConfig(`device "${name}" ${why}`, details);
  if (name === "lo") throw refuse("is the loopback interface", "every network namespace has its own");
  if (master === undefined) return;
  const over = listLinks(host).find(({ index }) => index === master);
  throw refuse(
    `is a port of "${over?.name ?? master}"`,
    `the kernel would take it out of there for good; if it is to be a container's: ip link set ${name} nomaster`,
  );
}
