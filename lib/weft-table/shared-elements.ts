/**
 * Elements that have an interface of the host for a key: its containers share them. Each attachment claims
 * what it wants of them, the strictest of which is in force, and the last to release one deletes it.
 */
import type { GcCall } from "../cni/plugin.ts";
import type { NetfilterSocket } from "../netfilter/socket.ts";
import { claim, isOf, isStaleIn, lockClaims, release, releaseAll } from "../state/claim.ts";
import type { AttachmentName } from "../state/record.ts";
import { type Element, elementName, networkComment } from "./element.ts";
import { checkElements, deleteElements, listOwned, putElements } from "./elements.ts";
import { inForce, wishName } from "./in-force.ts";

const SETS = ["pairs", "leaving", "entering", "isolated"];

export function claimElements(
  socket: NetfilterSocket,
  elements: readonly Element[],
  owner: AttachmentName,
): void {
  if (elements.length === 0) return;
  using _lock = lockClaims();
  for (const element of elements) claim(wishName(element), owner);
  enforce(socket, elements, networkComment(owner.network));
}

export function releaseElements(
  socket: NetfilterSocket,
  elements: readonly Element[],
  owner: AttachmentName,
): void {
  if (elements.length === 0) return;
  using _lock = lockClaims();
  const unclaimed = elements.filter((element) => release(wishName(element), owner));
  enforce(socket, unclaimed, networkComment(owner.network));
}

/** @throws CniError 100 unless the elements are in the table as they are in force */
export function checkSharedElements(socket: NetfilterSocket, elements: readonly Element[]): void {
  checkElements(
    socket,
    elements.map((element) => inForce(element) ?? element),
  );
}

/** Has the table what is wanted of the elements now. */
function enforce(socket: NetfilterSocket, elements: readonly Element[], comment: string): void {
  const unwanted: Element[] = [];
  const wanted: Element[] = [];
  for (const element of elements) {
    const inTable = inForce(element);
    if (inTable) wanted.push(inTable);
    else unwanted.push(element);
  }
  if (unwanted.length > 0) deleteElements(socket, unwanted);
  if (wanted.length > 0) putElements(socket, wanted, { comment, shared: true });
}

/** Releases what an attachment claims, found by its claims: for want of a record. */
export function releaseOwned(socket: NetfilterSocket, owner: AttachmentName): void {
  releaseWhere(socket, isOf(owner));
}

/**
 * The same for this network's attachments that are not valid any more. When none is valid, what has the
 * network's comment and nobody's claim goes as well: the claims were lost with /run.
 */
export function releaseStale({ config, validAttachments }: GcCall, socket: NetfilterSocket): void {
  const comment = validAttachments.length === 0 ? networkComment(config.name) : undefined;
  releaseWhere(socket, isStaleIn(config.name, validAttachments), { comment });
}

function releaseWhere(
  socket: NetfilterSocket,
  isUnwanted: (claimant: string) => boolean,
  { comment }: { comment?: string | undefined } = {},
): void {
  using _lock = lockClaims();
  const isElement = (what: string) => SETS.some((set) => what.startsWith(`${set} `));
  const released = releaseAll((claimant, what) => isElement(what) && isUnwanted(claimant));
  if (released.length === 0 && comment === undefined) return;
  const isReleased = (element: Element & { comment: string }) => {
    const name = elementName(element);
    return released.some((what) => what === name || what.startsWith(`${name} : `));
  };
  for (const element of listOwned(socket, { sets: SETS })) {
    if (isReleased(element) || element.comment === comment) enforce(socket, [element], element.comment);
  }
}
