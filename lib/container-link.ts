/**
 * The life of an interface that is made in a container's namespace, whatever its kind: recorded before, made
 * under its name where it belongs, found by name and alias afterwards. It goes with the namespace.
 */
import { attachmentAlias, attachmentName, attachmentOf, isSameAttachment } from "./alias.ts";
import { staleAttachments } from "./cni/call.ts";
import { CniError } from "./cni/error.ts";
import type { Call, GcCall } from "./cni/plugin.ts";
import { explained } from "./link-refusal.ts";
import type { Master } from "./master.ts";
import { findNetns } from "./netns/netns.ts";
import { createLink, deleteLinkIfThere, findLink, type Link, linkByName, setLink } from "./rtnetlink/link.ts";
import { openRouteSocket, type RouteSocket } from "./rtnetlink/route-socket.ts";
import { findSandbox, refuseExistingInterface, type Sandbox } from "./sandbox.ts";
import {
  type AttachmentName,
  type AttachmentRecord,
  findRecord,
  listRecords,
  type RecordKey,
  removeRecord,
  writeRecord,
} from "./state/record.ts";

/** Who makes such interfaces. */
export interface Maker {
  /** Whose the records are. */
  readonly plugin: string;
  /** IFLA_INFO_KIND of the interfaces. */
  readonly kind: string;
}

/** Nothing needs to be remembered of the interface but where it is. */
type LinkRecord = AttachmentRecord<object>;

/**
 * Records that the attachment is to have an interface, for ADD to start with. The record goes when ADD fails.
 * @throws CniError 4 when CNI_IFNAME is taken, or the attachment has its interface in another namespace
 */
export function recordContainerLink(call: Call, maker: Maker, { container }: Sandbox): void {
  refuseExistingInterface(call, container);
  const key = recordKey(call, maker);
  const record = findRecord<object>(key);
  if (record && inRecordedNetns(record, maker, () => true)) {
    throw new CniError(
      CniError.INVALID_ENVIRONMENT,
      `container "${key.containerId}" already has "${key.ifname}" on network "${key.network}"`,
      { details: `it is in "${record.netns}"; run DEL first` },
    );
  }
  call.undo.defer(() => removeRecord(key));
  writeRecord({ ...key, netns: call.netnsPath, details: {} });
}

/** What an interface is made with. */
export interface LinkMakings {
  readonly master?: Master | undefined;
  readonly data?: Uint8Array | undefined;
  readonly mac?: Uint8Array | undefined;
  /** Bytes; the kernel's choice when undefined. */
  readonly mtu?: number | undefined;
}

/**
 * Makes the recorded interface, in one message, in the container's namespace. It goes when ADD fails.
 * Equivalent to `ip link add link MASTER name NAME netns NETNS type KIND …`.
 */
export function createContainerLink(
  call: Call,
  sandbox: Sandbox,
  maker: Maker,
  { master, ...makings }: LinkMakings,
): Link {
  const { container, netns } = sandbox;
  const { socket = container, link } = master ?? {};
  const settings = { ...makings, name: call.ifname, kind: maker.kind, ...(link && { link: link.index }) };
  return makeContainerLink(call, sandbox, maker, () => {
    explained(settings, link, () => {
      createLink(socket, socket === container ? settings : { ...settings, netns });
    });
  });
}

/** The same for an interface that `make` makes in another way. */
export function makeContainerLink(call: Call, sandbox: Sandbox, maker: Maker, make: () => void): Link {
  const { container } = sandbox;
  const { ifname: name } = call;
  const attachment = attachmentName(call);
  call.undo.defer(() => deleteOwnLink(container, maker, attachment));
  make();
  const alias = attachmentAlias(attachment);
  if (alias) setLink(container, { name }, { alias });
  return linkByName(container, name);
}

/** DEL: the interface, then what `release` gives back (the addresses were in use until now), then the record. */
export function deleteContainerLink(call: Call, maker: Maker, release: () => void): void {
  const key = recordKey(call, maker);
  const { container } = findSandbox(call);
  const record = findRecord<object>(key);
  if (container) deleteOwnLink(container, maker, key);
  else if (record) deleteRecorded(record, maker);
  release();
  removeRecord(key);
}

/** GC: a step for each interface that the network no longer owns and whose namespace is still there. */
export function staleContainerLinkSteps(call: GcCall, maker: Maker): (() => void)[] {
  const records = staleAttachments(call, listRecords<object>(maker.plugin, call.config.name));
  return records.map((record) => () => {
    deleteRecorded(record, maker);
    removeRecord(record);
  });
}

/** By name. One of another kind, or that says it is another attachment's, stays. */
function deleteOwnLink(container: RouteSocket, { kind }: Maker, attachment: AttachmentName): void {
  const link = findLink(container, attachment.ifname);
  const owner = link && attachmentOf(link);
  if (link?.kind !== kind || (owner && !isSameAttachment(owner, attachment))) return;
  deleteLinkIfThere(container, link.name);
}

/** By the record alone: another namespace may be at its path by now, so the interface must say whose it is. */
function deleteRecorded(record: LinkRecord, maker: Maker): void {
  inRecordedNetns(record, maker, (socket, { name }) => deleteLinkIfThere(socket, name));
}

/** Where the record's interface is still there, what `act` returns. */
function inRecordedNetns<T>(
  record: LinkRecord,
  { kind }: Maker,
  act: (socket: RouteSocket, link: Link) => T,
): T | undefined {
  using netns = findNetns(record.netns);
  if (!netns) return undefined;
  using socket = openRouteSocket(netns);
  const link = findLink(socket, record.ifname);
  const owner = link && attachmentOf(link);
  return link?.kind === kind && owner && isSameAttachment(owner, record) ? act(socket, link) : undefined;
}

function recordKey(call: Call, { plugin }: Maker): RecordKey {
  return { plugin, ...attachmentName(call) };
}
