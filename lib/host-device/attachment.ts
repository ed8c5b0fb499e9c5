/**
 * A device of the host in a container: recorded, moved there, and given back from wherever it is.
 *
 * Its alias in the container is the name it had on the host, as the reference plugin has it, so that either
 * gives back what the other took.
 */
import { attachmentName, isSameAttachment } from "../alias.ts";
import { failuresOf } from "../cni/cleanup.ts";
import { CniError, invalidConfig } from "../cni/error.ts";
import { type Call, everyStep, type GcCall } from "../cni/plugin.ts";
import { NetlinkError } from "../netlink/error.ts";
import { netnsInode } from "../netns/netns.ts";
import { findLink, type Link } from "../rtnetlink/link.ts";
import { openRouteSocket, type RouteSocket } from "../rtnetlink/route-socket.ts";
import { refuseExistingInterface, type Sandbox } from "../sandbox.ts";
import { removeRecord, writeRecord } from "../state/record.ts";
import { makeDirectory } from "../sys/file.ts";
import { acquireLock, type Lock } from "../sys/lock.ts";
import { type Container, findInside, openContainer, openRecorded } from "./container.ts";
import {
  describeDevice,
  findReturned,
  type HostDevice,
  isSelected,
  refuseUnmovable,
  selectLink,
} from "./device.ts";
import { foreignRecord } from "./foreign.ts";
import { awaitReturn, moveBack, moveIn, refuseTakenNames, settleSteps } from "./move.ts";
import { type DeviceRecord, listDeviceRecords, listOtherRecords, RECORDS } from "./record.ts";
import type { Selector } from "./selector.ts";
import { isPluggedIn } from "./sysfs.ts";

const LOCKS_DIR = "/run/weft/locks";

/**
 * Moves the device that the configuration names into the container, as the call's interface, down. It comes
 * back when ADD fails.
 * @throws CniError 4 or 7 when it cannot be had, 11 while another container has it
 */
export function takeDevice(call: Call, sandbox: Sandbox, selector: Selector): HostDevice {
  const { host, container } = sandbox;
  const inode = netnsInode(sandbox.netns);
  using _lock = lockDevices();
  refuseExistingInterface(call, container);
  refuseSecondDevice(call);
  recoverDevices(call, host, selector);
  const link = freeLink(call, host, selector);
  refuseUnmovable(host, link);
  refuseTakenNames(container, link, call.ifname);

  const device = describeDevice(host, link);
  const details = { ...device, netnsInode: inode };
  const record = { ...RECORDS.key(call), netns: call.netnsPath, details };
  call.undo.defer(() => giveBack(record, host, { socket: container, netnsInode: inode }));
  writeRecord(record);
  moveIn(sandbox, link, call.ifname);
  return device;
}

/**
 * DEL: the device and its record, then what `release` gives back: the addresses were in use until now. A
 * device that is gone is no error: a virtual one dies with its namespace, hardware may be unplugged.
 */
export function releaseDevice(call: Call, selectors: readonly Selector[], release: () => void): void {
  const host = call.resources.use(openRouteSocket());
  const giveBackOwn = () => {
    const own = RECORDS.find(call);
    const container = own ? openRecorded(call, own) : openContainer(call, call.netnsPath);
    const record = own ?? foreignRecord(call, { host, container, selectors });
    if (record) giveBack(record, host, container);
    else removeRecord(RECORDS.key(call)); // one that cannot be read
  };
  everyStep(giveBackOwn, release);
}

/** GC: a step for each device that the network no longer owns, known by its record. */
export function staleDeviceSteps(call: GcCall): (() => void)[] {
  const host = call.resources.use(openRouteSocket());
  return RECORDS.staleSteps(call, (record) => giveBack(record, host, openRecorded(call, record)));
}

/** STATUS. @throws CniError 50 when neither the host nor a container of ours has the device */
export function checkDeviceAvailable(call: Call, selector: Selector): void {
  const host = call.resources.use(openRouteSocket());
  if (selectLink(host, selector) || listHolders(selector).length > 0) return;
  throw new CniError(CniError.NOT_AVAILABLE, absence(selector));
}

/** Held while devices change places. @throws LockTimeoutError */
function lockDevices(): Lock {
  makeDirectory(LOCKS_DIR);
  return acquireLock(`${LOCKS_DIR}/host-devices`);
}

/**
 * Moves the device to the host, where the container has it, makes it what it was, and removes the record.
 * Where the container is gone the kernel gives the host what does not die.
 */
function giveBack(record: DeviceRecord, host: RouteSocket, container: Container | undefined): void {
  const { details: device } = record;
  if (!container && !hasSuccessor(record)) awaitReturn(host, device);
  using _lock = lockDevices();
  const inside = container && findInside(container, record);
  if (inside) moveBack({ host, container: container.socket }, inside, device);
  settle(host, record);
}

/** Whether another attachment has the hardware by now. */
function hasSuccessor(record: DeviceRecord): boolean {
  const { parent, permanentMac } = record.details;
  return listOtherRecords(record).some(
    ({ details }) => details.parent === parent && details.permanentMac === permanentMac,
  );
}

/**
 * Makes the device on the host what it was, where it is there, and removes the record. That stays where there
 * is reason to try again: what the kernel refuses now it refuses the next time, too.
 */
function settle(host: RouteSocket, record: DeviceRecord): void {
  const { details: device } = record;
  const link = findReturned(host, device);
  const failures = link ? failuresOf(settleSteps(host, link, device)) : [];
  everyStep(
    () => failures.every((failure) => failure instanceof NetlinkError) && removeRecord(record),
    ...failures.map((failure) => () => {
      throw failure;
    }),
  );
}

/** The container of the record, where it is there and has the device. */
function hasDevice(call: Call, record: DeviceRecord): boolean {
  const container = openRecorded(call, record);
  return container !== undefined && findInside(container, record) !== undefined;
}

/** An attachment has one device. @throws CniError 4 when it has one already, in another namespace */
function refuseSecondDevice(call: Call): void {
  const record = RECORDS.find(call);
  if (!record || !hasDevice(call, record)) return;
  const { containerId, ifname, config } = call;
  throw new CniError(
    CniError.INVALID_ENVIRONMENT,
    `container "${containerId}" already has "${ifname}" on network "${config.name}"`,
    { details: `it is "${record.details.name}" of the host, in "${record.netns}"; run DEL first` },
  );
}

/**
 * Makes the device that is asked for what it was, where the container that had it died, or its ADD was
 * killed, and nobody called DEL yet. Of this attachment, of one that had the same interface, and of a device
 * in whose place another is by now, no record is left.
 */
function recoverDevices(call: Call, host: RouteSocket, selector: Selector): void {
  const attachment = attachmentName(call);
  for (const record of listDeviceRecords()) {
    const { details: device } = record;
    const isFormer = record.netns === call.netnsPath && record.ifname === call.ifname;
    const isOver = isFormer || isSameAttachment(record, attachment);
    if ((!isOver && !isSelected(device, selector)) || hasDevice(call, record)) continue;
    const link = findReturned(host, device);
    if (link) everyStep(...settleSteps(host, link, device));
    const isReplaced = !isPluggedIn(device) && findLink(host, device.name) !== undefined;
    if (link || isOver || isReplaced) removeRecord(record);
  }
}

/** The device, on the host. @throws CniError 11 while another container has it, 7 when there is none */
function freeLink(call: Call, host: RouteSocket, selector: Selector): Link {
  const link = selectLink(host, selector);
  const holders = listHolders(selector);
  // a VLAN and a bond have the MAC of the card below them, also while a container has that
  const isSubstitute = link && selector.key === "hwaddr" && link.kind !== "";
  const isAway = (record: DeviceRecord) => isPluggedIn(record.details) || hasDevice(call, record);
  const holder = isSubstitute ? holders.find(isAway) : holders[0];
  if (link && !(isSubstitute && holder)) return link;
  if (!holder) throw invalidConfig(absence(selector));
  const { containerId, ifname, network, netns, details } = holder;
  throw new CniError(
    CniError.TRY_AGAIN_LATER,
    `device "${details.name}" is in use: container "${containerId}" has it as "${ifname}"`,
    { details: `on network "${network}", in "${netns}"; its DEL gives the device back` },
  );
}

function absence({ key, value }: Selector): string {
  return `failed to find host device: no interface of this host has "${key}" ${JSON.stringify(value)}`;
}

/** Who has the device now. */
function listHolders(selector: Selector): DeviceRecord[] {
  return listDeviceRecords().filter(({ details }) => isSelected(details, selector));
}
