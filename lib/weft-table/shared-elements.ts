/**
 * Elements that have an interface of the host for a key: its containers share them. Each attachment claims
 * those it needs, and the last to release one deletes it (lib/state/claim.ts).
 *
 * Where two attachments want different things of an interface, the one that came last has its way: their
 * network's configuration was changed meanwhile.
 */

import type { NetfilterSocket } from "../netfilter/socket.ts";
import { claim, isClaimed, lockClaims, release } from "../state/claim.ts";
import type { AttachmentName } from "../state/record.ts";
import { type Element, elementName, networkComment } from "./element.ts";
import { deleteElements, listOwned, putElements } from "./elements.ts";

export function claimElements(
  socket: NetfilterSocket,
  elements: readonly Element[],
  owner: AttachmentName,
): void {
  if (elements.length === 0) return;
  using _lock = lockClaims();
  for (const element of elements) claim(elementName(element), owner);
  putElements(socket, elements, { comment: networkComment(owner.network) });
}

export function releaseElements(
  socket: NetfilterSocket,
  elements: readonly Element[],
  owner: AttachmentName,
): void {
  if (elements.length === 0) return;
  using _lock = lockClaims();
  const unclaimed = elements.filter((element) => release(elementName(element), owner));
  if (unclaimed.length > 0) deleteElements(socket, unclaimed);
}

/**
 * Deletes those of a network that nobody claims: the claims
 * were lost with /run. For GC, when nothing is in use.
 */
export function deleteUnclaimed(socket: NetfilterSocket, network: string): void {
  using _lock = lockClaims();
  const comment = networkComment(network);
  const isLeft = (element: Element & { comment: string }) =>
    element.comment === comment && !isClaimed(elementName(element));
  deleteElements(socket, listOwned(socket).filter(isLeft));
}
