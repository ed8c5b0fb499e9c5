/** A device that no record of ours tells of: another plugin took it, which knows the alias alone. */
import { attachmentName, isSameAttachment } from "../alias.ts";
import { faultOfIfname } from "../cni/environment.ts";
import type { Call } from "../cni/plugin.ts";
import { findLink, type Link } from "../rtnetlink/link.ts";
import type { RouteSocket } from "../rtnetlink/route-socket.ts";
import { listAllRecords } from "../state/record.ts";
import { findFile, isSameFile } from "../sys/file.ts";
import { type HostDevice, identify, isReturned, isSelected } from "./device.ts";
import { isDeviceRecord } from "./record.ts";
import type { Selector } from "./selector.ts";

interface ForeignPlaces {
  readonly host: RouteSocket;
  /** undefined where its namespace is gone. */
  readonly container: RouteSocket | undefined;
  /** What the configuration names. */
  readonly selectors: readonly Selector[];
}

/**
 * A device that no record tells of, because the reference plugin took it: its interface says by its alias
 * what it is to be called. How it was on the host nobody knows; that plugin leaves it down.
 */
export function foreignDevice(
  call: Call,
  { host, container, selectors }: ForeignPlaces,
): HostDevice | undefined {
  const link = findLink(container ?? host, call.ifname);
  if (!link || faultOfIfname(link.alias) || isAnothers(call, link, container)) return undefined;
  // on the host an alias may say anything: only what was asked for by that name, and is not there, is meant
  const isByName = selectors.some(({ key }) => key === "device") && !findLink(host, link.alias);
  if (!container && !isByName) return undefined;
  const { alias: name, mtu } = link;
  const device: HostDevice = { ...identify(link), name, mtu, alias: "", up: false, addresses: [] };
  return selectors.every((selector) => isSelected(device, selector)) ? device : undefined;
}

/** Whether a record tells of another attachment whose interface this is. */
function isAnothers(call: Call, link: Link, container: RouteSocket | undefined): boolean {
  const { ifname, netnsPath } = call;
  const netns = findFile(netnsPath);
  return listAllRecords().some((record) => {
    if (isSameAttachment(record, attachmentName(call))) return false;
    const isThere = record.netns === netnsPath || isSameFile(findFile(record.netns), netns);
    const isItsDevice = isDeviceRecord(record) && isReturned(link, record.details);
    return isItsDevice ? isThere || !container : isThere && record.ifname === ifname;
  });
}
