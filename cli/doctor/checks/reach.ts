/**
 * What ends the ways of containers' packets where no other check has found anything: routes, neighbours, and
 * more. It is told in the words of `weft trace`.
 */
import { formatAddress, isLinkLocal, isLoopback } from "../../../lib/netaddr/address.ts";
import type { Link } from "../../../lib/rtnetlink/link.ts";
import { allOf, shell } from "../../terminal/shell.ts";
import { type Finding, finding } from "../finding.ts";
import { type Host, nameOf } from "../host.ts";
import { unexplained } from "../unexplained.ts";
import { droppedLeg, type Followed, type NetworkWays, type Way } from "../ways.ts";

const LEADING_NOWHERE = new Set(["bridge", "dummy"]);

/** @param found what the other checks have found */
export function checkReach(
  host: Host,
  networks: readonly NetworkWays[],
  found: readonly Finding[],
): Finding[] {
  const open = unexplained(host, found);
  const isOpen = ({ attached, neighbour = attached }: Way) => open.has(attached) && open.has(neighbour);
  const endsOf = (followed: readonly Followed[]) =>
    followed.filter(({ way }) => isOpen(way)).flatMap((each) => endOf(host, each));
  return networks.flatMap((network) => {
    const outward = isByOtherFamily(network, networks) ? [] : endsOf(network.outward);
    if (outward.length > 0) return network.hasDefault ? blocked(outward) : uplinkMissing(host, outward);
    const sideways = endsOf(network.sideways);
    return blocked(sideways.length > 0 ? sideways : endsOf(network.inward));
  });
}

/** Where containers have both families it is enough that one leaves; where none does, to say it of one. */
function isByOtherFamily(one: NetworkWays, networks: readonly NetworkWays[]): boolean {
  if (one.hasDefault) return false;
  return networks.some(({ network, family, hasDefault }) => {
    return network === one.network && family !== one.family && (hasDefault || family < one.family);
  });
}

interface End {
  readonly way: Way;
  readonly reason: string;
  readonly isAnswer: boolean;
  /** No route of this host leads there, or a rule forbids it. */
  readonly isUnrouted: boolean;
}

function endOf({ stack }: Host, { way, result }: Followed): End[] {
  const leg = droppedLeg(result);
  if (!leg || leg.isFiltered || result.unknown.length > 0) return [];
  const { from, attached, neighbour = attached } = way;
  if (attached.inside === undefined || from === "host") return [];
  // what others do with it, in namespaces that happen to be seen from here, is their affair
  if (![stack.name, attached.container, neighbour.container].includes(leg.place)) return [];
  const isAnswer = leg === result.back;
  const isOwnWish = !isAnswer && leg.hops.length === 0; // it has not sent it at all
  const isUnrouted = leg.place === stack.name && leg.reason.includes(" has no route to ");
  return isOwnWish ? [] : [{ way, reason: leg.reason, isAnswer, isUnrouted }];
}

/** One finding a reason, whatever containers it is of. */
function blocked(ends: readonly End[]): Finding[] {
  const alike = ({ reason, way }: End) =>
    reason.replaceAll(way.from, "").replaceAll(way.attached.container, "");
  return [...Map.groupBy(ends, alike).values()].flatMap((all) => {
    const [first] = all;
    if (!first) return [];
    const { from, port } = first.way;
    const to = formatAddress(first.way.to);
    const remedy = first.isUnrouted
      ? allOf(shell`ip rule show`, shell`ip route show table all match ${first.isAnswer ? from : to}`)
      : shell`weft trace ${from} ${to} ${port}`;
    return finding("way-blocked", { ...said(first, all), remedy });
  });
}

/** Of a host that leads somewhere at all. */
function uplinkMissing(host: Host, ends: readonly End[]): Finding[] {
  const [first] = ends;
  const uplinks = uplinksOf(host);
  if (!first || uplinks.length === 0) return [];
  const { subject, evidence } = said(first, ends);
  const down = uplinks.filter(({ up }) => !up);
  const remedy = down[0] ? shell`ip link set ${down[0].name} up` : shell`ip route show table all`;
  const causes = down.map(({ name }) => `${name} is down`);
  return [finding("uplink-missing", { subject, evidence: [evidence, ...causes].join("; "), remedy })];
}

function said({ way, reason, isAnswer }: End, all: readonly End[]): Pick<Finding, "subject" | "evidence"> {
  const more = new Set(all.map((end) => end.way.attached)).size - 1;
  const name = nameOf(way.attached);
  return {
    subject: more > 0 ? `${name} and ${more} more` : name,
    evidence: `${isAnswer ? "the answer to what" : "what"} goes ${way.course} is dropped: ${reason}`,
  };
}

/** What leads elsewhere, or would if it were up: it keeps its addresses then, but those of IPv6. */
function uplinksOf({ stack, attachments }: Host): Link[] {
  const toContainers = new Set(attachments.map(({ outside }) => outside?.index));
  return stack.links.filter((link) => {
    if (LEADING_NOWHERE.has(link.kind ?? "") || toContainers.has(link.index)) return false;
    return stack
      .addressesOf(link)
      .some(({ prefix: { address } }) => !isLoopback(address) && !isLinkLocal(address));
  });
}
