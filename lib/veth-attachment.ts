/**
 * The life of a container's veth pair: recorded before it is
 * made, found by the record afterwards. For bridge and ptp.
 */

import { attachmentAlias, attachmentName } from "./alias.ts";
import { staleAttachments } from "./cni/call.ts";
import { CniError } from "./cni/error.ts";
import type { Call, GcCall } from "./cni/plugin.ts";
import { ownRecords } from "./own-records.ts";
import { findLink } from "./rtnetlink/link.ts";
import type { RouteSocket } from "./rtnetlink/route-socket.ts";
import { findSandbox, type Sandbox } from "./sandbox.ts";
import { removeRecord } from "./state/record.ts";
import { createVethPair, deleteVethPair, listHostEnds, randomVethName, type VethPair } from "./veth.ts";

/** What the record keeps: the name of the end on the host. */
interface Details {
  readonly hostName: string;
}

/**
 * Chooses the name of the end on the host and records it,
 * for ADD to start with, with what `more` the plugin knows. The record goes when ADD fails.
 * @throws CniError 4 when the attachment has a pair already:
 * in another namespace, since here its name is free
 */
export function recordVeth(call: Call, plugin: string, { host }: Sandbox, more: object = {}): string {
  refuseSecondPair(call, host, plugin);
  const hostName = randomVethName();
  ownRecords<Details>(plugin).write(call, { ...more, hostName }, removeRecord);
  return hostName;
}

/** Makes the recorded pair. It goes when ADD fails. */
export function createRecordedVeth(
  call: Call,
  { host, container, netns }: Sandbox,
  pair: Pick<VethPair, "hostName" | "master" | "mac" | "mtu">,
): void {
  const attachment = attachmentName(call);
  call.undo.defer(() => deleteVethPair({ host, container }, attachment, pair.hostName));
  createVethPair(host, { ...pair, name: call.ifname, netns, alias: attachmentAlias(attachment) });
}

function refuseSecondPair(call: Call, host: RouteSocket, plugin: string): void {
  const record = ownRecords<Details>(plugin).find(call);
  if (!record || !findLink(host, record.details.hostName)) return;
  const { containerId, ifname, config } = call;
  throw new CniError(
    CniError.INVALID_ENVIRONMENT,
    `container "${containerId}" already has "${ifname}" on network "${config.name}"`,
    { details: `it is in "${record.netns}", with "${record.details.hostName}" on the host; run DEL first` },
  );
}

/** DEL: the pair, then what `release` gives back (the addresses were in use until now), then the record. */
export function deleteVeth(call: Call, plugin: string, release: () => void): void {
  const records = ownRecords<Details>(plugin);
  deleteVethPair(findSandbox(call), attachmentName(call), records.find(call)?.details.hostName);
  release();
  removeRecord(records.key(call));
}

/** GC: a step for each pair that the network no longer owns, known by its record or by its alias alone. */
export function staleVethSteps(call: GcCall, plugin: string, host: RouteSocket): (() => void)[] {
  const { name } = call.config;
  const sandbox = { host, container: undefined };
  const ends = staleAttachments(call, listHostEnds(host, name));
  return [
    ...ends.map((end) => () => deleteVethPair(sandbox, end, end.hostName)),
    ...ownRecords<Details>(plugin).staleSteps(call, (record) => {
      deleteVethPair(sandbox, record, record.details.hostName);
      removeRecord(record);
    }),
  ];
}
