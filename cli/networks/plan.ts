/** From what a user asks for to a network that is decided in every point: subnets, gateway, bridge. */
import { faultOfIfname, isIdentifier } from "../../lib/cni/environment.ts";
import { IPV6_MTU_MIN } from "../../lib/mtu.ts";
import {
  type Address,
  type Family,
  formatAddress,
  parseAddress,
  sameAddress,
} from "../../lib/netaddr/address.ts";
import { formatPrefix } from "../../lib/netaddr/prefix.ts";
import { findLink, IFNAME_MAX } from "../../lib/rtnetlink/link.ts";
import type { RouteSocket } from "../../lib/rtnetlink/route-socket.ts";
import type { NetworkFile } from "../runtime/network-list.ts";
import { type Driver, type DriverOptions, readDriver, readDriverOptions } from "./driver-options.ts";
import { freeSubnet } from "./free-subnet.ts";
import { NAME_MAX } from "./network-file.ts";
import { findOverlap, type Occupied, occupiedSubnets } from "./occupied.ts";
import type { NetworkPlan } from "./plugin-list.ts";
import {
  gatewayOf,
  isAnySubnet,
  leasedRanges,
  rangeSets,
  readOption,
  readSubnetRequests,
  type SubnetRequest,
  type SubnetWords,
} from "./subnet-request.ts";
import { bridgeOf } from "./summary.ts";
import { parentOf, verifyMtuOn, verifyParent, wireThere, withParent } from "./wire.ts";

/** The words of the command line. */
export interface NetworkWords extends SubnetWords {
  readonly name: string;
  readonly driver: string;
  readonly options: readonly string[];
  readonly internal: boolean;
  readonly ipv6: boolean;
  readonly dns: readonly string[];
  readonly dnsSearch: readonly string[];
  readonly dnsOptions: readonly string[];
  /** Even where a route or an address of the host overlaps. */
  readonly force: boolean;
}

/** What is there already. */
export interface Surroundings {
  readonly host: RouteSocket;
  readonly networks: readonly NetworkFile[];
}

/** Names that `weft run --network` has a meaning for. */
const RESERVED_NAMES = ["host", "none"];
/** Hexadecimal digits, as Docker has them. */
const BRIDGE_HASH_LENGTH = 12;

/** @throws Error that says which option, and what is in the way */
export function planNetwork(words: NetworkWords, surroundings: Surroundings): NetworkPlan {
  const { name, internal } = words;
  verifyName(name, surroundings.networks);
  const driver = readDriver(words.driver);
  const given = readDriverOptions(driver, words.options);
  verifyOptions(driver, given, words);
  const hasParent = isUnderlay(driver) && !internal;
  if (hasParent && !words.force) verifyParent(given, surroundings.host);
  const options = hasParent ? withParent(given, surroundings.host) : given;
  if (hasParent && !words.force) verifyMtuOn(options, surroundings.host);
  const asked = readSubnetRequests(words);
  if (driver === "vxlan") refuseSameVni(options, surroundings.networks);
  if (driver === "vxlan") verifyBridge(options.bridge ?? `vxbr${options.vni}`, surroundings.networks);
  const bridge = driver === "bridge" ? bridgeName(name, options, surroundings) : options.bridge;
  const requests = settleSubnets(asked, { driver, options, bridge, words }, surroundings);
  verifyMtuFor(requests, options);
  return {
    name,
    driver,
    options,
    internal,
    ranges: rangeSets(requests),
    dns: dnsOf(words),
    bridge,
  };
}

function verifyName(name: string, networks: readonly NetworkFile[]): void {
  if (!isIdentifier(name) || name.length > NAME_MAX) {
    throw new SyntaxError(
      `"${name}" is no name of a network: letters, digits, "_", "." and "-", at most ${NAME_MAX}, first a letter or digit`,
    );
  }
  if (RESERVED_NAMES.includes(name)) {
    throw new SyntaxError(`"${name}" is not a network to be made: weft run --network ${name} needs none`);
  }
  const other = networks.find((network) => network.name === name);
  if (other) throw new Error(`there is a network "${name}" already: ${other.file}`);
}

function verifyOptions(driver: Driver, options: DriverOptions, { internal, ranges }: NetworkWords): void {
  const { parent, vlan, remotes, group, etcd, mode, hostLength, vni } = options;
  if (driver === "ptp" && internal) {
    throw new SyntaxError("driver ptp has no --internal: its containers are routed; use bridge");
  }
  if ((driver === "macvlan" || driver === "ipvlan") && internal && (parent !== undefined || vlan)) {
    throw new SyntaxError(
      `an internal ${driver} network has no parent: leave out --opt parent or --internal`,
    );
  }
  if (driver !== "vxlan") return;
  if (vni === undefined) throw new SyntaxError("driver vxlan needs --opt vni=NUMBER, the same on all hosts");
  if ([remotes, group, etcd].filter(Boolean).length !== 1) {
    throw new SyntaxError("driver vxlan needs one of --opt remotes=…, --opt group=… and --opt etcd=…");
  }
  if (mode === "routed") {
    if (!etcd) throw new SyntaxError("--opt mode=routed needs --opt etcd=…");
    if (hostLength === undefined) {
      throw new SyntaxError("--opt mode=routed needs --opt host-length=24 or the like: of a host's subnet");
    }
  } else if (!etcd && ranges.length === 0) {
    throw new SyntaxError(
      "without etcd each host needs a part of the subnet to itself: give it with --ip-range, another on each host",
    );
  }
}

interface Decided {
  readonly driver: Driver;
  readonly options: DriverOptions;
  readonly bridge: string | undefined;
  readonly words: NetworkWords;
}

/** Subnets that nothing else has; chosen where the user leaves them open. */
function settleSubnets(
  asked: readonly SubnetRequest[],
  { driver, options, bridge, words }: Decided,
  { host, networks }: Surroundings,
): SubnetRequest[] {
  const parent = parentOf(options);
  const wire = isRouted(options) ? undefined : parent;
  if (asked.length === 0) refuseWithoutSubnet(driver, options, words, parent);
  const occupied = occupiedSubnets(host, networks);
  const settled: SubnetRequest[] = [];
  for (const request of withFamilies(asked, words)) {
    const all = [...occupied, ...settled.map(taken)];
    const { address, length } = request.subnet;
    if (isAnySubnet(request.subnet)) {
      settled.push({ ...request, subnet: freeSubnet(address.family, all, { length }) });
      continue;
    }
    const there = wire === undefined ? undefined : wireThere(host, wire, request.subnet);
    const gateway = request.gateway ?? there?.gateway;
    const reserved = [...request.reserved, ...(there?.ownAddresses ?? [])];
    const complete = { ...request, gateway, reserved };
    if (request.gateway === undefined && !words.internal) refuseOwnAsRouter(complete, there?.ownAddresses);
    refuseOverlap(complete, all, words, { ifname: parent ?? bridge, wire });
    settled.push(complete);
  }
  return settled;
}

/** A container on the wire of the host's interface does not reach the host by it. */
function refuseOwnAsRouter(request: SubnetRequest, ownAddresses: readonly Address[] = []): void {
  const router = gatewayOf(request);
  if (!ownAddresses.some((own) => sameAddress(own, router))) return;
  throw new SyntaxError(
    `${formatAddress(router)} would be the containers' router, and is this host's own, which they do not reach
name the router with --gateway; a network without one is --internal`,
  );
}

/** The plugins would refuse every container. */
function verifyMtuFor(requests: readonly SubnetRequest[], { mtu }: DriverOptions): void {
  if (mtu === undefined || mtu >= IPV6_MTU_MIN) return;
  if (!requests.some(({ subnet }) => subnet.address.family === 6)) return;
  throw new SyntaxError(
    `--opt mtu=${mtu}: IPv6 needs at least ${IPV6_MTU_MIN}\nraise it, or leave out --ipv6 and subnets of IPv6`,
  );
}

function isUnderlay(driver: Driver): boolean {
  return driver === "macvlan" || driver === "ipvlan";
}

/** An ipvlan above layer 2 has subnets of its own. */
function isRouted({ mode }: DriverOptions): boolean {
  return mode === "l3" || mode === "l3s";
}

function refuseWithoutSubnet(
  driver: Driver,
  options: DriverOptions,
  { internal }: NetworkWords,
  parent = "the parent",
): void {
  if (driver === "vxlan") throw new SyntaxError("driver vxlan needs --subnet, the same on all hosts");
  if (!isUnderlay(driver) || internal || isRouted(options)) return;
  throw new SyntaxError(
    `driver ${driver} needs --subnet: that of the network which ${parent} is on, its router as --gateway, and
an --ip-range that its DHCP server does not give out; a network with --internal needs none of it`,
  );
}

/** With one for IPv4 where nothing is named, and one for IPv6 where that is asked for. */
function withFamilies(asked: readonly SubnetRequest[], { ipv6 }: NetworkWords): SubnetRequest[] {
  const any = (family: Family, length: number): SubnetRequest => ({
    subnet: { address: { family, value: 0n }, length },
    gateway: undefined,
    range: undefined,
    reserved: [],
  });
  const hasIpv6 = asked.some(({ subnet }) => subnet.address.family === 6);
  return [...(asked.length === 0 ? [any(4, 24)] : asked), ...(ipv6 && !hasIpv6 ? [any(6, 64)] : [])];
}

function taken({ subnet }: SubnetRequest): Occupied {
  return { prefix: subnet, kind: "network", by: `--subnet ${formatPrefix(subnet)}` };
}

function refuseOverlap(
  request: SubnetRequest,
  occupied: readonly Occupied[],
  { force }: NetworkWords,
  place: { ifname: string | undefined; wire: string | undefined },
): void {
  const relevant = force ? occupied.filter(({ kind }) => kind === "network") : occupied;
  const overlap = findOverlap({ prefix: request.subnet, leased: leasedRanges(request), ...place }, relevant);
  if (!overlap) return;
  const forced = overlap.kind === "network" ? "" : ", or --force if that is meant";
  throw new Error(
    `subnet ${formatPrefix(request.subnet)} overlaps ${overlap.by}\nchoose another, or leave out --subnet: then a free one is chosen${forced}`,
  );
}

/** br- and the network's name where that is short enough and free, else a hash of it. */
function bridgeName(name: string, { bridge }: DriverOptions, { host, networks }: Surroundings): string {
  if (bridge === undefined) {
    const plain = `br-${name}`;
    const isFree = plain.length <= IFNAME_MAX && !userOf(plain, networks) && !findLink(host, plain);
    if (isFree && !faultOfIfname(plain)) return plain;
    const digest = new Bun.CryptoHasher("sha256").update(name).digest("hex");
    return `br-${digest.slice(0, BRIDGE_HASH_LENGTH)}`;
  }
  verifyBridge(bridge, networks);
  return bridge;
}

function userOf(bridge: string, networks: readonly NetworkFile[]): NetworkFile | undefined {
  return networks.find(({ plugins }) => plugins.some((plugin) => bridgeOf(plugin) === bridge));
}

function verifyBridge(bridge: string, networks: readonly NetworkFile[]): void {
  const fault = faultOfIfname(bridge);
  if (fault) throw new SyntaxError(`--opt bridge=${bridge}: ${fault.msg}`);
  // the kernel takes more, but shells and sysctl read other signs in their own way
  if (!isIdentifier(bridge)) {
    throw new SyntaxError(
      `--opt bridge=${bridge}: not letters, digits, "_", "." and "-", first a letter or digit`,
    );
  }
  const user = userOf(bridge, networks);
  if (user) throw new Error(`bridge ${bridge} is that of network "${user.name}": ${user.file}`);
}

function refuseSameVni({ vni }: DriverOptions, networks: readonly NetworkFile[]): void {
  const user = networks.find(({ plugins }) =>
    plugins.some((plugin) => plugin.type === "vxlan" && plugin["vni"] === vni),
  );
  if (user) throw new Error(`VNI ${vni} is that of network "${user.name}": ${user.file}`);
}

function dnsOf({ dns, dnsSearch, dnsOptions }: NetworkWords): NetworkPlan["dns"] {
  for (const server of dns) readOption("--dns", server, parseAddress);
  return {
    ...(dns.length > 0 && { nameservers: dns }),
    ...(dnsSearch.length > 0 && { search: dnsSearch }),
    ...(dnsOptions.length > 0 && { options: dnsOptions }),
  };
}
