/**
 * Leases of addresses, kept in a directory that the reference host-local can use at the same time.
 *
 *     10.0.0.5             "<containerId>\r\n<ifname>", in the older form the id alone; an empty file is no lease
 *     last_reserved_ip.0   what was leased last from the first set of ranges
 *     lock                 flock(2), held by whoever changes anything
 *     boot_id              not the reference's: the boot in which leases of earlier boots were last removed
 *
 * Leases appear with their content, so that a kill leaves none half made. Nothing is synced to the disk: a lease is
 * worth something while its container runs, and whatever a crash of the machine leaves is of an earlier boot.
 *
 * Reference: containernetworking/plugins, plugins/ipam/host-local/backend/disk.
 */
import { CniError } from "../cni/error.ts";
import { type Address, formatAddress, parseAddress } from "../netaddr/address.ts";
import { bootTimeNs } from "../sys/clock.ts";
import { isErrno } from "../sys/errno.ts";
import {
  createFileExclusive,
  findFile,
  findTextFile,
  listDirectory,
  makeDirectory,
  readTextFile,
  removeFile,
  writeFile,
} from "../sys/file.ts";
import { acquireLock, type Lock } from "../sys/lock.ts";
import {
  findIndexed,
  type Holder,
  type LeaseDirectory,
  type Leases,
  rebuildIndex,
  updateIndex,
} from "./lease-index.ts";
import { type Candidate, candidatesAfter, type RangeSet } from "./ranges.ts";

const LINE_BREAK = "\r\n";
/** A name is an address's: not those of the other files. */
const ADDRESS_NAME = /^(\d+\.\d+\.\d+\.\d+|[0-9a-f]*:[0-9a-f:.]*)$/;
/** Leased addresses tried one by one, before the names in the directory are read. */
const TRIES_MAX = 16;

export interface Lease extends Holder {
  readonly address: string;
}

/** Opens the leases to ADD some of the container's, where needed as the first of the network. @throws LockTimeoutError */
export function openLeaseStore(path: string, containerId: string): LeaseStore {
  const store = findLeaseStore(path, containerId);
  if (store) return store;
  try {
    makeDirectory(path);
  } catch (cause) {
    throw new CniError(CniError.IO_FAILURE, `cannot make "${path}" for leases, see "ipam.dataDir"`, {
      cause,
    });
  }
  return openLeaseStore(path, containerId);
}

/** Opens the leases, of one container or of all; undefined when the network never had any. @throws LockTimeoutError */
export function findLeaseStore(path: string, containerId?: string): LeaseStore | undefined {
  const lock = findLock(`${path}/lock`);
  if (!lock) return undefined;
  try {
    const status = findFile(path);
    if (!status) throw new Error(`"${path}" was removed while it was locked`);
    return new LeaseStore({ path, status, bootId: currentBoot() }, containerId, lock);
  } catch (error) {
    lock[Symbol.dispose]();
    throw error;
  }
}

/** Who has leased the address; undefined when nobody has. Looks at the file itself, with no lock. */
export function findHolder(path: string, address: Address): Holder | undefined {
  return readHolder(`${path}/${formatAddress(address)}`);
}

/** Whether an ADD would find an address of the set. Changes nothing and takes no lock. */
export function hasFreeAddress(path: string, set: RangeSet, setIndex: number): boolean {
  const isFreeBut = (names: { has(name: string): boolean }) =>
    candidatesAfter(set, lastLeased(path, setIndex)).some(
      ({ address }) => !names.has(formatAddress(address)),
    );
  return isFreeBut(new Set(listDirectory(path))) || isFreeBut(scan(path, currentBoot()).leases);
}

/** The leases of a network, locked until disposed of. */
export class LeaseStore implements Disposable {
  readonly #directory: LeaseDirectory;
  readonly #containerId: string | undefined;
  readonly #lock: Lock;
  #leases: Leases = new Map();
  /** Whether #leases is all of them: else it is what the index has together with the container's. */
  #isComplete = false;
  #isChanged = false;

  constructor(directory: LeaseDirectory, containerId: string | undefined, lock: Lock) {
    this.#directory = directory;
    this.#containerId = containerId;
    this.#lock = lock;
    const indexed = containerId === undefined ? undefined : findIndexed(directory, containerId);
    if (indexed) this.#leases = indexed;
    else this.readAll();
  }

  /** Reads every lease, and removes those that are none any more: empty files, leases of an earlier boot. */
  readAll(): void {
    const { path, bootId } = this.#directory;
    const { leases, dead } = scan(path, bootId);
    for (const name of dead) removeFile(`${path}/${name}`);
    if (findTextFile(`${path}/boot_id`) !== bootId) writeOrCreate(`${path}/boot_id`, bootId);
    this.#leases = leases;
    this.#isComplete = true;
  }

  /** The leases that `isWanted`, among all that are known: at least those of the container the store was opened for. */
  list(isWanted: (lease: Holder) => boolean): Lease[] {
    return [...this.#leases]
      .filter(([, holder]) => isWanted(holder))
      .map(([address, holder]) => ({ address, ...holder }));
  }

  /** Leases the next free address of the set; undefined when there is none. */
  leaseNext(set: RangeSet, setIndex: number, holder: Holder): Candidate | undefined {
    const candidate = this.#tryNext(set, setIndex, holder);
    if (candidate || this.#isComplete) return candidate;
    this.readAll(); // perhaps one is empty
    return this.#tryNext(set, setIndex, holder);
  }

  /** Leases an address. @returns false when somebody has it */
  lease(address: Address, setIndex: number, holder: Holder): boolean {
    const name = formatAddress(address);
    const path = `${this.#directory.path}/${name}`;
    const text = `${holder.containerId}${LINE_BREAK}${holder.ifname}`;
    if (!createFileExclusive(path, text, 0o600)) {
      if (readHolder(path)) return false;
      removeFile(path);
      if (!createFileExclusive(path, text, 0o600)) return false;
    }
    this.#isChanged = true;
    this.#leases.set(name, holder);
    writeOrCreate(lastLeasedPath(this.#directory.path, setIndex), name);
    return true;
  }

  /** Ends a lease, unless its address is another's by now. */
  release({ address, containerId, ifname }: Lease): void {
    const path = `${this.#directory.path}/${address}`;
    const holder = readHolder(path);
    if (holder && (holder.containerId !== containerId || holder.ifname !== ifname)) {
      this.readAll();
      return;
    }
    this.#isChanged = true;
    removeFile(path);
    this.#leases.delete(address);
  }

  /** Brings the index up to date and releases the lock. */
  [Symbol.dispose](): void {
    try {
      if (this.#isComplete) rebuildIndex(this.#directory, this.#leases);
      else if (this.#isChanged) updateIndex(this.#directory, this.#containerId ?? "", this.#leases);
    } catch (error) {
      if (!isErrno(error)) throw error; // Without its index the next call is slower, and as right.
    } finally {
      this.#lock[Symbol.dispose]();
    }
  }

  #tryNext(set: RangeSet, setIndex: number, holder: Holder): Candidate | undefined {
    const { path } = this.#directory;
    let taken = new Set<string>();
    let tries = 0;
    for (const candidate of candidatesAfter(set, lastLeased(path, setIndex))) {
      if (taken.has(formatAddress(candidate.address))) continue;
      if (this.lease(candidate.address, setIndex, holder)) return candidate;
      if (++tries === TRIES_MAX) taken = new Set(listDirectory(path));
    }
    return undefined;
  }
}

function findLock(path: string): Lock | undefined {
  try {
    return acquireLock(path);
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return undefined;
    throw error;
  }
}

/** Every lease, and the names of the files that count for nothing. */
function scan(path: string, bootId: string): { leases: Leases; dead: string[] } {
  const bootNs = findTextFile(`${path}/boot_id`) === bootId ? undefined : bootStartNs();
  const leases: Leases = new Map();
  const dead: string[] = [];
  for (const name of listDirectory(path)) {
    if (!ADDRESS_NAME.test(name)) continue;
    const holder = readHolder(`${path}/${name}`);
    const isOfEarlierBoot = bootNs !== undefined && (findFile(`${path}/${name}`)?.ctimeNs ?? 0n) < bootNs;
    if (holder && !isOfEarlierBoot) leases.set(name, holder);
    else dead.push(name);
  }
  return { leases, dead };
}

/** Who is written in the file: undefined when that is empty or absent, nobody ("") when it cannot be read. */
function readHolder(path: string): Holder | undefined {
  try {
    const text = findTextFile(path)?.trim();
    if (!text) return undefined;
    const [containerId = "", ifname = ""] = text.split(LINE_BREAK, 2);
    return { containerId, ifname };
  } catch (error) {
    if (isErrno(error)) return { containerId: "", ifname: "" };
    throw error;
  }
}

/** The address leased last from a set, where one is recorded. */
function lastLeased(path: string, setIndex: number): Address | undefined {
  const text = findTextFile(lastLeasedPath(path, setIndex));
  try {
    return text === undefined ? undefined : parseAddress(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function lastLeasedPath(path: string, setIndex: number): string {
  return `${path}/last_reserved_ip.${setIndex}`;
}

function currentBoot(): string {
  return readTextFile("/proc/sys/kernel/random/boot_id").trim();
}

/**
 * A time before which no file of this boot was made. When the wall clock was set forward since, or the machine is
 * the continuation of a snapshot, bootTimeNs() comes after such files, but /proc was mounted before them; a /proc
 * mounted late, for a container, has it the other way round.
 */
function bootStartNs(): bigint {
  const bootNs = bootTimeNs();
  const mountNs = findFile("/proc")?.ctimeNs;
  return mountNs !== undefined && mountNs < bootNs ? mountNs : bootNs;
}

/** In place: another name in this directory would be a lease to the reference. */
function writeOrCreate(path: string, text: string): void {
  try {
    writeFile(path, text);
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
    createFileExclusive(path, text, 0o644);
  }
}
