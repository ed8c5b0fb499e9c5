/**
 * What is left of containers that are gone: in files, in the packet filter, on links. Whatever bears an
 * address that some interface has is of a container which lives, though nobody may have told us of it.
 */

import { currentBoot, scanLeases } from "../../lib/ipam/lease-file.ts";
import { hasNftables } from "../../lib/iptables/kernel-tables.ts";
import { formatAddress } from "../../lib/netaddr/address.ts";
import { netfilterSocket } from "../../lib/netfilter/socket.ts";
import { findTableComment, listElements } from "../../lib/nftables/query.ts";
import { listPortClaims } from "../../lib/publish/port-claims.ts";
import type { Link } from "../../lib/rtnetlink/link.ts";
import { claimantName, listClaimants, listClaimed } from "../../lib/state/claim.ts";
import { listDirectory } from "../../lib/sys/file.ts";
import { ownerComment, TABLES } from "../../lib/weft-table/element.ts";
import { isUnseen } from "../inventory/unseen.ts";
import { type Attached, type Host, ipamOf } from "./host.ts";
import { readTables } from "./iptables.ts";

const LEASES_DIR = "/var/lib/cni/networks";
/** The comment of what iptables has of a container: masquerading, published ports, the firewall's notes. */
const OWNER = /name: \\?"([^"\\]+)\\?" (?:if: \\?"([^"\\]+)\\?" )?id: \\?"([^"\\]+)\\?"/;

export interface Leftover {
  readonly kind: "lease" | "rule" | "claim";
  readonly network: string;
  /** "" where nobody knows. */
  readonly containerId: string;
  /** "" for any. */
  readonly ifname: string;
  /** Where it is. */
  readonly place: string;
}

/**
 * Whether its namespace is gone, or its ADD has ended and its interface is gone; not where nobody can tell.
 */
export function isGone({ state, cached, namespace, netns, records }: Attached): boolean {
  if (state !== "gone" || (!cached && records.length === 0)) return false;
  if (namespace === undefined && netns === "") return false;
  // An ADD that is under way has its record, and not yet its interface.
  return namespace === undefined || cached !== undefined;
}

/** What belongs to no attachment that is known, nor to a container that lives all the same. */
export function findLeftovers(host: Host): Leftover[] {
  const { over, live } = sortTraces(host);
  // a claim bears no address: it is its container's
  return over
    .filter((each) => !live.some((its) => isSameContainer(its, each)))
    .map(({ addresses: _, ...leftover }) => leftover);
}

/** Containers that live, and of which nobody has told us but what they have. */
export function findStrangers(host: Host): Leftover[] {
  return sortTraces(host).live;
}

interface Trace extends Leftover {
  readonly addresses: readonly string[];
}

/**
 * Whether containers live in namespaces that are not seen from here: those that nobody told us of may have
 * any address.
 */
export function isBlind({ stack, view, attachments }: Host): boolean {
  const isBridged = ({ master }: Link) => master !== undefined && stack.link(master)?.kind === "bridge";
  return (
    attachments.some(isUnseen) ||
    stack.links.some((link) => link.kind === "veth" && isBridged(link) && view.isHidden(stack, link))
  );
}

/** Those of nobody whom we know, by whether an interface has an address of theirs, or may have it. */
function sortTraces(host: Host): { over: Trace[]; live: Trace[] } {
  const { attachments, view } = host;
  const addresses = new Set(
    view.stacks.flatMap((stack) => stack.addresses.map(({ prefix }) => formatAddress(prefix.address))),
  );
  const isKnown = ({ network, containerId, ifname }: Trace) =>
    attachments.some(
      (each) =>
        each.network === network &&
        each.containerId === containerId &&
        (ifname === "" || each.ifname === ifname),
    );
  const traces = [...leases(host), ...elements(host), ...iptablesRules(), ...claims(host)];
  const unknown = traces.filter((trace) => !isKnown(trace));
  if (unknown.length > 0 && isBlind(host)) return { live: unknown, over: [] };
  const isLive = (trace: Trace) => trace.addresses.some((address) => addresses.has(address));
  const { live = [], over = [] } = Object.groupBy(unknown, (trace) => (isLive(trace) ? "live" : "over"));
  return { live, over };
}

function isSameContainer(a: Leftover, b: Leftover): boolean {
  return a.network === b.network && a.containerId === b.containerId && a.containerId !== "";
}

/** Where host-local keeps leases: the usual place, and what networks say. */
function leaseDirectories({ view }: Host): Map<string, string> {
  const directories = new Map(
    listDirectory(LEASES_DIR).map((network) => [network, `${LEASES_DIR}/${network}`]),
  );
  for (const { name, plugins } of view.networks) {
    for (const plugin of plugins) {
      const { type, dataDir } = ipamOf(plugin);
      if (type === "host-local" && typeof dataDir === "string") directories.set(name, `${dataDir}/${name}`);
    }
  }
  return directories;
}

function leases(host: Host): Trace[] {
  return [...leaseDirectories(host)].flatMap(([network, directory]) => {
    const { leases, dead } = scanLeases(directory, currentBoot());
    const held = [...leases].map(([address, { containerId, ifname }]) => ({ address, containerId, ifname }));
    const empty = dead.map((address) => ({ address, containerId: "", ifname: "" }));
    return [...held, ...empty].map(({ address, ...holder }) => ({
      ...holder,
      kind: "lease" as const,
      network,
      place: `${directory}/${address}`,
      addresses: [address],
    }));
  });
}

/** Of weft's tables; those that an interface's containers share bear the network's name alone. */
function elements({ attachments }: Host): Trace[] {
  if (!hasNftables()) return [];
  const owners = new Set(attachments.map(ownerComment));
  return TABLES.flatMap((table) => {
    if (findTableComment(netfilterSocket(), table) !== table.comment) return [];
    return table.sets.flatMap((set) =>
      listElements(netfilterSocket(), table, set).flatMap(({ key, data, comment = "" }) => {
        const [network = "", containerId, ifname = ""] = comment.split("/");
        if (!containerId || owners.has(comment)) return [];
        const place = `set ${set.name} of table ${table.family} ${table.name}`;
        const addresses = [...key, ...(data ?? [])].map(String);
        return [{ kind: "rule" as const, network, containerId, ifname, place, addresses }];
      }),
    );
  });
}

/** Of either maker: a container's chains and rules have its name as their comment. */
function iptablesRules(): Trace[] {
  const found = new Map<string, Leftover & { addresses: string[] }>();
  for (const family of [4, 6] as const) {
    for (const name of ["nat", "filter"] as const) {
      for (const { table } of readTables(family, name)) {
        for (const chain of table.chains) {
          for (const rule of table.rules(chain)) {
            const [, network, ifname = "", containerId] = OWNER.exec(rule) ?? [];
            if (!network || !containerId) continue;
            const place = `chain ${chain} of table ${name} of ${family === 4 ? "iptables" : "ip6tables"}`;
            const key = `${network}/${containerId}/${ifname}`;
            const entry = { kind: "rule" as const, network, containerId, ifname, place, addresses: [] };
            found.getOrInsertComputed(key, () => entry).addresses.push(...addressesIn(rule));
          }
        }
      }
    }
  }
  return [...found.values()];
}

/** "-s 10.9.0.2/32", "--to-destination 10.9.0.2:80", "--to-destination [fd00::2]:80" */
function addressesIn(rule: string): string[] {
  const words = rule.matchAll(/(?:-s|-d|--to-destination) \[?([0-9a-f.:]+?)\]?(?:\/(?:32|128)|:\d+)(?= |$)/g);
  return [...words].map(([, address = ""]) => address);
}

function claims({ attachments }: Host): Trace[] {
  const ports = listPortClaims().map(({ owner, protocol, port }) => ({
    ...owner,
    kind: "claim" as const,
    place: `/run/weft/ports/${protocol}/${port}`,
    addresses: [],
  }));
  const known = new Set(attachments.map(claimantName));
  const settings = listClaimed().flatMap((what) =>
    listClaimants(what)
      .filter((claimant) => !known.has(claimant))
      .map((claimant) => {
        const [containerId = "", ifname = "", network = ""] = claimant.split(":");
        const place = `/run/weft/claims/${what}`;
        return { kind: "claim" as const, network, containerId, ifname, place, addresses: [] };
      }),
  );
  return [...ports, ...settings];
}
