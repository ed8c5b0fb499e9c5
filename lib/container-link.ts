/**
 * The life of an interface that is made in a container's namespace, whatever its kind: recorded before, made
 * under its name where it belongs, found by name and alias afterwards. It goes with the namespace.
 */
import { attachmentAlias, attachmentName, attachmentOf, isSameAttachment } from "./alias.ts";
import { CniError } from "./cni/error.ts";
import type { Call, GcCall } from "./cni/plugin.ts";
import { explained } from "./link-refusal.ts";
import type { Master } from "./master.ts";
import { isExisting, unlessMissing } from "./netlink/error.ts";
import { findNetns, netnsInode } from "./netns/netns.ts";
import { type OwnRecords, ownRecords } from "./own-records.ts";
import {
  createLink,
  deleteLink,
  deleteLinkIfThere,
  findLink,
  IFNAME_MAX,
  type Link,
  linkByName,
  setLink,
} from "./rtnetlink/link.ts";
import { openRouteSocket, type RouteSocket } from "./rtnetlink/route-socket.ts";
import { findContainer, refuseExistingInterface, type Sandbox } from "./sandbox.ts";
import { type AttachmentName, type AttachmentRecord, removeRecord } from "./state/record.ts";

/** Who makes such interfaces. */
export interface Maker {
  /** Whose the records are. */
  readonly plugin: string;
  /** IFLA_INFO_KIND of the interfaces. */
  readonly kind: string;
}

/** Which namespace it was: another may be at the path by the time the record is read. */
interface Details {
  readonly netnsInode: string;
}

type LinkRecord = AttachmentRecord<Details>;

/**
 * Records that the attachment is to have an interface, for ADD to start with. The record goes when ADD fails.
 * @throws CniError 4 when CNI_IFNAME is taken, or the attachment has its interface in another namespace
 */
export function recordContainerLink(call: Call, maker: Maker, { container, netns }: Sandbox): void {
  refuseExistingInterface(call, container);
  const records = recordsOf(maker);
  const key = records.key(call);
  const record = records.find(call);
  const findEarlier = (other: RouteSocket) => {
    deleteLinkIfThere(other, temporaryName(key)); // of an ADD that was killed before it had a name
    return findOwnLink(other, maker, key);
  };
  if (record && inRecordedNetns(record, findEarlier)) {
    throw new CniError(
      CniError.INVALID_ENVIRONMENT,
      `container "${key.containerId}" already has "${key.ifname}" on network "${key.network}"`,
      { details: `it is in "${record.netns}"; run DEL first` },
    );
  }
  records.write(call, { netnsInode: netnsInode(netns) }, removeRecord);
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
 * Makes the recorded interface. It goes when ADD fails. Equivalent to `ip link add link MASTER name NAME
 * netns NETNS type KIND …`. Before Linux 6.15 a name that the master's namespace has is refused
 * (net/core/rtnetlink.c, __rtnl_newlink): then under another name, and renamed where it belongs. Not so from
 * the start, because a rename waits for a grace period.
 */
export function createContainerLink(
  call: Call,
  sandbox: Sandbox,
  maker: Maker,
  { master, ...makings }: LinkMakings,
): Link {
  const { container, netns } = sandbox;
  const { socket = container, link } = master ?? {};
  const attachment = attachmentName(call);
  const settings = { ...makings, kind: maker.kind, ...(link && { link: link.index }) };
  return makeContainerLink(call, sandbox, maker, (alias) => {
    if (socket === container) {
      explained(settings, master, () => createLink(socket, { ...settings, name: call.ifname, alias }));
      return;
    }
    const create = (name: string) => {
      createLink(socket, { ...settings, name, netns });
      return name;
    };
    const name = explained(settings, master, () => {
      try {
        return create(call.ifname);
      } catch (error) {
        if (!isExisting(error)) throw error;
        return create(temporaryName(attachment));
      }
    });
    if (name === call.ifname) setLink(container, { name }, { alias });
    else setLink(container, linkByName(container, name), { name: call.ifname, alias });
  });
}

/** The same for an interface that `make` makes in another way, under its name and with this alias. */
export function makeContainerLink(
  call: Call,
  { container }: Sandbox,
  maker: Maker,
  make: (alias: string) => void,
): Link {
  const attachment = attachmentName(call);
  call.undo.defer(() => deleteOwnLink(container, maker, attachment));
  make(attachmentAlias(attachment));
  return linkByName(container, call.ifname);
}

/**
 * DEL: the interface, then what `release` gives back (the addresses were in use until now), then the record.
 */
export function deleteContainerLink(call: Call, maker: Maker, release: () => void): void {
  const records = recordsOf(maker);
  const key = records.key(call);
  const container = findContainer(call);
  const record = records.find(call);
  if (container) deleteOwnLink(container, maker, key);
  if (record && record.netns !== call.netnsPath) deleteRecorded(record, maker);
  release();
  removeRecord(key);
}

/** GC: a step for each interface that the network no longer owns and whose namespace is still there. */
export function staleContainerLinkSteps(call: GcCall, maker: Maker): (() => void)[] {
  return recordsOf(maker).staleSteps(call, (record) => {
    deleteRecorded(record, maker);
    removeRecord(record);
  });
}

/** Or the one that a killed ADD left under its first name. */
function deleteOwnLink(container: RouteSocket, maker: Maker, attachment: AttachmentName): void {
  const link = findOwnLink(container, maker, attachment);
  if (link) unlessMissing(() => deleteLink(container, link));
  else deleteLinkIfThere(container, temporaryName(attachment));
}

/** By name. One of another kind, or that says it is another attachment's, is not. */
function findOwnLink(container: RouteSocket, { kind }: Maker, attachment: AttachmentName): Link | undefined {
  const link = findLink(container, attachment.ifname);
  const owner = link && attachmentOf(link);
  return link?.kind === kind && (!owner || isSameAttachment(owner, attachment)) ? link : undefined;
}

function deleteRecorded(record: LinkRecord, maker: Maker): void {
  inRecordedNetns(record, (container) => deleteOwnLink(container, maker, record));
}

/** What `act` returns, where the record's namespace is still there. */
function inRecordedNetns<T>(record: LinkRecord, act: (container: RouteSocket) => T): T | undefined {
  using netns = findNetns(record.netns);
  if (!netns || netnsInode(netns) !== record.details.netnsInode) return undefined;
  using container = openRouteSocket(netns);
  return act(container);
}

/** Nobody else's: it is a hash of whose the interface is. */
function temporaryName({ network, containerId, ifname }: AttachmentName): string {
  const hash = new Bun.CryptoHasher("sha256").update(`${network}/${containerId}/${ifname}`).digest("hex");
  return `weft${hash}`.slice(0, IFNAME_MAX);
}

function recordsOf({ plugin }: Maker): OwnRecords<Details> {
  return ownRecords(plugin);
}
