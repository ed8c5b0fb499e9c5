/**
 * Who has which port of the host, so that the second container to ask for one is told of the first.
 *
 *     /run/weft/ports/<protocol>/<port>/<hostIP>  →  <network>/<containerId>/<ifname>
 *
 * A link a claim, 0.0.0.0 and :: for any address of the host. They change under one lock for the host.
 */
import { CniError } from "../cni/error.ts";
import {
  type Address,
  type Family,
  formatAddress,
  isUnspecified,
  parseAddress,
  sameAddress,
} from "../netaddr/address.ts";
import type { AttachmentName } from "../state/record.ts";
import {
  createSymlink,
  findFile,
  findSymlink,
  listDirectory,
  makeDirectory,
  removeDirectory,
  removeFile,
} from "../sys/file.ts";
import { acquireLock, type Lock } from "../sys/lock.ts";
import type { PortProtocol, Publication } from "./publication.ts";

const PORTS_DIR = "/run/weft/ports";
const LOCKS_DIR = "/run/weft/locks";
const LOCK = `${LOCKS_DIR}/ports`;
/** Each takes over at least one container's claims. */
const TAKE_OVERS_MAX = 100;

/** A port on one address of the host, or on any of a family. */
export interface PortClaim {
  readonly protocol: PortProtocol;
  readonly port: number;
  readonly hostIp: Address;
}

/** What to do about a claim that is in the way. */
export interface Holders {
  /** Whether the container that has it is no more. */
  isGone(holder: AttachmentName): boolean;
  /** Takes away what such a container has, its claims included. */
  evict(holder: AttachmentName): void;
}

type ClaimingPublication = Pick<Publication, "ports" | "addresses" | "conditionsV4" | "conditionsV6">;

/** What a publication claims: each port in each family that the container has an address of. */
export function claimsOf({ ports, addresses, conditionsV4, conditionsV6 }: ClaimingPublication): PortClaim[] {
  const claims: PortClaim[] = [];
  for (const { address } of addresses) {
    const { family } = address;
    // The map of conditions knows a port by its number alone (condition4, condition6).
    const hasConditions = (family === 4 ? conditionsV4 : conditionsV6) !== undefined;
    for (const { protocol, hostPort: port, hostIp } of ports) {
      if (hostIp && hostIp.family !== family) continue;
      claims.push({ protocol, port, hostIp: hostIp && !hasConditions ? hostIp : anyOf(family) });
    }
  }
  return claims;
}

/**
 * Claims the ports, all or none. What `owner` has already stays its own.
 * @throws CniError 7 that names the container which has one
 */
export function claimPorts(claims: readonly PortClaim[], owner: AttachmentName, holders: Holders): void {
  for (let attempt = 0; ; attempt++) {
    const conflict = findConflictOrClaim(claims, owner);
    if (!conflict) return;
    if (attempt === TAKE_OVERS_MAX || !holders.isGone(conflict.holder)) throw taken(conflict);
    holders.evict(conflict.holder);
  }
}

/** Keeps all claims as they are until it is disposed of. @throws LockTimeoutError */
export function lockPorts(): Lock {
  makeDirectory(LOCKS_DIR);
  return acquireLock(LOCK);
}

/** Gives up what `owner` has of the claims; a claim of somebody else's stays. Under lockPorts(). */
export function releasePorts(claims: readonly PortClaim[], owner: AttachmentName): void {
  const target = targetOf(owner);
  for (const claim of claims) {
    if (findSymlink(linkOf(claim)) === target) removeFile(linkOf(claim));
    removeDirectory(directoryOf(claim));
  }
}

/** Gives up every claim of the containers that `isIts` accepts: for want of a record that has them. */
export function releaseAllPorts(isIts: (owner: AttachmentName) => boolean): void {
  if (findFile(PORTS_DIR) === undefined) return;
  using _lock = lockPorts();
  for (const { owner, ...claim } of listPortClaims()) if (isIts(owner)) releasePorts([claim], owner);
}

/** @throws CniError 100 that names the port which is not, or no more, the container's */
export function checkPortClaims(claims: readonly PortClaim[], owner: AttachmentName): void {
  const target = targetOf(owner);
  for (const claim of claims) {
    if (findSymlink(linkOf(claim)) === target) continue;
    const msg = `host port ${portText(claim)} is not claimed by container "${owner.containerId}"`;
    throw new CniError(CniError.CHECK_FAILED, msg, { details: `no link of it: ${linkOf(claim)}` });
  }
}

/** Every claim there is, and whose. */
export function listPortClaims(): (PortClaim & { owner: AttachmentName })[] {
  const claims: (PortClaim & { owner: AttachmentName })[] = [];
  for (const protocol of ["tcp", "udp", "sctp"] as const) {
    for (const port of listDirectory(`${PORTS_DIR}/${protocol}`)) {
      for (const name of listDirectory(`${PORTS_DIR}/${protocol}/${port}`)) {
        const claim = { protocol, port: Number(port), hostIp: parseAddress(name) };
        const owner = ownerOf(findSymlink(linkOf(claim)));
        if (owner) claims.push({ ...claim, owner });
      }
    }
  }
  return claims;
}

interface Conflict {
  readonly claim: PortClaim;
  readonly holder: AttachmentName;
}

function findConflictOrClaim(claims: readonly PortClaim[], owner: AttachmentName): Conflict | undefined {
  using _lock = lockPorts();
  return findConflict(claims, owner) ?? makeClaims(claims, owner);
}

function findConflict(claims: readonly PortClaim[], owner: AttachmentName): Conflict | undefined {
  const own = targetOf(owner);
  for (const claim of claims) {
    for (const name of listDirectory(directoryOf(claim))) {
      if (!excludes(parseAddress(name), claim.hostIp)) continue;
      const target = findSymlink(`${directoryOf(claim)}/${name}`);
      const holder = target === own ? undefined : ownerOf(target);
      if (holder) return { claim, holder };
    }
  }
  return undefined;
}

/** Whether both cannot be had: the same, or one of them any of the family. */
function excludes(held: Address, wanted: Address): boolean {
  if (held.family !== wanted.family) return false;
  return isUnspecified(held) || isUnspecified(wanted) || sameAddress(held, wanted);
}

function makeClaims(claims: readonly PortClaim[], owner: AttachmentName): undefined {
  const target = targetOf(owner);
  for (const claim of claims) {
    makeDirectory(directoryOf(claim));
    if (findSymlink(linkOf(claim)) === undefined) createSymlink(target, linkOf(claim));
  }
}

function taken({ claim, holder: { network, containerId, ifname } }: Conflict): CniError {
  return new CniError(
    CniError.INVALID_NETWORK_CONFIG,
    `host port ${portText(claim)} is already published by container "${containerId}"`,
    { details: `its "${ifname}" on network "${network}" has it; choose another hostPort, or another hostIP` },
  );
}

function portText({ protocol, port, hostIp }: PortClaim): string {
  if (isUnspecified(hostIp)) return `${port}/${protocol}`;
  const address = formatAddress(hostIp);
  return `${hostIp.family === 4 ? address : `[${address}]`}:${port}/${protocol}`;
}

function directoryOf({ protocol, port }: PortClaim): string {
  return `${PORTS_DIR}/${protocol}/${port}`;
}

function linkOf(claim: PortClaim): string {
  return `${directoryOf(claim)}/${formatAddress(claim.hostIp)}`;
}

function targetOf({ network, containerId, ifname }: AttachmentName): string {
  return `${network}/${containerId}/${ifname}`;
}

function ownerOf(target: string | undefined): AttachmentName | undefined {
  const [network, containerId, ifname] = target?.split("/") ?? [];
  return network && containerId && ifname ? { network, containerId, ifname } : undefined;
}

function anyOf(family: Family): Address {
  return { family, value: 0n };
}
