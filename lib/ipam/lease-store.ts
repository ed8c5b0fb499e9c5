/** The leases of a network: found, made and ended by one process at a time. */
import { CniError } from "../cni/error.ts";
import { type Address, formatAddress } from "../netaddr/address.ts";
import { isErrno } from "../sys/errno.ts";
import { findFile, listDirectory, makeDirectory, removeFile } from "../sys/file.ts";
import { acquireLock, type Lock } from "../sys/lock.ts";
import {
  createLease,
  currentBoot,
  type Holder,
  type Leases,
  readBoot,
  readHolder,
  readLast,
  scanLeases,
  writeBoot,
  writeLast,
} from "./lease-file.ts";
import { findIndexed, type LeaseDirectory, rebuildIndex, updateIndex } from "./lease-index.ts";
import { type Candidate, candidatesAfter, type RangeSet } from "./ranges.ts";

/** Leased addresses in a row that are looked up one by one, before the names of all are read. */
const LOOKS_MAX = 256;

export interface Lease extends Holder {
  readonly address: string;
}

/** Opens a network's leases in order to ADD to them. @throws LockTimeoutError */
export function openLeaseStore(path: string, containerId: string): LeaseStore {
  const existing = findLeaseStore(path, containerId);
  if (existing) return existing;
  try {
    makeDirectory(path);
  } catch (cause) {
    throw new CniError(CniError.IO_FAILURE, `cannot make "${path}", see "ipam.dataDir"`, { cause });
  }
  const made = findLeaseStore(path, containerId);
  if (!made) throw new CniError(CniError.IO_FAILURE, `cannot lock "${path}/lock", see "ipam.dataDir"`);
  return made;
}

/** Opens a network's leases; undefined when it never had any. @throws LockTimeoutError */
export function findLeaseStore(path: string, containerId?: string): LeaseStore | undefined {
  const lock = findLock(path);
  if (!lock) return undefined;
  try {
    const status = findFile(path);
    if (!status) throw new Error(`"${path}" was removed while it was locked`);
    return new LeaseStore({ path, status, bootId: currentBoot() }, lock, containerId);
  } catch (error) {
    lock[Symbol.dispose]();
    throw error;
  }
}

/** Whether an ADD would find an address of the set. Changes nothing and takes no lock. */
export function hasFreeAddress(path: string, set: RangeSet, setIndex: number): boolean {
  if (!freeCandidates(path, set, setIndex).next().done) return true;
  const { leases } = scanLeases(path, currentBoot());
  return candidatesAfter(set, undefined).some(({ address }) => !leases.has(formatAddress(address)));
}

/** A network's leases, locked until this is disposed of. */
export class LeaseStore implements Disposable {
  readonly #directory: LeaseDirectory;
  readonly #lock: Lock;
  #leases: Leases = new Map();
  /** The container with whose leases the index keeps #leases; undefined when #leases is all there are. */
  #partOf: string | undefined;
  readonly #made: string[] = [];
  #isChanged = false;

  /** Without a container it is any container's leases that will be asked for. */
  constructor(directory: LeaseDirectory, lock: Lock, containerId: string | undefined) {
    this.#directory = directory;
    this.#lock = lock;
    const indexed = containerId === undefined ? undefined : findIndexed(directory, containerId);
    if (indexed) {
      this.#leases = indexed;
      this.#partOf = containerId;
    } else this.#readAll();
  }

  /** The leases whose holder `isWanted`. */
  list(isWanted: (holder: Holder) => boolean): Lease[] {
    const leases = [...this.#leases]
      .filter(([, holder]) => isWanted(holder))
      .map(([address, holder]) => ({ address, ...holder }));
    if (this.#partOf === undefined || leases.every((lease) => this.#isWritten(lease))) return leases;
    this.#readAll(); // Somebody changed a file and left the directory as it was.
    return this.list(isWanted);
  }

  /** Leases the next free address of the set; undefined when there is none. */
  leaseNext(set: RangeSet, setIndex: number, holder: Holder): Candidate | undefined {
    const candidate = this.#leaseFree(set, setIndex, holder);
    if (candidate || this.#partOf === undefined) return candidate;
    this.#readAll(); // Among the files that were counted there may be one that is no lease.
    return this.#leaseFree(set, setIndex, holder);
  }

  /** Leases the first address that looks free and is. */
  #leaseFree(set: RangeSet, setIndex: number, holder: Holder): Candidate | undefined {
    for (const candidate of freeCandidates(this.#directory.path, set, setIndex)) {
      if (this.lease(candidate.address, setIndex, holder)) return candidate;
    }
    return undefined;
  }

  /** Leases an address. @returns false when somebody has it */
  lease(address: Address, setIndex: number, holder: Holder): boolean {
    const { path } = this.#directory;
    const name = formatAddress(address);
    if (!createLease(path, name, holder)) return false;
    this.#isChanged = true;
    this.#made.push(name);
    this.#leases.set(name, holder);
    writeLast(path, setIndex, name);
    return true;
  }

  /** Ends a lease that list() gave. */
  release(address: string): void {
    this.#isChanged = true;
    removeFile(`${this.#directory.path}/${address}`);
    this.#leases.delete(address);
  }

  /** Ends the leases made since this was opened. */
  rollBack(): void {
    for (const address of this.#made.splice(0)) this.release(address);
  }

  /** Brings the index up to date and lets others in. */
  [Symbol.dispose](): void {
    try {
      if (this.#partOf === undefined) rebuildIndex(this.#directory, this.#leases);
      else if (this.#isChanged) updateIndex(this.#directory, this.#partOf, this.#leases);
    } catch (error) {
      if (!isErrno(error)) throw error; // Without the index the next call takes longer, no more.
    } finally {
      this.#lock[Symbol.dispose]();
    }
  }

  #isWritten({ address, containerId, ifname }: Lease): boolean {
    const holder = readHolder(this.#directory.path, address);
    return holder?.containerId === containerId && holder.ifname === ifname;
  }

  #readAll(): void {
    const { path, bootId } = this.#directory;
    const { leases, dead } = scanLeases(path, bootId);
    for (const address of dead) removeFile(`${path}/${address}`);
    if (readBoot(path) !== bootId) noteBoot(path, bootId);
    this.#leases = leases;
    this.#partOf = undefined;
  }
}

/** On a full disk the next call looks at the leases' ages again; that keeps nobody from releasing one. */
function noteBoot(path: string, bootId: string): void {
  try {
    writeBoot(path, bootId);
  } catch (error) {
    if (!isErrno(error, "ENOSPC", "EDQUOT")) throw error;
  }
}

/** The addresses that nobody has, as far as names and sizes of the files tell. */
function* freeCandidates(path: string, set: RangeSet, setIndex: number): Generator<Candidate> {
  let names: Set<string> | undefined;
  let looks = 0;
  for (const candidate of candidatesAfter(set, readLast(path, setIndex))) {
    const name = formatAddress(candidate.address);
    const isLeased = names ? names.has(name) : findFile(`${path}/${name}`)?.size;
    if (!isLeased) yield candidate;
    else if (++looks === LOOKS_MAX) names = new Set(listDirectory(path));
  }
}

/** Undefined when there is no directory, or none in which there can be a lock. */
function findLock(path: string): Lock | undefined {
  try {
    return acquireLock(`${path}/lock`);
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return undefined;
    throw error;
  }
}
