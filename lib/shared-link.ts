/**
 * Links of the host that several attachments share: made for the first of them, removed with the last. A VLAN
 * that somebody else made is used as it is, and stays. Who uses one says a claim (state/claim.ts), who made
 * it its alias.
 */
import { attachmentName, networkAlias } from "./alias.ts";
import { everyStep } from "./cni/cleanup.ts";
import { invalidConfig } from "./cni/error.ts";
import type { Call, GcCall } from "./cni/plugin.ts";
import { settleIpv6 } from "./gateway.ts";
import { explained } from "./link-refusal.ts";
import {
  createLink,
  deleteLinkIfThere,
  findLink,
  IFNAME_MAX,
  type Link,
  linkByIndex,
  linkByName,
  listLinks,
  setLink,
} from "./rtnetlink/link.ts";
import { openRouteSocket, type RouteSocket } from "./rtnetlink/route-socket.ts";
import {
  claim,
  isClaimed,
  isOf,
  isStaleIn,
  listClaimants,
  listClaimed,
  lockClaims,
  releaseAll,
} from "./state/claim.ts";

/** What the claim of a link begins with. */
const CLAIM = "link ";
/** What is shared. */
const KINDS = ["vlan", "dummy", "macvlan", "vxlan", "bridge"];

/** What the link is made with. */
export interface SharedLinkSettings {
  readonly name: string;
  readonly kind: string;
  readonly data?: Uint8Array;
  /** ifindex of the device below. */
  readonly link?: number;
  /** The kernel's choice when undefined, as of the MTU, in bytes. */
  readonly mac?: Uint8Array;
  readonly mtu?: number;
  /** ifindex of the bridge it is a port of from the start. */
  readonly master?: number | undefined;
  /**
   * Of one network alone: says why a link of that name is not that network's. Before it is claimed, since the
   * last claim takes the link with it.
   */
  readonly refuseOther?: (link: Link) => void;
}

/** Has a link that this attachment stands on stay there for it, where it is one of those; else nothing. */
export function keepSharedLink(call: Call, host: RouteSocket, link: Link): void {
  if (!isSharedLink(link)) return;
  using _lock = lockClaims();
  linkByIndex(host, link.index); // its last user may have been faster
  call.undo.defer(() => releaseSharedLinks(call));
  claim(CLAIM + link.name, attachmentName(call));
}

/** `start` and the text; in place of one that is too long for an interface a hash of it. */
export function sharedLinkName(start: string, text: string): string {
  if (start.length + text.length <= IFNAME_MAX) return start + text;
  const hash = new Bun.CryptoHasher("sha256").update(text).digest("hex");
  return (start + hash).slice(0, IFNAME_MAX);
}

/**
 * Has the link be there, and up, and stay there for this attachment. `complete` does what it needs before it
 * is up, each time: the ADD that made it may not have come to its end. @returns the link
 * @throws CniError 7 when the name is something else's
 */
export function shareLink(
  call: Call,
  host: RouteSocket,
  settings: SharedLinkSettings,
  complete: (link: Link) => void = () => {},
): Link {
  using _lock = lockClaims();
  const { name, kind, link: below } = settings;
  const existing = findLink(host, name);
  const isOther = existing && (existing.kind !== kind || existing.link !== below);
  const isForeign = existing && !isMadeHere(existing);
  if (isForeign && !isOther && kind === "vlan") return existing;
  if (isOther || isForeign) {
    const wanted = below === undefined ? `a ${kind}` : `the ${kind} of this master`;
    const fault = isOther ? `is not ${wanted}` : "was made by somebody else";
    throw invalidConfig(`"${name}" already exists but ${fault}`, "the network needs that name: rename it");
  }
  if (existing) settings.refuseOther?.(existing);
  call.undo.defer(() => releaseSharedLinks(call));
  claim(CLAIM + name, attachmentName(call));
  if (!existing) {
    const alias = networkAlias(call.config.name);
    explained(settings, undefined, () => createLink(host, { ...settings, alias }));
  }
  const link = existing ?? linkByName(host, name);
  complete(link);
  if (!link.up) {
    settleIpv6(name);
    setLink(host, link, { up: true });
  }
  return link.up ? link : linkByName(host, name);
}

/** DEL: releases what the attachment shares; what nobody else does is removed. */
export function releaseSharedLinks(call: Call): void {
  releaseWhere(isOf(attachmentName(call)));
}

/**
 * GC: the same for every attachment of the network that is not valid any more. When none is, what the network
 * made and nobody claims goes as well: the claims were lost with /run. Of bridges only where the network
 * shares its bridge: plugin bridge's are never claimed.
 */
export function releaseStaleSharedLinks(
  { config, validAttachments }: GcCall,
  { hasBridge = false }: { hasBridge?: boolean } = {},
): void {
  releaseWhere(isStaleIn(config.name, validAttachments));
  if (validAttachments.length > 0) return;
  using _lock = lockClaims();
  using host = openRouteSocket();
  const isLost = ({ name, kind, alias }: Link) =>
    KINDS.includes(kind) &&
    (hasBridge || kind !== "bridge") &&
    alias === networkAlias(config.name) &&
    !isClaimed(CLAIM + name);
  for (const { name } of listLinks(host).filter(isLost)) deleteLinkIfThere(host, name);
}

/** The link goes before the last claim does: after a kill between the two, the next DEL finds it by that. */
function releaseWhere(isUnwanted: (claimant: string) => boolean): void {
  if (!listClaimed().some(isLinkClaim)) return;
  using _lock = lockClaims();
  using host = openRouteSocket();
  const releaseLink = (what: string) => {
    const claimants = listClaimants(what);
    if (claimants.length > 0 && claimants.every(isUnwanted)) deleteIfMadeHere(host, what.slice(CLAIM.length));
    if (claimants.some(isUnwanted)) releaseAll((claimant, other) => other === what && isUnwanted(claimant));
  };
  everyStep(
    ...listClaimed()
      .filter(isLinkClaim)
      .map((what) => () => releaseLink(what)),
  );
}

function deleteIfMadeHere(host: RouteSocket, name: string): void {
  const link = findLink(host, name);
  if (link && isSharedLink(link) && !hasContainers(host, link)) deleteLinkIfThere(host, name);
}

/** Whether a bridge's network has containers here all the same: their claims were lost with /run. */
function hasContainers(host: RouteSocket, { kind, alias }: Link): boolean {
  if (kind !== "bridge" && kind !== "vxlan") return false;
  return listLinks(host, { kind: "veth" }).some((link) => link.alias.startsWith(`${alias}/`));
}

function isLinkClaim(what: string): boolean {
  return what.startsWith(CLAIM);
}

/** Whether an attachment needs the link. For the holder of the claims' lock (state/claim.ts). */
export function isLinkClaimed(name: string): boolean {
  return isClaimed(CLAIM + name);
}

/** Whether a network of ours made it for attachments to share. Plugin bridge's bridges are not claimed. */
export function isSharedLink(link: Link): boolean {
  return isMadeHere(link) && (link.kind !== "bridge" || isClaimed(CLAIM + link.name));
}

function isMadeHere({ kind, alias }: Link): boolean {
  return KINDS.includes(kind) && alias.startsWith(networkAlias("")) && !alias.includes("/");
}
