/**
 * An index of a directory of leases by container, so that neither ADD nor DEL reads every lease.
 *
 *     /run/weft/leases/<device>-<inode>/00 … ff   leases, a line each: address, container, interface
 *     /run/weft/leases/<device>-<inode>/stamp     modification time of the directory of leases, and the boot
 *
 * It is exact as long as nobody else has changed the directory. Whoever seals the index sets the directory's
 * modification time to one that is past, which no change gives it, and writes that down as the stamp. A
 * change by anybody, also by this program until it seals again, gives the directory another time and so
 * makes the index stale. So do its loss, another boot, and a file system that does not keep nanoseconds.
 * Without it everything takes longer and is the same.
 */
import { nowNs } from "../sys/clock.ts";
import {
  type FileStatus,
  findTextFile,
  listDirectory,
  makeDirectory,
  overwriteFile,
  removeFile,
  setModificationTime,
} from "../sys/file.ts";
import type { Holder, Leases } from "./lease-file.ts";

const INDEX_DIR = "/run/weft/leases";
const SHARDS = 256;
/** How long ago a sealed directory was changed, as it says; more than a clock's tick. */
const SEAL_AGE_NS = 1_000_000_000n;

/** A directory of leases, as it is in this boot. */
export interface LeaseDirectory {
  readonly path: string;
  readonly status: FileStatus;
  readonly bootId: string;
}

/** At least all leases of the container; undefined when the index is stale. */
export function findIndexed(directory: LeaseDirectory, containerId: string): Leases | undefined {
  const index = indexPath(directory);
  const stamp = findTextFile(`${index}/stamp`);
  if (stamp !== stampText(directory, directory.status.mtimeNs)) return undefined;
  const lines = findTextFile(`${index}/${shardOf(containerId)}`)?.split("\n") ?? [];
  return new Map(
    lines.filter(Boolean).map((line) => {
      const [address = "", id = "", ifname = ""] = line.split(" ");
      return [address, { containerId: id, ifname }];
    }),
  );
}

/** Writes all the leases of the container's shard, which is the one findIndexed() read. @throws ErrnoError */
export function updateIndex(directory: LeaseDirectory, containerId: string, leases: Leases): void {
  writeShard(directory, shardOf(containerId), [...leases]);
  seal(directory);
}

/** Writes the index anew, from every lease of the directory. @throws ErrnoError */
export function rebuildIndex(directory: LeaseDirectory, leases: Leases): void {
  const index = indexPath(directory);
  makeDirectory(index);
  removeFile(`${index}/stamp`); // first: without it the rest counts for nothing
  const shards = Map.groupBy(leases, ([, { containerId }]) => shardOf(containerId));
  for (const name of listDirectory(index)) if (!shards.has(name)) removeFile(`${index}/${name}`);
  for (const [shard, entries] of shards) writeShard(directory, shard, entries);
  seal(directory);
}

function writeShard(directory: LeaseDirectory, shard: string, entries: readonly [string, Holder][]): void {
  const lines = entries.map(([address, { containerId, ifname }]) => `${address} ${containerId} ${ifname}\n`);
  overwriteFile(`${indexPath(directory)}/${shard}`, lines.join(""), 0o600);
}

/** Last: from here on the index is exact. */
function seal(directory: LeaseDirectory): void {
  const mtimeNs = nowNs() - SEAL_AGE_NS;
  setModificationTime(directory.path, mtimeNs);
  overwriteFile(`${indexPath(directory)}/stamp`, stampText(directory, mtimeNs), 0o600);
}

function stampText({ bootId }: LeaseDirectory, mtimeNs: bigint): string {
  return `${mtimeNs} ${bootId}`;
}

function indexPath({ status }: LeaseDirectory): string {
  return `${INDEX_DIR}/${status.dev.toString(16)}-${status.ino}`;
}

/** FNV-1a of the id: the same in every version of this program. */
function shardOf(containerId: string): string {
  let hash = 0x811c9dc5;
  for (let i = 0; i < containerId.length; i++) {
    hash = Math.imul(hash ^ containerId.charCodeAt(i), 0x01000193);
  }
  return ((hash >>> 8) % SHARDS).toString(16).padStart(2, "0");
}
