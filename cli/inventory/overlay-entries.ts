/**
 * What this host's kernel has for the other hosts of its overlays, beside what it has to have: the agent
 * knows that, of networks with a store. Of the others there is the kernel's word alone.
 */
import type { DesiredNetwork } from "../../agent/desired-entries.ts";
import { formatAddress } from "../../lib/netaddr/address.ts";
import { formatMac } from "../../lib/netaddr/mac.ts";
import { formatPrefix } from "../../lib/netaddr/prefix.ts";
import { OVERLAY_PROTOCOL } from "../../lib/overlay/peers.ts";
import type { Link } from "../../lib/rtnetlink/link.ts";
import { readVxlan } from "../../lib/rtnetlink/link-kinds.ts";
import { listFdb, listNeighbours, NTF_SELF, NUD_PERMANENT } from "../../lib/rtnetlink/neighbour.ts";
import { askAgent } from "../../lib/store/ask.ts";
import { isStoreAway, outputOf } from "../../lib/store/protocol.ts";
import { compareTexts } from "./namespaces.ts";
import type { Stack } from "./stack.ts";

const AGENT_TIMEOUT_MS = 5_000;
/** To which everything goes that is not known: what `bridge fdb append` has a remote under. */
const ANY_MAC = "00:00:00:00:00:00";

export interface OverlayTable {
  /** The name behind our alias; that of the device where it is not ours. */
  readonly network: string;
  readonly device: string;
  readonly vni: number;
  /** Whether the agent has said what has to be there. */
  readonly source: "agent" | "kernel";
  readonly entries: readonly OverlayEntry[];
}

/** One MAC of another host, a container's or (mode routed) the host's own. */
export interface OverlayEntry {
  readonly mac: string;
  /** Addresses that this host knows it by, and (mode routed) the subnets behind it. */
  readonly addresses: readonly string[];
  /** "" where nobody says. */
  readonly host: string;
  readonly vtep: string;
  readonly state: EntryState;
  /** What the kernel has instead, or lacks. */
  readonly differences: readonly string[];
}

/**
 * "in step": as desired; "missing", "surplus", "differs": not; "static", "learned", "flood": the kernel's
 * word.
 */
export type EntryState = "in step" | "missing" | "surplus" | "differs" | "static" | "learned" | "flood";

/** What the agent says is desired; undefined where none runs, and one of another version cannot say. */
export function askDesired(): readonly DesiredNetwork[] | undefined {
  try {
    const deadline = performance.now() + AGENT_TIMEOUT_MS;
    const answer = askAgent({ operation: "entries", input: null }, deadline);
    return "serves" in answer ? undefined : (outputOf(answer) as DesiredNetwork[]); // that is what it answers
  } catch (error) {
    if (isStoreAway(error)) return undefined;
    throw error;
  }
}

export function readOverlayTables(
  host: Stack,
  desired: readonly DesiredNetwork[] = askDesired() ?? [],
): OverlayTable[] {
  return host.links
    .filter(({ kind }) => kind === "vxlan")
    .map((device) => {
      const wanted = desired.find((each) => each.device === device.name && each.isKnown);
      const kernel = readKernel(host, device);
      return {
        network: networkOf(device),
        device: device.name,
        vni: readVxlan(device.data).vni,
        source: wanted ? "agent" : "kernel",
        entries: (wanted ? compareEntries(wanted, kernel) : kernelEntries(kernel)).sort(byVtep),
      };
    });
}

function byVtep(a: OverlayEntry, b: OverlayEntry): number {
  return compareTexts(a.vtep, b.vtep) || compareTexts(a.mac, b.mac);
}

function networkOf({ alias, name }: Link): string {
  return /^weft:([^/]+)$/.exec(alias)?.[1] ?? name;
}

/** What there is for the other hosts, as text. */
export interface KernelView {
  /** Where frames go, by MAC: several for ANY_MAC. */
  readonly fdb: readonly { readonly mac: string; readonly vtep: string; readonly isStatic: boolean }[];
  /** MACs, by address. */
  readonly neighbours: ReadonlyMap<string, string>;
  /** Gateways, by subnet. */
  readonly routes: ReadonlyMap<string, string>;
}

/** Of neighbours and routes those that are ours (protocol 193). */
function readKernel(host: Stack, device: Link): KernelView {
  const fdb = listFdb(host.socket, { ifindex: device.index })
    .filter(({ flags, ifindex, dst }) => flags & NTF_SELF && ifindex === device.index && dst)
    .map(({ mac, dst, state }) => ({
      mac: formatMac(mac),
      vtep: dst ? formatAddress(dst) : "",
      isStatic: (state & NUD_PERMANENT) !== 0,
    }));
  const ifindexes = [device.master ?? device.index];
  const neighbours = ([4, 6] as const).flatMap((family) =>
    ifindexes.flatMap((ifindex) => listNeighbours(host.socket, { family, ifindex })),
  );
  const routes = host.routes.filter(
    ({ oif, protocol }) => oif === device.index && protocol === OVERLAY_PROTOCOL,
  );
  return {
    fdb,
    neighbours: new Map(
      neighbours
        .filter(({ protocol }) => protocol === OVERLAY_PROTOCOL)
        .map(({ address, mac }) => [formatAddress(address), formatMac(mac)]),
    ),
    routes: new Map(
      routes.map(({ dst, gateway }) => [formatPrefix(dst), gateway ? formatAddress(gateway) : ""]),
    ),
  };
}

function kernelEntries({ fdb, neighbours, routes }: KernelView): OverlayEntry[] {
  return fdb.map(({ mac, vtep, isStatic }) => {
    const state = isStatic ? "static" : "learned";
    return {
      mac,
      addresses: addressesBehind(mac, neighbours, routes),
      host: "",
      vtep,
      state: mac === ANY_MAC ? "flood" : state,
      differences: [],
    };
  });
}

/** Those of the MAC, and the subnets whose gateway one of them is. */
function addressesBehind(
  mac: string,
  neighbours: ReadonlyMap<string, string>,
  routes: ReadonlyMap<string, string>,
): string[] {
  const addresses = [...neighbours].filter(([, each]) => each === mac).map(([address]) => address);
  const subnets = [...routes].filter(([, gateway]) => addresses.includes(gateway)).map(([subnet]) => subnet);
  return [...addresses, ...subnets];
}

/** One entry a MAC that is desired or there. */
export function compareEntries(desired: DesiredNetwork, kernel: KernelView): OverlayEntry[] {
  const neighbours = new Map(desired.neighbours.map(({ address, mac }) => [address, mac]));
  const routes = new Map(desired.routes.map(({ subnet, gateway }) => [subnet, gateway]));
  const hosts = new Map(desired.hosts.map(({ host, address }) => [address, host]));
  const there = new Map(kernel.fdb.map(({ mac, vtep }) => [mac, vtep]));
  const wanted = desired.fdb.map(({ mac, vtep }): OverlayEntry => {
    const addresses = addressesBehind(mac, neighbours, routes);
    const now = there.get(mac);
    const lacking = addresses.flatMap((each) => {
      if (each.includes("/")) return kernel.routes.get(each) === routes.get(each) ? [] : `route ${each}`;
      const held = kernel.neighbours.get(each);
      return held === mac ? [] : `${each} is at ${held ?? "no MAC"}`;
    });
    const differences = [...(now === undefined || now === vtep ? [] : [`it leads to ${now}`]), ...lacking];
    const state = now === undefined ? "missing" : differences.length > 0 ? "differs" : "in step";
    return { mac, addresses, host: hosts.get(vtep) ?? "", vtep, state, differences };
  });
  const surplus = kernel.fdb
    .filter(({ mac }) => !desired.fdb.some((each) => each.mac === mac))
    .map(
      ({ mac, vtep }): OverlayEntry => ({
        mac,
        addresses: addressesBehind(mac, kernel.neighbours, kernel.routes),
        host: hosts.get(vtep) ?? "",
        vtep,
        state: "surplus",
        differences: [],
      }),
    );
  return [...wanted, ...surplus];
}
