/**
 * Forwarding tables of the host's bridges: behind which port each MAC is, and whose it is. What a bridge has
 * for other hosts of an overlay is told with the overlay (overlay-entries.ts).
 */
import { formatMac } from "../../lib/netaddr/mac.ts";
import type { Link } from "../../lib/rtnetlink/link.ts";
import {
  type FdbEntry,
  listFdb,
  NTF_EXT_LEARNED,
  NTF_SELF,
  NUD_NOARP,
  NUD_PERMANENT,
} from "../../lib/rtnetlink/neighbour.ts";
import type { HostView } from "./host-view.ts";
import { compareTexts } from "./namespaces.ts";

export interface BridgeTable {
  readonly bridge: string;
  /** Of the attachments that are on it. */
  readonly networks: readonly string[];
  readonly entries: readonly BridgeEntry[];
}

export interface BridgeEntry {
  readonly mac: string;
  readonly port: string;
  /** VLAN, where the bridge filters. */
  readonly vlan: number | undefined;
  /** Whose MAC it is: "web eth0"; "" where no container has it. */
  readonly owner: string;
  readonly origin: EntryOrigin;
  /** Since a frame of it came in, of what was learned. Seconds. */
  readonly usedS: number | undefined;
}

/** "own": the port's own MAC; "static": somebody put it there; "store": the agent did, for another host. */
export type EntryOrigin = "learned" | "static" | "own" | "store";

/** @param options.all the ports' own MACs too */
export function readBridgeTables(view: HostView, { all = false }: { all?: boolean } = {}): BridgeTable[] {
  const { host } = view;
  const owners = macOwners(view);
  return host.links
    .filter(({ kind }) => kind === "bridge")
    .map((bridge) => ({
      bridge: bridge.name,
      networks: networksOn(view, bridge),
      entries: listFdb(host.socket, { master: bridge.index })
        .filter(({ flags, ifindex }) => !(flags & NTF_SELF) && ifindex !== bridge.index)
        .map((entry) => bridgeEntry(view, entry, owners))
        .filter(({ origin }) => all || origin !== "own")
        .sort((a, b) => compareTexts(a.port, b.port) || compareTexts(a.mac, b.mac)),
    }));
}

function bridgeEntry(
  { host }: HostView,
  { mac, ifindex, vlan, usedS, ...entry }: FdbEntry,
  owners: ReadonlyMap<string, string>,
): BridgeEntry {
  const text = formatMac(mac);
  const origin = originOf(entry);
  return {
    mac: text,
    port: host.link(ifindex)?.name ?? `ifindex ${ifindex}`,
    vlan,
    owner: owners.get(text) ?? "",
    origin,
    usedS: origin === "learned" ? usedS : undefined,
  };
}

/** The kernel has NUD_PERMANENT for a port's own, NUD_NOARP for what was put there to stay. */
function originOf({ flags, state }: Pick<FdbEntry, "flags" | "state">): EntryOrigin {
  if (flags & NTF_EXT_LEARNED) return "store";
  if (state & NUD_PERMANENT) return "own";
  return state & NUD_NOARP ? "static" : "learned";
}

/** "web eth0" by its MAC, for every interface of every other namespace. */
export function macOwners(view: HostView): Map<string, string> {
  const owners = new Map<string, string>();
  for (const stack of view.stacks) {
    for (const link of stack.links) {
      if (link.mac.length === 6 && link.name !== "lo") {
        owners.getOrInsert(formatMac(link.mac), `${view.nameOf(stack)} ${link.name}`);
      }
    }
  }
  return owners;
}

function networksOn({ attachments }: HostView, bridge: Link): string[] {
  return [
    ...new Set(attachments.filter((each) => each.bridge === bridge.name).map(({ network }) => network)),
  ];
}
