/** Published ports in our own table: elements of its maps, a run of adjacent ports as one. */
import { CniError } from "../cni/error.ts";
import { type Address, type Family, formatAddress, isUnspecified } from "../netaddr/address.ts";
import type { NetfilterSocket } from "../netfilter/socket.ts";
import { deleteRules } from "../nftables/delete-rules.ts";
import { listRules } from "../nftables/query.ts";
import { daddr, dnatTo, inRange, is, l4proto, type Statement, thDport } from "../nftables/statement.ts";
import { rule } from "../nftables/table.ts";
import type { AttachmentName } from "../state/record.ts";
import { type Element, type OwnChain, storeRule } from "../weft-table/element.ts";
import { WEFT_TABLE } from "../weft-table/ruleset.ts";
import { type Condition, parseConditions } from "./conditions.ts";
import type { Publication, PublishedPort } from "./publication.ts";

/** The reference's, of each family (plugins/meta/portmap/portmap_nftables.go). */
const REFERENCE_TABLES = [
  { family: "ip", name: "cni_hostport" },
  { family: "ip6", name: "cni_hostport" },
] as const;
/** Digits of the hash that tells containers' chains apart. */
const CHAIN_DIGITS = 16;

/** The sets that are portmap's, in either family. */
export const PUBLISH_SETS = [
  "port",
  "hostport",
  "range",
  "hostrange",
  "condition",
  "hairpin",
  "masqall",
].flatMap((name) => [`${name}4`, `${name}6`]);

/** Adjacent ports; of several, each leads to the same port of the container. */
interface Run {
  readonly protocol: string;
  readonly hostIp: Address | undefined;
  readonly first: number;
  readonly last: number;
  readonly containerPort: number;
}

/** What the table has of a publication. */
export function publishElements(publication: Publication): Element[] {
  return publication.addresses.flatMap(({ address }) => {
    const runs = runsOf(publication.ports, address.family);
    if (runs.length === 0) return [];
    const ports = conditionsOf(publication, address.family)
      ? conditionElements(publication, runs, address.family)
      : runs.map((run) => runElement(run, address));
    return [...ports, ...masqueradeElements(publication, address)];
  });
}

/** The chains of a publication with conditions, one a family. @throws CniError 7 */
export function publishChains(publication: Publication): OwnChain[] {
  return publication.addresses.flatMap(({ address }) => {
    const { family } = address;
    const words = conditionsOf(publication, family);
    const runs = runsOf(publication.ports, family);
    if (!words || runs.length === 0) return [];
    const conditions = parseConditions(words, family);
    const rules = runs.flatMap((run) => conditions.map((condition) => runRule(run, address, condition)));
    return [{ name: chainName(publication, family), rules }];
  });
}

/** @throws CniError 100 that names the chain whose rules are not as many as there were */
export function checkPublishChains(socket: NetfilterSocket, publication: Publication): void {
  for (const { name, rules } of publishChains(publication)) {
    const found = listRules(socket, WEFT_TABLE, name).length;
    if (found === rules.length) continue;
    throw new CniError(CniError.CHECK_FAILED, `chain ${name} has ${found} rules, not ${rules.length}`);
  }
}

/** Deletes the rules that the reference made for the container, whose comment is its id. */
export function deleteReferenceRules(socket: NetfilterSocket, { containerId }: AttachmentName): void {
  for (const table of REFERENCE_TABLES) deleteRules(socket, table, (comment) => comment === containerId);
}

/** The ports of one family, in order; those that lead to the same port of the container in runs. */
export function runsOf(ports: readonly PublishedPort[], family: Family): Run[] {
  const sorted = ports
    .filter(({ hostIp }) => !hostIp || hostIp.family === family)
    .map(({ protocol, hostPort, containerPort, hostIp }) => {
      const specific = hostIp && !isUnspecified(hostIp) ? hostIp : undefined;
      return { protocol, hostIp: specific, first: hostPort, last: hostPort, containerPort };
    })
    .sort((a, b) => compareText(groupOf(a), groupOf(b)) || a.first - b.first);
  const runs: Run[] = [];
  for (const port of sorted) {
    const before = runs.at(-1);
    if (!before || groupOf(before) !== groupOf(port) || !continues(before, port)) runs.push(port);
    else if (port.first > before.last) runs[runs.length - 1] = { ...before, last: port.last };
  }
  return runs;
}

/** What a run has in common, in an order that has one hostIP before any ("~"), as the ruleset does. */
function groupOf({ protocol, hostIp, first, containerPort }: Run): string {
  const isSame = first === containerPort;
  return `${protocol} ${hostIp ? formatAddress(hostIp) : "~"} ${isSame ? "same" : "other"}`;
}

/** Whether the port is in the run (0.0.0.0 beside any address), or its next. */
function continues({ last }: Run, { first, containerPort }: Run): boolean {
  return first <= last || (first === containerPort && first === last + 1);
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

function runElement({ protocol, hostIp, first, last, containerPort }: Run, address: Address): Element {
  const { family } = address;
  const to = formatAddress(address);
  const host = hostIp ? [formatAddress(hostIp)] : [];
  const prefix = hostIp ? "host" : "";
  if (first === last) {
    return { set: `${prefix}port${family}`, key: [...host, protocol, first], data: [to, containerPort] };
  }
  return { set: `${prefix}range${family}`, key: [...host, protocol, `${first}-${last}`], data: [to] };
}

/** Each port leads to the container's chain, whatever the address: that is for its rules to say. */
function conditionElements(publication: Publication, runs: readonly Run[], family: Family): Element[] {
  const keys = new Set<string>();
  const elements: Element[] = [];
  for (const { protocol, first, last } of runs) {
    for (let port = first; port <= last; port++) {
      if (keys.has(`${protocol} ${port}`)) continue;
      keys.add(`${protocol} ${port}`);
      const data = [`jump ${chainName(publication, family)}`];
      elements.push({ set: `condition${family}`, key: [protocol, port], data });
    }
  }
  return elements;
}

function runRule(run: Run, address: Address, condition: Condition): ReturnType<typeof storeRule> {
  const { family } = address;
  const { protocol, hostIp, first, last, containerPort } = run;
  const statements: Statement[] = [is(l4proto, "inet_proto", protocol)];
  if (hostIp) statements.push(is(daddr[family], `ipv${family}_addr`, formatAddress(hostIp)));
  if (first === last) statements.push(is(thDport, "inet_service", first));
  else statements.push(inRange(thDport, "inet_service", [first, last]));
  const port = first === last ? containerPort : undefined;
  statements.push(...condition, dnatTo(family, formatAddress(address), port));
  return storeRule(rule("", ...statements));
}

/** Whose answers would not find their way back by themselves. */
function masqueradeElements({ via, snat, masqAll }: Publication, address: Address): Element[] {
  if (!snat) return [];
  const { family } = address;
  const text = formatAddress(address);
  const hairpin: Element = { set: `hairpin${family}`, key: [via, text] };
  return masqAll ? [hairpin, { set: `masqall${family}`, key: [text] }] : [hairpin];
}

function conditionsOf({ conditionsV4, conditionsV6 }: Publication, family: Family) {
  return family === 4 ? conditionsV4 : conditionsV6;
}

function chainName({ network, containerId, ifname }: AttachmentName, family: Family): string {
  const owner = `${network}/${containerId}/${ifname}`;
  const hash = new Bun.CryptoHasher("sha256").update(owner).digest("hex");
  return `condition${family}-${hash.slice(0, CHAIN_DIGITS)}`;
}
