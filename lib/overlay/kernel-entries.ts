/**
 * What a host's kernel has for the other hosts of an overlay: read in parts, changed in batches, compared
 * with what it has to have.
 */
import { type Address, formatAddress, parseAddress } from "../netaddr/address.ts";
import { formatMac, parseMac } from "../netaddr/mac.ts";
import { formatPrefix, parsePrefix } from "../netaddr/prefix.ts";
import type { NetlinkError } from "../netlink/error.ts";
import type { AnyRequest } from "../netlink/request.ts";
import {
  type FdbEntry,
  fdbRequest,
  type Neighbour,
  NTF_EXT_LEARNED,
  NTF_MASTER,
  NTF_SELF,
  NUD_PERMANENT,
  neighbourMessage,
  neighbourRequest,
  RTM_GETNEIGH,
} from "../rtnetlink/neighbour.ts";
import { deleteRouteRequest, listRoutes, type Route, replaceRouteRequest } from "../rtnetlink/route.ts";
import { AF_BRIDGE, addressFamily, type RouteSocket } from "../rtnetlink/route-socket.ts";
import { OVERLAY_PROTOCOL, type OverlayDevices, type PeerEntries } from "./peers.ts";

/** Where an entry is kept: a forwarding table, the neighbours, the routes. */
export type EntryKind = "fdb" | "neighbours" | "routes";

/** An entry by the text of its MAC, address or prefix. */
export interface EntryKey {
  readonly kind: EntryKind;
  readonly key: string;
}

/** What the kernel has on a network's devices, foreign neighbours and routes left out. */
export interface KernelEntries {
  /** The VXLAN device's own table. */
  readonly tunnel: FdbEntry[];
  /** The bridge's table, what of it is behind the VXLAN device. */
  readonly bridged: FdbEntry[];
  readonly neighbours: Neighbour[];
  readonly routes: Route[];
  /** MACs of the device's own table that lead to another VNI, port or device than its own. */
  readonly astray: Set<string>;
}

type NeighbourMessage = ReturnType<typeof neighbourMessage.read>;

/**
 * Equivalent to `bridge fdb show dev VXLAN`, `ip neigh show` and `ip route show … proto 193`. Comes back
 * after each datagram, for the caller to do something else; the socket belongs to it until the end.
 * @returns undefined when a change interrupted it @throws NetlinkError
 */
export function* readEntries(
  socket: RouteSocket,
  { mode, vxlan, bridge }: OverlayDevices,
): Generator<void, KernelEntries | undefined> {
  const found: KernelEntries = { tunnel: [], bridged: [], neighbours: [], routes: [], astray: new Set() };
  const fdb = dump(socket, { family: AF_BRIDGE, index: vxlan }, {}, (message) => takeFdb(found, message));
  if (!(yield* fdb)) return undefined;
  const ifindex = mode === "bridged" ? bridge : vxlan;
  for (const family of [4, 6] as const) {
    const header = { family: addressFamily(family) };
    const take = (message: NeighbourMessage) => takeNeighbour(found, message);
    if (!(yield* dump(socket, header, { ifindex }, take))) return undefined;
    const routes = listRoutes(socket, { family, oif: vxlan });
    found.routes.push(...routes.filter(({ protocol }) => protocol === OVERLAY_PROTOCOL));
    yield;
  }
  return found;
}

function* dump(
  socket: RouteSocket,
  header: { family: number; index?: number },
  attributes: { ifindex?: number },
  take: (message: NeighbourMessage) => void,
): Generator<void, boolean> {
  const doing = header.family === AF_BRIDGE ? "list the forwarding table" : "list neighbours";
  const request = {
    doing,
    name: "RTM_GETNEIGH",
    type: RTM_GETNEIGH,
    codec: neighbourMessage,
    header,
    attributes,
  };
  const dumping = socket.openDump(request, (body) => take(neighbourMessage.read(body)));
  while (dumping.receive()) yield;
  return !dumping.isInterrupted;
}

function takeFdb({ tunnel, bridged, astray }: KernelEntries, message: NeighbourMessage): void {
  const { index = 0, flags = 0, state = 0, lladdr: mac = new Uint8Array(0), dst } = message;
  const entry = { ifindex: index, mac, flags, state, dst };
  if (flags & NTF_SELF) {
    tunnel.push(entry);
    if (message.vni !== undefined || message.port !== undefined || message.ifindex !== undefined) {
      astray.add(formatMac(mac));
    }
  } else if (!(state & NUD_PERMANENT)) bridged.push(entry); // that is the port's own MAC
}

function takeNeighbour({ neighbours }: KernelEntries, message: NeighbourMessage): void {
  if (message.protocol !== OVERLAY_PROTOCOL || !message.dst) return;
  const { index: ifindex = 0, dst: address, state = 0, flags = 0, protocol } = message;
  const mac = message.lladdr ?? new Uint8Array(0);
  neighbours.push({ ifindex, address, mac, state, flags, protocol });
}

/**
 * The keys of all entries that are missing, wrong or too many. In the order in which they are to be mended:
 * what is used comes before what uses it, and goes after it.
 */
export function differences(desired: PeerEntries, kernel: KernelEntries): EntryKey[] {
  const fdb = new Set(desired.fdb.keys());
  const isBridged = new Set(kernel.bridged.filter(isOurs).map(({ mac }) => formatMac(mac)));
  const surplus = { fdb: new Set<string>(), neighbours: new Set<string>(), routes: new Set<string>() };
  for (const entry of kernel.tunnel) {
    const key = formatMac(entry.mac);
    const wanted = desired.fdb.get(key);
    if (!wanted) surplus.fdb.add(key);
    else if (
      isSameAddress(wanted.dst, entry.dst) &&
      !kernel.astray.has(key) &&
      (!(wanted.flags & NTF_MASTER) || isBridged.has(key))
    ) {
      fdb.delete(key);
    }
  }
  for (const { mac } of kernel.bridged) {
    const key = formatMac(mac);
    if (!desired.fdb.has(key)) surplus.fdb.add(key);
  }
  const neighbours = new Set(desired.neighbours.keys());
  for (const entry of kernel.neighbours) {
    const key = formatAddress(entry.address);
    const wanted = desired.neighbours.get(key);
    if (!wanted) surplus.neighbours.add(key);
    else if (isSameNeighbour(wanted, entry)) neighbours.delete(key);
  }
  const routes = new Set(desired.routes.keys());
  for (const entry of kernel.routes) {
    const key = formatPrefix(entry.dst);
    const wanted = desired.routes.get(key);
    if (!wanted) surplus.routes.add(key);
    else if (isSameRoute(wanted, entry)) routes.delete(key);
  }
  return inOrder({ fdb, neighbours, routes }, surplus);
}

/** The keys of what two desired states differ in, in the same order; of `some` alone where they are given. */
export function changedKeys(from: PeerEntries, to: PeerEntries): EntryKey[] {
  const changed = <T>(
    kind: EntryKind,
    a: Map<string, T>,
    b: Map<string, T>,
    same: (a: T, b: T) => boolean,
  ) => ({
    kind,
    put: [...b].filter(([key, entry]) => !sameIfThere(a.get(key), entry, same)).map(([key]) => key),
    gone: [...a.keys()].filter((key) => !b.has(key)),
  });
  const fdb = changed("fdb", from.fdb, to.fdb, isSameFdb);
  const neighbours = changed("neighbours", from.neighbours, to.neighbours, isSameNeighbour);
  const routes = changed("routes", from.routes, to.routes, isSameRoute);
  return inOrder(
    { fdb: fdb.put, neighbours: neighbours.put, routes: routes.put },
    { fdb: fdb.gone, neighbours: neighbours.gone, routes: routes.gone },
  );
}

type Keys = Readonly<Record<EntryKind, Iterable<string>>>;

function inOrder(put: Keys, gone: Keys): EntryKey[] {
  const keys: EntryKey[] = [];
  const add = (kind: EntryKind, some: Iterable<string>) => {
    for (const key of some) keys.push({ kind, key });
  };
  add("fdb", put.fdb);
  add("neighbours", put.neighbours);
  add("routes", put.routes);
  add("routes", gone.routes);
  add("neighbours", gone.neighbours);
  add("fdb", gone.fdb);
  return keys;
}

function sameIfThere<T>(a: T | undefined, b: T, same: (a: T, b: T) => boolean): boolean {
  return a !== undefined && same(a, b);
}

/** What the store put into the bridge's table: a MAC that was learned there instead is another entry. */
function isOurs({ flags }: FdbEntry): boolean {
  return (flags & NTF_EXT_LEARNED) !== 0;
}

function isSameFdb(a: FdbEntry, b: FdbEntry): boolean {
  return a.ifindex === b.ifindex && a.flags === b.flags && isSameAddress(a.dst, b.dst);
}

function isSameNeighbour(a: Neighbour, b: Neighbour): boolean {
  const isSameMac = a.mac.length === b.mac.length && a.mac.every((byte, index) => byte === b.mac[index]);
  return a.ifindex === b.ifindex && a.state === b.state && isSameMac;
}

function isSameRoute(a: Route, b: Route): boolean {
  const isSameWay = a.oif === b.oif && isSameAddress(a.gateway, b.gateway);
  return isSameWay && isSameAddress(a.prefsrc, b.prefsrc);
}

function isSameAddress(a: Address | undefined, b: Address | undefined): boolean {
  return a?.family === b?.family && a?.value === b?.value;
}

/** What the kernel would not do. */
export interface EntryRefusal extends EntryKey {
  readonly error: NetlinkError;
}

interface Change {
  readonly entry: EntryKey;
  readonly isDeletion: boolean;
  readonly request: AnyRequest;
}

/**
 * Has the kernel have these entries as they are desired: replaces each that is, deletes each that is not.
 * @returns what the kernel refused; that there is nothing to delete is as it should be
 */
export function programEntries(
  socket: RouteSocket,
  devices: OverlayDevices,
  { desired, keys }: { desired: PeerEntries; keys: readonly EntryKey[] },
): EntryRefusal[] {
  const changes = keys.flatMap((entry) => changesOf(devices, desired, entry));
  const byRequest = new Map(changes.map((change) => [change.request, change]));
  const refusals: EntryRefusal[] = [];
  socket.changeEach([...byRequest.keys()], (request, error) => {
    const change = byRequest.get(request);
    if (!change || (change.isDeletion && isGone(error))) return;
    refusals.push({ ...change.entry, error });
  });
  return refusals;
}

/** Of a deletion: the entry, or the device with all entries. */
function isGone({ code }: NetlinkError): boolean {
  return ["ENOENT", "ESRCH", "ENODEV", "EOPNOTSUPP"].includes(code);
}

function changesOf(devices: OverlayDevices, desired: PeerEntries, entry: EntryKey): Change[] {
  const { kind, key } = entry;
  const wanted = desired[kind].get(key);
  const isDeletion = wanted === undefined;
  const requests = isDeletion ? deletions(devices, entry) : [replacement(kind, wanted)];
  return requests.map((request) => ({ entry, isDeletion, request }));
}

function replacement(kind: EntryKind, wanted: FdbEntry | Neighbour | Route): AnyRequest {
  // Each map of PeerEntries holds what its name says.
  if (kind === "fdb") return fdbRequest("replace", wanted as FdbEntry);
  if (kind === "neighbours") return neighbourRequest("replace", wanted as Neighbour); // see above
  return replaceRouteRequest(wanted as Route); // see above
}

/** The kernel ends at the first table that has no such entry, so each is asked by itself. */
function deletions({ mode, vxlan, bridge }: OverlayDevices, { kind, key }: EntryKey): AnyRequest[] {
  if (kind === "fdb") {
    const mac = parseMac(key);
    return [NTF_SELF, NTF_MASTER].map((flags) =>
      fdbRequest("delete", { ifindex: vxlan, mac, flags, state: 0 }),
    );
  }
  if (kind === "neighbours") {
    const ifindex = mode === "bridged" ? bridge : vxlan;
    return [neighbourRequest("delete", { ifindex, address: parseAddress(key), mac: NO_MAC, state: 0 })];
  }
  return [deleteRouteRequest({ dst: parsePrefix(key), oif: vxlan })];
}

const NO_MAC = new Uint8Array(0);
