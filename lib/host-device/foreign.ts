/** A device that no record of ours tells of: another plugin took it, which knows the alias alone. */
import { attachmentName, isSameAttachment } from "../alias.ts";
import { faultOfIfname } from "../cni/environment.ts";
import type { Call } from "../cni/plugin.ts";
import { findLink, type Link } from "../rtnetlink/link.ts";
import type { RouteSocket } from "../rtnetlink/route-socket.ts";
import { listAllRecords } from "../state/record.ts";
import { findFile, isSameFile } from "../sys/file.ts";
import type { Container } from "./container.ts";
import { type HostDevice, identify, isReturned, isSelected, likeness } from "./device.ts";
import { type DeviceRecord, isDeviceRecord, RECORDS } from "./record.ts";
import type { Selector } from "./selector.ts";

interface ForeignPlaces {
  readonly host: RouteSocket;
  /** undefined where its namespace is gone. */
  readonly container: Container | undefined;
  /** What the configuration names. */
  readonly selectors: readonly Selector[];
}

/**
 * What a record would say of a device that none tells of, because the reference plugin took it: its interface
 * says by its alias what it is to be called. How it was on the host nobody knows; that plugin leaves it down.
 */
export function foreignRecord(
  call: Call,
  { host, container, selectors }: ForeignPlaces,
): DeviceRecord | undefined {
  const link = findLink(container?.socket ?? host, call.ifname);
  if (!link || faultOfIfname(link.alias) || isAnothers(call, link, container)) return undefined;
  // on the host an alias may say anything: only what was asked for by that name, and is not there, is meant
  const isByName = selectors.some(({ key }) => key === "device") && !findLink(host, link.alias);
  if (!container && !isByName) return undefined;
  const { alias: name, altnames, mtu } = link;
  const device: HostDevice = { ...identify(link), name, altnames, mtu, alias: "", up: false, addresses: [] };
  if (!selectors.every((selector) => isSelected(device, selector))) return undefined;
  const details = { ...device, netnsInode: container?.netnsInode ?? "" };
  return { ...RECORDS.key(call), netns: call.netnsPath, details };
}

/** Whether a record tells of another attachment whose interface this is. */
function isAnothers(call: Call, link: Link, container: Container | undefined): boolean {
  const { ifname, netnsPath } = call;
  const netns = findFile(netnsPath);
  return listAllRecords().some((record) => {
    if (isSameAttachment(record, attachmentName(call))) return false;
    const hasName = record.ifname === ifname;
    if (!isDeviceRecord(record))
      return hasName && (record.netns === netnsPath || isSameFile(findFile(record.netns), netns));
    if (!container) return isReturned(link, record.details);
    const isThere = record.details.netnsInode === container.netnsInode;
    return isThere && (hasName || likeness(link, record) > 0);
  });
}
