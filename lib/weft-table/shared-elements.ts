/**
 * Elements that have an interface of the host for a key: its containers share them. Each attachment claims
 * those it needs, and the last to release one deletes it (lib/state/claim.ts).
 *
 * Where two attachments want different things of an interface, the one that came last has its way: their
 * network's configuration was changed meanwhile.
 */
import type { GcCall } from "../cni/plugin.ts";
import type { NetfilterSocket } from "../netfilter/socket.ts";
import {
  claim,
  claimantName,
  isClaimed,
  isOfNetwork,
  lockClaims,
  release,
  releaseAll,
} from "../state/claim.ts";
import type { AttachmentName } from "../state/record.ts";
import { type Element, elementName, networkComment } from "./element.ts";
import { deleteElements, listOwned, putElements } from "./elements.ts";

const SETS = ["pairs", "leaving", "entering", "isolated"];

export function claimElements(
  socket: NetfilterSocket,
  elements: readonly Element[],
  owner: AttachmentName,
): void {
  if (elements.length === 0) return;
  using _lock = lockClaims();
  for (const element of elements) claim(elementName(element), owner);
  putElements(socket, elements, { comment: networkComment(owner.network), shared: true });
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

/** Releases what an attachment claims, found by its claims: for want of a record. */
export function releaseOwned(socket: NetfilterSocket, owner: AttachmentName): void {
  const own = claimantName(owner);
  releaseWhere(socket, (claimant) => claimant === own);
}

/**
 * The same for this network's attachments that are not valid any more. When none is valid, what has the
 * network's comment and nobody's claim goes as well: the claims were lost with /run.
 */
export function releaseStale({ config, validAttachments }: GcCall, socket: NetfilterSocket): void {
  const network = config.name;
  const valid = validAttachments.map(({ containerID, ifname }) =>
    claimantName({ network, containerId: containerID, ifname }),
  );
  const comment = valid.length === 0 ? networkComment(network) : undefined;
  const isStale = (claimant: string) => isOfNetwork(claimant, network) && !valid.includes(claimant);
  releaseWhere(socket, isStale, { comment });
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
  const isUnclaimed = (element: Element & { comment: string }) =>
    released.includes(elementName(element)) ||
    (element.comment === comment && !isClaimed(elementName(element)));
  deleteElements(socket, listOwned(socket, { sets: SETS }).filter(isUnclaimed));
}
