/**
 * The files of a directory of leases, which the reference host-local reads and writes as well.
 *
 *     10.0.0.5             "<containerId>\r\n<ifname>"; in the older form the id alone; when empty no lease
 *     last_reserved_ip.0   what was leased last from the first set of ranges
 *     lock                 flock(2), held by whoever changes anything
 *     boot_id              not the reference's: the boot in which leases of earlier boots were last removed
 *
 * A lease appears with its content, so that a kill leaves none half made. Nothing is synced to the disk: a
 * lease counts while its container runs, and whatever a crash of the machine leaves is of an earlier boot.
 *
 * Reference: containernetworking/plugins, plugins/ipam/host-local/backend/disk.
 */
import { type Address, parseAddress } from "../netaddr/address.ts";
import { bootTimeNs } from "../sys/clock.ts";
import { isErrno } from "../sys/errno.ts";
import {
  createFileExclusive,
  findFile,
  findTextFile,
  listDirectory,
  overwriteFile,
  readTextFile,
  removeFile,
} from "../sys/file.ts";

/** Whose a lease is. */
export interface Holder {
  readonly containerId: string;
  /** "" in leases of the older form, which are the container's whatever the interface. */
  readonly ifname: string;
}

/** Holders by address. */
export type Leases = Map<string, Holder>;

const LINE_BREAK = "\r\n";
/** The name of a lease, and of none of the other files. */
const ADDRESS_NAME = /^(\d+\.\d+\.\d+\.\d+|[0-9a-f]*:[0-9a-f:.]*)$/;

/** Who has leased an address: undefined when nobody has, and { containerId: "" } when that cannot be read. */
export function readHolder(directory: string, address: string): Holder | undefined {
  try {
    const text = findTextFile(`${directory}/${address}`)?.trim();
    if (!text) return undefined;
    const [containerId = "", ifname = ""] = text.split(LINE_BREAK, 2);
    return { containerId, ifname };
  } catch (error) {
    if (isErrno(error)) return { containerId: "", ifname: "" };
    throw error;
  }
}

/** @returns false when somebody has leased the address */
export function createLease(directory: string, address: string, holder: Holder): boolean {
  const path = `${directory}/${address}`;
  const text = `${holder.containerId}${LINE_BREAK}${holder.ifname}`;
  if (createFileExclusive(path, text, 0o600)) return true;
  if (readHolder(directory, address)) return false;
  removeFile(path);
  return createFileExclusive(path, text, 0o600);
}

/** Reads every lease, and finds those that are none any more: empty files, leases of an earlier boot. */
export function scanLeases(directory: string, bootId: string): { leases: Leases; dead: string[] } {
  const bootNs = readBoot(directory) === bootId ? undefined : bootStartNs();
  const leases: Leases = new Map();
  const dead: string[] = [];
  for (const name of listDirectory(directory)) {
    if (!ADDRESS_NAME.test(name)) continue;
    const isOfEarlierBoot =
      bootNs !== undefined && (findFile(`${directory}/${name}`)?.ctimeNs ?? bootNs) < bootNs;
    const holder = isOfEarlierBoot ? undefined : readHolder(directory, name);
    if (holder) leases.set(name, holder);
    else dead.push(name);
  }
  return { leases, dead };
}

/** The address leased last from a set of ranges, where one is recorded. */
export function readLast(directory: string, setIndex: number): Address | undefined {
  const text = findTextFile(lastPath(directory, setIndex));
  try {
    return text === undefined ? undefined : parseAddress(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** In place: any other name in the directory is a lease to the reference. */
export function writeLast(directory: string, setIndex: number, address: string): void {
  overwriteFile(lastPath(directory, setIndex), address, 0o644);
}

/** The boot in which leases of earlier boots were last removed. */
export function readBoot(directory: string): string | undefined {
  return findTextFile(`${directory}/boot_id`);
}

export function writeBoot(directory: string, bootId: string): void {
  overwriteFile(`${directory}/boot_id`, bootId, 0o644);
}

export function currentBoot(): string {
  return readTextFile("/proc/sys/kernel/random/boot_id").trim();
}

/**
 * A time before which no file of this boot was made. Where the clock was set forward since, or the machine
 * goes on from a snapshot, bootTimeNs() is later than such files are, but /proc was mounted before them. A
 * /proc that was mounted late, for a container, has it the other way round.
 */
function bootStartNs(): bigint {
  const bootNs = bootTimeNs();
  const mountNs = findFile("/proc")?.ctimeNs;
  return mountNs !== undefined && mountNs < bootNs ? mountNs : bootNs;
}

function lastPath(directory: string, setIndex: number): string {
  return `${directory}/last_reserved_ip.${setIndex}`;
}
