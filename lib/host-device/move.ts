/** A device between host and container, and what becomes of it on the way. */
import { CniError, invalidConfig } from "../cni/error.ts";
import { formatMac } from "../netaddr/mac.ts";
import { parsePrefix, samePrefix } from "../netaddr/prefix.ts";
import { NetlinkError } from "../netlink/error.ts";
import { openOwnNetns } from "../netns/netns.ts";
import { addAddress, listAddresses } from "../rtnetlink/address.ts";
import { deleteAltnames, findLink, type Link, setLink } from "../rtnetlink/link.ts";
import { openRouteSocket, type RouteSocket, RTNLGRP_LINK } from "../rtnetlink/route-socket.ts";
import type { Sandbox } from "../sandbox.ts";
import { findReturned, type HostDevice } from "./device.ts";
import { isPluggedIn } from "./sysfs.ts";

/** Of a device whose name somebody else has by now: the kernel puts the first free number in. */
const OTHER_NAME = "dev%d";
/** The kernel clears namespaces away one after the other, some ten a second. */
const RETURN_TIMEOUT_MS = 5_000;

/**
 * Equivalent to `ip link set NAME netns CONTAINER name IFNAME alias NAME`, in one message. The kernel closes
 * the device and moves it, under the new name if the old one is taken there; then it renames it.
 */
export function moveIn({ host, netns }: Pick<Sandbox, "host" | "netns">, link: Link, ifname: string): void {
  try {
    setLink(host, link, { netns, name: ifname, alias: link.name });
  } catch (error) {
    if (!(error instanceof NetlinkError) || error.code !== "EINVAL") throw error;
    throw invalidConfig(
      `device "${link.name}" cannot be a container's`,
      `such interfaces stay in the namespace they were made in, as bridges do (${error.message})`,
    );
  }
}

/** @throws CniError 4 where an alternative name of the device is in the way of the move */
export function refuseTakenNames(container: RouteSocket, { name, altnames }: Link, ifname: string): void {
  const taken = altnames.find((altname) => altname === ifname || findLink(container, altname));
  if (taken === undefined) return;
  const why = taken === ifname ? "which is to be its name there" : "which another interface has there";
  throw new CniError(
    CniError.INVALID_ENVIRONMENT,
    `device "${name}" has the alternative name "${taken}", ${why}`,
    { details: `choose another name, or: ip link property del dev ${name} altname ${taken}` },
  );
}

/**
 * The way back, equivalent to `ip link set IFNAME netns HOST name NAME alias NAME`. The alias tells until
 * settleSteps() are done, and for ever where the name is another's. An alternative name that is another's by
 * now is lost: with it the kernel would not move the device.
 */
export function moveBack(
  { host, container }: Pick<Sandbox, "host" | "container">,
  link: Link,
  device: HostDevice,
): void {
  using netns = openOwnNetns();
  const taken = link.altnames.filter((altname) => altname === device.name || findLink(host, altname));
  if (taken.length > 0) deleteAltnames(container, link, taken);
  const name = findLink(host, device.name) ? OTHER_NAME : device.name;
  setLink(container, link, { netns, name, alias: device.name });
}

/**
 * Waits for a device that is hardware to appear on the host, by event: a namespace that nobody holds any more
 * takes the kernel a moment to clear away, and what it gives back it gives to the initial namespace. What was
 * unplugged, or is in a namespace that nobody knows, does not come.
 */
export function awaitReturn(host: RouteSocket, device: HostDevice): void {
  if (findReturned(host, device)) return;
  using events = openRouteSocket();
  events.subscribe(RTNLGRP_LINK);
  const deadline = performance.now() + RETURN_TIMEOUT_MS;
  while (isPluggedIn(device) && !findReturned(host, device)) {
    const remainingMs = deadline - performance.now();
    if (remainingMs <= 0) return;
    events.awaitEvent(remainingMs);
  }
}

/** What is still to be done for the device on the host to be what it was; where it is, that is nothing. */
export function settleSteps(host: RouteSocket, link: Link, device: HostDevice): (() => void)[] {
  const { mtu } = device;
  const mac = Uint8Array.fromHex(device.mac.replaceAll(":", ""));
  const hasName = link.name === device.name;
  const takesName = !hasName && !findLink(host, device.name);
  const hasMac = formatMac(link.mac) === device.mac;
  // many drivers change neither while they are up, and no kernel before 6.2 a name
  const isDowned = link.up && (takesName || !hasMac);
  const alias = hasName || takesName ? device.alias : device.name;
  const up = device.up && (isDowned || !link.up) ? true : undefined;
  const steps = [
    () => isDowned && setLink(host, link, { up: false }),
    () => takesName && setLink(host, link, { name: device.name }),
    () => !hasMac && setLink(host, link, { mac }),
    () => mtu !== link.mtu && setLink(host, link, { mtu }),
    () => addMissingAddresses(host, link, device),
    () => (up || alias !== link.alias) && setLink(host, link, { alias, up }),
  ];
  return steps;
}

/** The addresses that no interface of the host has taken over meanwhile. */
function addMissingAddresses(host: RouteSocket, link: Link, { addresses }: HostDevice): void {
  if (addresses.length === 0) return;
  const held = listAddresses(host);
  for (const text of addresses) {
    const wanted = parsePrefix(text);
    if (!held.some(({ prefix }) => samePrefix(prefix, wanted))) addAddress(host, link, wanted);
  }
}
