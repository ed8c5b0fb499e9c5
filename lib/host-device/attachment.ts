/**
 * A device of the host in a container: recorded, moved there, and given back from wherever it is.
 *
 * Its alias in the container is the name it had on the host, as the reference plugin has it, so that either
 * gives back what the other took.
 */
import { attachmentName, isSameAttachment } from "../alias.ts";
import { staleAttachments } from "../cni/call.ts";
import { failuresOf } from "../cni/cleanup.ts";
import { CniError } from "../cni/error.ts";
import { type Call, everyStep, type GcCall } from "../cni/plugin.ts";
import { NetlinkError } from "../netlink/error.ts";
import { findNetns } from "../netns/netns.ts";
import { openRouteSocket, type RouteSocket } from "../rtnetlink/route-socket.ts";
import { refuseExistingInterface, type Sandbox } from "../sandbox.ts";
import { findRecord, listRecords, type RecordKey, removeRecord, writeRecord } from "../state/record.ts";
import { makeDirectory } from "../sys/file.ts";
import { acquireLock, type Lock } from "../sys/lock.ts";
import {
  describeDevice,
  findInside,
  findReturned,
  type HostDevice,
  isSelected,
  refuseUnmovable,
  selectLink,
} from "./device.ts";
import { foreignDevice } from "./foreign.ts";
import { awaitReturn, moveBack, moveIn, settleSteps } from "./move.ts";
import { type DeviceRecord, listDeviceRecords, PLUGIN } from "./record.ts";
import type { Selector } from "./selector.ts";

const LOCKS_DIR = "/run/weft/locks";

/**
 * Moves the device that the configuration names into the container, as the call's interface, down. It comes
 * back when ADD fails.
 * @throws CniError 4 or 7 when it cannot be had, 11 while another container has it
 */
export function takeDevice(call: Call, sandbox: Sandbox, selector: Selector): HostDevice {
  const { host, container } = sandbox;
  using _lock = lockDevices();
  refuseExistingInterface(call, container);
  refuseSecondDevice(call);
  recoverDevices(call, sandbox, selector);
  const link = selectLink(host, selector) ?? refuseAbsent(selector);
  refuseUnmovable(host, link);

  const device = describeDevice(host, link);
  const record: DeviceRecord = { ...deviceKey(call), netns: call.netnsPath, details: device };
  call.undo.defer(() => giveBack(record, { host, container }));
  writeRecord(record);
  moveIn(sandbox, link, call.ifname);
  return device;
}

/**
 * DEL: the device and its record, then what `release` gives back: the addresses were in use until now. A
 * device that is gone is no error: a virtual one dies with its namespace, hardware may be unplugged.
 */
export function releaseDevice(call: Call, selectors: readonly Selector[], release: () => void): void {
  const key = deviceKey(call);
  const { ifname, netnsPath, resources } = call;
  const host = resources.use(openRouteSocket());
  const record = findRecord<HostDevice>(key);
  const containers = openContainers(call, netnsPath, record?.netns);
  const [container] = containers;
  const device = record?.details ?? foreignDevice(call, { host, container, selectors });
  if (device) bringHome(device, { host, ifname, containers });
  everyStep(() => (device ? settle(host, device, key) : removeRecord(key)), release);
}

/** GC: a step for each device that the network no longer owns, known by its record. */
export function staleDeviceSteps(call: GcCall): (() => void)[] {
  const host = call.resources.use(openRouteSocket());
  const records = staleAttachments(call, listRecords<HostDevice>(PLUGIN, call.config.name));
  return records.map((record) => () => {
    const [container] = openContainers(call, record.netns);
    giveBack(record, { host, container });
  });
}

/** STATUS. @throws CniError 50 when neither the host nor a container of ours has the device */
export function checkDeviceAvailable(call: Call, selector: Selector): void {
  const host = call.resources.use(openRouteSocket());
  if (selectLink(host, selector) || findHolder(selector)) return;
  throw new CniError(CniError.NOT_AVAILABLE, absence(selector));
}

/** Held while devices change places. @throws LockTimeoutError */
function lockDevices(): Lock {
  makeDirectory(LOCKS_DIR);
  return acquireLock(`${LOCKS_DIR}/host-devices`);
}

function deviceKey(call: Call): RecordKey {
  return { plugin: PLUGIN, ...attachmentName(call) };
}

function giveBack(
  record: DeviceRecord,
  { host, container }: { host: RouteSocket; container: RouteSocket | undefined },
): void {
  const { ifname, details: device } = record;
  bringHome(device, { host, ifname, containers: container ? [container] : [] });
  settle(host, device, record);
}

/**
 * Moves the device to the host from whichever of the namespaces it is in, if from any; where none lives the
 * kernel is about to do it.
 */
function bringHome(
  device: HostDevice,
  places: { host: RouteSocket; ifname: string; containers: readonly RouteSocket[] },
): void {
  const { host, ifname, containers } = places;
  if (containers.length === 0) awaitReturn(host, device);
  using _lock = lockDevices();
  for (const container of containers) {
    const inside = findInside(container, device, ifname);
    if (inside) moveBack({ host, container }, inside, device);
  }
}

/**
 * Makes the device on the host what it was, where it is there, and removes the record. That stays where there
 * is reason to try again: what the kernel refuses now it refuses the next time, too.
 */
function settle(host: RouteSocket, device: HostDevice, key: RecordKey): void {
  using _lock = lockDevices();
  const link = findReturned(host, device);
  const failures = link ? failuresOf(settleSteps(host, link, device)) : [];
  everyStep(
    () => failures.every((failure) => failure instanceof NetlinkError) && removeRecord(key),
    ...failures.map((failure) => () => {
      throw failure;
    }),
  );
}

/** The namespaces at those paths that live, each once. */
function openContainers({ resources }: Call, ...paths: readonly (string | undefined)[]): RouteSocket[] {
  const sockets: RouteSocket[] = [];
  for (const [index, path = ""] of paths.entries()) {
    const netns = paths.indexOf(path) === index ? resources.use(findNetns(path)) : undefined;
    if (netns) sockets.push(resources.use(openRouteSocket(netns)));
  }
  return sockets;
}

/** An attachment has one device. @throws CniError 4 when it has one already, in another namespace */
function refuseSecondDevice(call: Call): void {
  const record = findRecord<HostDevice>(deviceKey(call));
  if (!record) return;
  const { containerId, ifname, config } = call;
  const [container] = openContainers(call, record.netns);
  if (!container || !findInside(container, record.details, ifname)) return;
  throw new CniError(
    CniError.INVALID_ENVIRONMENT,
    `container "${containerId}" already has "${ifname}" on network "${config.name}"`,
    { details: `it is "${record.details.name}" of the host, in "${record.netns}"; run DEL first` },
  );
}

/**
 * Makes the device that is asked for what it was, where the container that had it died, or its ADD was
 * killed, and nobody called DEL yet. Of this attachment, and of one that had the same interface, no record is
 * left.
 */
function recoverDevices(call: Call, { host }: Sandbox, selector: Selector): void {
  const attachment = attachmentName(call);
  for (const record of listDeviceRecords()) {
    const isFormer = record.netns === call.netnsPath && record.ifname === call.ifname;
    const isGone = isFormer || isSameAttachment(record, attachment);
    if (!isGone && !isSelected(record.details, selector)) continue;
    const [container] = openContainers(call, record.netns);
    if (container && findInside(container, record.details, record.ifname)) continue;
    const link = findReturned(host, record.details);
    if (link) everyStep(...settleSteps(host, link, record.details));
    if (link || isGone) removeRecord(record);
  }
}

function refuseAbsent(selector: Selector): never {
  const holder = findHolder(selector);
  if (!holder) throw new CniError(CniError.INVALID_NETWORK_CONFIG, absence(selector));
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
function findHolder(selector: Selector): DeviceRecord | undefined {
  return listDeviceRecords().find(({ details }) => isSelected(details, selector));
}
