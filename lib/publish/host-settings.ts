/** What publishing needs of the host besides rules: a way for 127.0.0.1, and a way back through a bridge. */
import { isHairpin, setHairpin } from "../bridge-port.ts";
import type { Result } from "../cni/result.ts";
import { containerPort } from "../host-interface.ts";
import { failed } from "../interface.ts";
import { hasLegacyTable, hasNftables } from "../iptables/kernel-tables.ts";
import type { NetfilterSocket } from "../netfilter/socket.ts";
import { listRules } from "../nftables/query.ts";
import { findLink, linkByName } from "../rtnetlink/link.ts";
import type { RouteSocket } from "../rtnetlink/route-socket.ts";
import { claim, isClaimed, lockClaims, release, releaseAll } from "../state/claim.ts";
import type { AttachmentName } from "../state/record.ts";
import { readSysctl, writeSysctl, writeSysctlIfPresent } from "../sysctl.ts";
import type { Publication } from "./publication.ts";

/** What a claim of an interface's route_localnet begins with. */
const CLAIM = "route_localnet ";
const BRIDGED = {
  4: "net/bridge/bridge-nf-call-iptables",
  6: "net/bridge/bridge-nf-call-ip6tables",
} as const;

/**
 * Lets packets from 127.0.0.1 leave by the interface to the container, for as long as a container of ours
 * needs it; where it was so before, it is somebody else's and stays. The guard of either backend, which must
 * be there before, keeps 127.0.0.0/8 from coming in by it.
 */
export function enableRouteLocalnet(publication: Publication): void {
  if (!needsRouteLocalnet(publication)) return;
  using _lock = lockClaims();
  const key = routeLocalnet(publication);
  const isOn = readSysctl(key) === "1";
  if (isOn && !isClaimed(claimOf(publication))) return;
  claim(claimOf(publication), publication);
  if (!isOn) writeSysctl(key, "1");
}

/** Takes that back after the last of them, unless the reference's plugin has published ports too. */
export function disableRouteLocalnet(
  netfilter: NetfilterSocket,
  publication: Pick<Publication, "via"> & AttachmentName,
): void {
  using _lock = lockClaims();
  if (!isClaimed(claimOf(publication)) || !release(claimOf(publication), publication)) return;
  if (!publishesOtherwise(netfilter)) writeSysctlIfPresent(routeLocalnet(publication), "0");
}

/** Leaves the setting to somebody else, who published the same: nobody of ours takes it back. */
export function forsakeRouteLocalnet(publication: Pick<Publication, "via"> & AttachmentName): void {
  using _lock = lockClaims();
  if (isClaimed(claimOf(publication))) release(claimOf(publication), publication);
}

/** The same for every claimant that is not wanted, found by the claims: for want of records. */
export function disableRouteLocalnetOf(
  netfilter: NetfilterSocket,
  isUnwanted: (claimant: string) => boolean,
): void {
  using _lock = lockClaims();
  const released = releaseAll((claimant, what) => what.startsWith(CLAIM) && isUnwanted(claimant));
  for (const what of released) {
    if (publishesOtherwise(netfilter)) continue;
    writeSysctlIfPresent(routeLocalnet({ via: what.slice(CLAIM.length) }), "0");
  }
}

/** Whether there are published ports of others: the reference's chains, of either backend. */
function publishesOtherwise(netfilter: NetfilterSocket): boolean {
  if (hasLegacyTable(4, "nat")) return true; // it cannot be asked without a process
  if (!hasNftables()) return false;
  return (
    listRules(netfilter, { family: "ip", name: "nat" }, "CNI-HOSTPORT-DNAT").length > 0 ||
    listRules(netfilter, { family: "ip", name: "cni_hostport" }, "hostports").length > 0
  );
}

/** @throws CniError 100 */
export function checkRouteLocalnet(publication: Publication): void {
  if (!needsRouteLocalnet(publication) || readSysctl(routeLocalnet(publication)) === "1") return;
  throw failed(`${routeLocalnet(publication).replaceAll("/", ".")} is not 1`);
}

/**
 * The container's port of a bridge, where it has to be put into hairpin mode: a packet that the container
 * sends to a port of its own is turned around while it is still bridged, if netfilter sees bridged packets,
 * and a port else does not let one out where it came in.
 */
export function portWithoutHairpin(
  host: RouteSocket,
  prevResult: Result,
  { via, snat, addresses }: Publication,
): string | undefined {
  if (!snat || !addresses.some(({ address }) => readSysctl(BRIDGED[address.family]) === "1"))
    return undefined;
  const port = containerPort(host, prevResult, linkByName(host, via));
  return port && !isHairpin(port) ? port.name : undefined;
}

/** Puts the port out of hairpin mode again, if it is still there. */
export function unsetHairpin(host: RouteSocket, name: string): void {
  const link = findLink(host, name);
  if (link?.port && isHairpin(link)) setHairpin(host, name, { on: false });
}

/** @throws CniError 100 */
export function checkHairpin(host: RouteSocket, name: string): void {
  const link = findLink(host, name);
  if (!link || !isHairpin(link)) throw failed(`Interface ${name} has hairpin mode off, not on`);
}

function needsRouteLocalnet({ snat, addresses }: Publication): boolean {
  return snat && addresses.some(({ address }) => address.family === 4);
}

function claimOf({ via }: Pick<Publication, "via">): string {
  return `${CLAIM}${via}`;
}

function routeLocalnet({ via }: Pick<Publication, "via">): string {
  return `net/ipv4/conf/${via}/route_localnet`;
}
