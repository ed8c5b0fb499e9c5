/** What a configuration of plugin vxlan says, and comes to on this host. */
import { networkAlias, verifyNetworkName } from "../alias.ts";
import type { NetConf } from "../cni/config.ts";
import { faultOfIfname } from "../cni/environment.ts";
import { CniError, invalidConfig } from "../cni/error.ts";
import type { EtcdKeys } from "../etcd/settings.ts";
import { verifyMtu } from "../mtu.ts";
import {
  type Address,
  isLinkLocal,
  isLoopback,
  isMulticast,
  isUnspecified,
  parseAddress,
} from "../netaddr/address.ts";
import { findLink } from "../rtnetlink/link.ts";
import { readVxlan } from "../rtnetlink/link-kinds.ts";
import type { RouteSocket } from "../rtnetlink/route-socket.ts";
import type { OverlayMode, SubnetPool } from "../store/layout.ts";
import type { DeviceSettings } from "./devices.ts";
import type { Membership, WantedNetwork } from "./membership.ts";
import { chooseMtu, largestMtu } from "./mtu.ts";
import type { OverlayDetails } from "./record.ts";
import { routedMac, verifyMode, verifyPoolsBeside } from "./routed.ts";
import { findUnderlay, type Underlay, verifyUnderlay, withoutOwn } from "./underlay.ts";

/** The keys of it that are not plugin bridge's as well. */
export interface OverlayConfig extends NetConf {
  readonly vni: number;
  readonly port: number;
  readonly dev: string;
  readonly local: string;
  readonly ttl: number;
  readonly remotes?: readonly string[] | undefined;
  readonly group?: string | undefined;
  readonly etcd?: EtcdKeys | undefined;
  readonly mode: OverlayMode;
  readonly subnets: readonly SubnetPool[];
  /** "" is vxbr and the VNI. */
  readonly bridge: string;
  readonly mtu: number;
  readonly isGateway: boolean;
  readonly isDefaultGateway: boolean;
  readonly portIsolation: boolean;
  readonly ipam: object & { readonly type: string };
  readonly runtimeConfig: object;
}

/** The host's part of an overlay, before anything is made. */
export interface HostPart {
  readonly underlay: Underlay;
  /** Static mode: the other hosts. */
  readonly remotes: readonly Address[] | undefined;
  readonly group: Address | undefined;
  /** Bytes. */
  readonly largestMtu: number;
}

/** @throws CniError 7 for what no host can carry out */
export function verifyOverlay(config: OverlayConfig): void {
  const { name, remotes, group, etcd, bridge, mtu } = config;
  verifyNetworkName(name);
  verifyMtu(mtu);
  const ways = [remotes && '"remotes"', group !== undefined && '"group"', etcd && '"etcd"'].filter(Boolean);
  if (ways.length !== 1) {
    const what =
      ways.length === 0 ? "how the hosts find each other is missing" : `${ways.join(" and ")} together`;
    throw invalidConfig(what, 'give one of "remotes", "group" and "etcd"');
  }
  verifyMode(config);
  verifyUnderlay(config);
  const family = parseRemotes(remotes)?.[0]?.family;
  if (parseRemotes(remotes)?.some((remote) => remote.family !== family)) {
    throw invalidConfig(
      '"remotes" are of both families',
      "VXLAN packets are IPv4 or IPv6, the same on all hosts",
    );
  }
  parseGroup(group);
  for (const [key, interfaceName] of Object.entries({ bridge, dev: config.dev })) {
    const fault = interfaceName === "" ? undefined : faultOfIfname(interfaceName);
    if (fault)
      throw invalidConfig(`invalid "${key}": ${JSON.stringify(interfaceName)} ${fault.msg}`, fault.details);
  }
  const { device } = deviceNames(config);
  if (bridge === device) {
    throw invalidConfig(`invalid "bridge": "${bridge}" is the network's VXLAN device`, "choose another name");
  }
}

/** Names of the network's devices. */
export function deviceNames({ vni, bridge }: Pick<OverlayConfig, "vni" | "bridge">) {
  return { device: `vx${vni}`, bridge: bridge || `vxbr${vni}` };
}

/** What the record keeps from the start. */
export function recordDetails(config: OverlayConfig): Omit<OverlayDetails, "hostName"> {
  const { vni, mode, port, dev, local } = config;
  const { user: _, password: __, ...etcd } = config.etcd ?? {};
  return {
    ...{ vni, mode, port, ...deviceNames(config), dev: dev || undefined, local: local || undefined },
    etcd: config.etcd && etcd,
  };
}

/** Looks at this host. @throws CniError 7 that names the key */
export function findHostPart(host: RouteSocket, config: OverlayConfig): HostPart {
  const group = parseGroup(config.group);
  const listed = parseRemotes(config.remotes);
  const family = group?.family ?? listed?.[0]?.family;
  const current = currentAddress(host, config);
  const underlay = findUnderlay(host, config, { family, remotes: listed, current });
  verifyPoolsBeside(underlay.local, config.subnets);
  const remotes = listed && withoutOwn(host, listed);
  return { underlay, remotes, group, largestMtu: largestMtu(host, underlay, remotes ?? []) };
}

/** What the network's VXLAN device sends from, where it is there already. */
function currentAddress(host: RouteSocket, config: OverlayConfig): Address | undefined {
  const link = findLink(host, deviceNames(config).device);
  const isOwn = link?.kind === "vxlan" && link.alias === networkAlias(config.name);
  return isOwn ? readVxlan(link.data).local : undefined;
}

/** What all hosts have to agree on. */
export function wantedNetwork(
  config: OverlayConfig,
  { underlay, largestMtu: mtuMax }: HostPart,
): WantedNetwork {
  const { vni, mode, port, mtu, subnets } = config;
  chooseMtu(mtu, mtuMax);
  const { family } = underlay.local;
  return { vni, mode, port, family, mtu, mtuMax, ...(mode === "routed" && { subnets }) };
}

/** What the devices are to be. @throws CniError 7 for an MTU that does not fit */
export function deviceSettings(
  config: OverlayConfig,
  { underlay, remotes, group, largestMtu: mtuMax }: HostPart,
  { membership, host }: { membership?: Membership | undefined; host?: string | undefined } = {},
): DeviceSettings {
  const { name: network, vni, port, ttl, mode, etcd } = config;
  const isRouted = mode === "routed";
  return {
    network,
    ...deviceNames(config),
    vxlan: {
      vni,
      local: underlay.local,
      group,
      // a group needs an interface; else one that is not asked for would be in the way of the host's routes
      link: config.dev !== "" || group ? underlay.link.index : undefined,
      port,
      ttl: ttl || undefined,
      learning: etcd === undefined,
    },
    mac: isRouted && host !== undefined ? routedMac(host, vni) : undefined,
    remotes,
    mtu: membership?.mtu ?? chooseMtu(config.mtu, mtuMax),
    isMtuGiven: config.mtu !== 0 || membership !== undefined,
    isPort: !isRouted,
    isGateway: isRouted || config.isGateway || config.isDefaultGateway,
    isIsolated: config.portIsolation,
    isProgrammed: etcd !== undefined,
  };
}

function parseRemotes(texts: readonly string[] | undefined): Address[] | undefined {
  return texts?.map((text, index) => {
    const address = parseKey(`remotes[${index}]`, text);
    const isNone = [isMulticast, isUnspecified, isLoopback, isLinkLocal].some((is) => is(address));
    if (!isNone) return address;
    const msg = `invalid "remotes[${index}]": ${text} is no address that a host is reached at from others`;
    throw invalidConfig(msg, 'a multicast group is for "group"');
  });
}

function parseGroup(text: string | undefined): Address | undefined {
  const address = text === undefined ? undefined : parseKey("group", text);
  if (!address || isMulticast(address)) return address;
  throw invalidConfig(
    `invalid "group": ${text} is no multicast address`,
    'a host\'s address is for "remotes"',
  );
}

function parseKey(key: string, text: string): Address {
  try {
    return parseAddress(text);
  } catch (cause) {
    throw new CniError(CniError.INVALID_NETWORK_CONFIG, `invalid "${key}": ${JSON.stringify(text)}`, {
      cause,
    });
  }
}
