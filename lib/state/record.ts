/**
 * Attachment records: what a plugin made for one interface of one container on one network.
 *
 * A record is written before the kernel is touched and removed when nothing is left, so that after a kill
 * at any point DEL and GC know what to undo. They live in /run and go with the boot, as the interfaces do.
 *
 *     /run/weft/attachments/<network>/<containerId>:<ifname>:<plugin>    JSON
 *
 * None of the parts can hold a "/" or the separator (CNI spec 1.1 §2: names and ids; ifnames exclude ":").
 */
import { isErrno } from "../sys/errno.ts";
import {
  createFileExclusive,
  findTextFile,
  listDirectory,
  makeDirectory,
  removeDirectory,
  removeFile,
  replaceFile,
} from "../sys/file.ts";

const ATTACHMENTS_DIR = "/run/weft/attachments";
/** Two of these, and the name of an interface, are a file's name of at most 255 bytes (NAME_MAX). */
const PART_MAX = 100;
/** Behind the name of a record, what is to replace it. */
const UNFINISHED = ":new";
/** How often the directory may vanish, because the network's last DEL removed it, before that is an error. */
const DIRECTORY_ATTEMPTS = 10;

/** One interface of one container on one network. */
export interface AttachmentName {
  readonly network: string;
  readonly containerId: string;
  readonly ifname: string;
}

/** Whose record it is. */
export interface RecordKey extends AttachmentName {
  readonly plugin: string;
}

/** A record: its key, the container's namespace, and what the plugin needs in order to undo. */
export interface AttachmentRecord<Details> extends RecordKey {
  /** CNI_NETNS of the ADD. */
  readonly netns: string;
  readonly details: Details;
}

/** Writes the record, in place of one that a killed ADD left. */
export function writeRecord<Details>(record: AttachmentRecord<Details>): void {
  const path = recordPath(record);
  removeFile(path);
  for (let attempt = 1; ; attempt++) {
    makeDirectory(networkDirectory(record.network));
    try {
      createFileExclusive(path, JSON.stringify(record), 0o600);
      return;
    } catch (error) {
      if (!isErrno(error, "ENOENT") || attempt === DIRECTORY_ATTEMPTS) throw error;
    }
  }
}

/**
 * Writes the record in place of the one that is there; a reader, and a kill, see one or the other. For one
 * process at a time, as the runtime has it: what a kill leaves half done is found by its name.
 */
export function updateRecord<Details>(record: AttachmentRecord<Details>): void {
  const path = recordPath(record);
  replaceFile(path, JSON.stringify(record), 0o600, { temporary: path + UNFINISHED });
}

/** The record, or undefined when there is none that can be read. */
export function findRecord<Details>(key: RecordKey): AttachmentRecord<Details> | undefined {
  return readRecord(recordPath(key));
}

/** Removes the record, and the network's directory with its last. */
export function removeRecord(key: RecordKey): void {
  const path = recordPath(key);
  removeFile(path + UNFINISHED);
  if (removeFile(path)) removeDirectory(networkDirectory(key.network));
}

/**
 * Whether there is a record of any plugin for the attachment: then it was made by weft, in this boot, and
 * what no record tells of was not made.
 */
export function hasRecords(name: AttachmentName): boolean {
  const start = attachmentFileName(name, "");
  return listDirectory(networkDirectory(name.network)).some((file) => file.startsWith(start));
}

/** hasRecords() for many attachments of a network: it is as of this call. */
export function recordedAttachments(network: string): (name: Omit<AttachmentName, "network">) => boolean {
  const starts = new Set(
    listDirectory(networkDirectory(network)).map((file) => `${file.split(":", 2).join(":")}:`),
  );
  return (name) => starts.has(attachmentFileName(name, ""));
}

/** Whether the plugin has records on a network, of other attachments than `except`; told by their names. */
export function hasRecordsOf(
  plugin: string,
  network: string,
  except?: Omit<AttachmentName, "network">,
): boolean {
  const excepted = except && attachmentFileName(except, plugin);
  return listDirectory(networkDirectory(network)).some(
    (name) => name.endsWith(`:${plugin}`) && name !== excepted,
  );
}

/** The plugin's records on a network. */
export function listRecords<Details>(plugin: string, network: string): AttachmentRecord<Details>[] {
  const directory = networkDirectory(network);
  return listDirectory(directory)
    .filter((name) => name.endsWith(`:${plugin}`))
    .flatMap((name) => readRecord<Details>(`${directory}/${name}`) ?? []);
}

/** The interfaces of a container on a network of which the plugin has records. */
export function recordedInterfaces({ plugin, network, containerId }: Omit<RecordKey, "ifname">): string[] {
  const start = attachmentFileName({ containerId, ifname: "" }, "").slice(0, -1);
  const end = `:${plugin}`;
  return listDirectory(networkDirectory(network))
    .filter((name) => name.startsWith(start) && name.endsWith(end))
    .map((name) => name.slice(start.length, -end.length));
}

/** Every plugin's records on every network. */
export function listAllRecords<Details>(): AttachmentRecord<Details>[] {
  return listDirectory(ATTACHMENTS_DIR).flatMap((network) => listNetworkRecords<Details>(network));
}

/** Every plugin's records on the network. */
export function listNetworkRecords<Details>(network: string): AttachmentRecord<Details>[] {
  return recordPaths(network).flatMap((path) => readRecord<Details>(path) ?? []);
}

/** The files of records that cannot be read: damaged from outside. */
export function listDamagedRecords(): string[] {
  return listDirectory(ATTACHMENTS_DIR).flatMap(recordPaths).filter(isDamaged);
}

function recordPaths(network: string): string[] {
  const directory = networkDirectory(network);
  const names = listDirectory(directory).filter((name) => !name.endsWith(UNFINISHED));
  return names.map((name) => `${directory}/${name}`);
}

/** Not where it has gone since. */
function isDamaged(path: string): boolean {
  return findTextFile(path) !== undefined && readRecord(path) === undefined;
}

function readRecord<Details>(path: string): AttachmentRecord<Details> | undefined {
  const text = findTextFile(path);
  if (text === undefined) return undefined;
  try {
    const record = JSON.parse(text);
    // Written by writeRecord() of the same plugin; damaged from outside it is none, and DEL works without it.
    return hasDetails(record) ? (record as AttachmentRecord<Details>) : undefined;
  } catch {
    return undefined;
  }
}

function hasDetails(record: { details?: unknown } | null): boolean {
  return typeof record?.details === "object" && record.details !== null;
}

function networkDirectory(network: string): string {
  return `${ATTACHMENTS_DIR}/${network}`;
}

function recordPath(key: RecordKey): string {
  return `${networkDirectory(key.network)}/${attachmentFileName(key, key.plugin)}`;
}

/**
 * A name for what an attachment has in a directory: <containerId>:<ifname>:<more>. A part that is too long
 * for three of them to be a file's name is hashed, by itself, so that a name's start tells whose it is.
 */
export function attachmentFileName(
  { containerId, ifname }: Pick<AttachmentName, "containerId" | "ifname">,
  more: string,
): string {
  return `${fitting(containerId)}:${ifname}:${fitting(more)}`;
}

function fitting(part: string): string {
  return part.length <= PART_MAX ? part : new Bun.CryptoHasher("sha256").update(part).digest("hex");
}
