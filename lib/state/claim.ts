/**
 * What several attachments share, such as an interface's entry in a table: each claims it, and the last to
 * release it takes it away. The claims are files, so that a kill leaves none that nobody can find.
 *
 *     /run/weft/claims/<what>/<containerId>:<ifname>:<network>
 *
 * Claiming and releasing are for the holder of one lock, so that nobody comes while the last goes.
 */
import {
  createFileExclusive,
  findFile,
  listDirectory,
  makeDirectory,
  removeDirectory,
  removeFile,
} from "../sys/file.ts";
import { acquireLock, type Lock } from "../sys/lock.ts";
import { type AttachmentName, attachmentFileName } from "./record.ts";

const CLAIMS_DIR = "/run/weft/claims";
const LOCKS_DIR = "/run/weft/locks";

/** Held while anything is claimed or released. @throws LockTimeoutError */
export function lockClaims(): Lock {
  makeDirectory(LOCKS_DIR);
  return acquireLock(`${LOCKS_DIR}/claims`);
}

/** Claims it; again is nothing. */
export function claim(what: string, claimant: AttachmentName): void {
  makeDirectory(`${CLAIMS_DIR}/${what}`);
  createFileExclusive(claimPath(what, claimant), "", 0o600);
}

/** Releases it; where it was not claimed, nothing. @returns whether nobody claims it any more */
export function release(what: string, claimant: AttachmentName): boolean {
  removeFile(claimPath(what, claimant));
  const directory = `${CLAIMS_DIR}/${what}`;
  return removeDirectory(directory) || findFile(directory) === undefined;
}

/**
 * Releases all that somebody claims whose file is called so: for want of a record.
 * @returns what nobody claims any more
 */
export function releaseAll(isUnwanted: (claimant: string, what: string) => boolean): string[] {
  const released: string[] = [];
  for (const what of listDirectory(CLAIMS_DIR)) {
    const directory = `${CLAIMS_DIR}/${what}`;
    const unwanted = listDirectory(directory).filter((claimant) => isUnwanted(claimant, what));
    for (const claimant of unwanted) removeFile(`${directory}/${claimant}`);
    if (unwanted.length > 0 && removeDirectory(directory)) released.push(what);
  }
  return released;
}

/** What the file of a claim is called. */
export function claimantName(claimant: AttachmentName): string {
  return attachmentFileName(claimant, claimant.network);
}

/** Whether a claim, by its file, is of an attachment of the network. */
export function isOfNetwork(claimant: string, network: string): boolean {
  return claimant.endsWith(claimantName({ network, containerId: "", ifname: "" }).slice(1));
}

/** Says of a claimant whether it is this one. */
export function isOf(owner: AttachmentName): (claimant: string) => boolean {
  const own = claimantName(owner);
  return (claimant) => claimant === own;
}

/** Says of a claimant whether it is one of the network's that are not among the valid ones. */
export function isStaleIn(
  network: string,
  valid: readonly { readonly containerID: string; readonly ifname: string }[],
): (claimant: string) => boolean {
  const kept = valid.map(({ containerID, ifname }) =>
    claimantName({ network, containerId: containerID, ifname }),
  );
  return (claimant) => isOfNetwork(claimant, network) && !kept.includes(claimant);
}

/** All that is claimed by anybody. */
export function listClaimed(): string[] {
  return listDirectory(CLAIMS_DIR);
}

/** The files of those who claim it: claimantName(). */
export function listClaimants(what: string): string[] {
  return listDirectory(`${CLAIMS_DIR}/${what}`);
}

export function isClaimed(what: string): boolean {
  return findFile(`${CLAIMS_DIR}/${what}`) !== undefined;
}

function claimPath(what: string, claimant: AttachmentName): string {
  return `${CLAIMS_DIR}/${what}/${claimantName(claimant)}`;
}
