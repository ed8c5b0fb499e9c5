/** What a firewall configuration asks for a container, and of whom. */
import { attachmentName } from "../alias.ts";
import { type AskedBackend, type Backend, chooseBackend } from "../backend.ts";
import type { NetConf } from "../cni/config.ts";
import { CniError } from "../cni/error.ts";
import type { Call } from "../cni/plugin.ts";
import type { Result } from "../cni/result.ts";
import type { BusConnection } from "../dbus/connection.ts";
import { containerPort, hostInterface } from "../host-interface.ts";
import type { Address } from "../netaddr/address.ts";
import { findOverlayDevice } from "../overlay-device.ts";
import { findLink, type Link } from "../rtnetlink/link.ts";
import type { RouteSocket } from "../rtnetlink/route-socket.ts";
import { areFramesFiltered } from "./bridge-port.ts";
import { findFirewalld, openFirewalld } from "./firewalld.ts";
import { type IngressPolicy, type Isolation, isRestricted, separatesNeighbours } from "./isolation.ts";

const ADMIN_CHAIN = "CNI-ADMIN";
const ZONE = "trusted";

/** What a configuration asks for; "" is the default. */
export interface IsolateConfig {
  readonly backend: "" | AskedBackend | "firewalld";
  readonly iptablesAdminChainName: string;
  readonly firewalldZone: string;
  readonly ingressPolicy: "" | IngressPolicy;
  readonly internal: boolean;
  readonly icc: boolean;
  readonly permittedInterfaces: readonly string[];
}

export type IsolateCall = Call<NetConf & IsolateConfig>;

/** Who keeps the rules: firewalld those of the addresses, a packet filter those of the bridge, or all. */
export interface Keepers {
  readonly zone?: string | undefined;
  readonly backend?: Backend | undefined;
}

/** firewalld, if it was asked for, or nothing was and it runs. */
export function chooseFirewalld({ config, environment, resources }: IsolateCall): BusConnection | undefined {
  if (config.backend === "firewalld") return resources.use(openFirewalld(environment));
  const bus = isAuto(config.backend) ? findFirewalld(environment) : undefined;
  return bus && resources.use(bus);
}

export function isAuto(backend: IsolateConfig["backend"]): boolean {
  return backend === "" || backend === "auto";
}

/** Beside firewalld a packet filter is needed for what firewalld has no word for. */
export function chooseKeepers({ config }: IsolateCall, firewalld: BusConnection | undefined): Keepers {
  const { backend, permittedInterfaces } = config;
  const zone = firewalld ? zoneOf(config) : undefined;
  if (zone && !isRestricted(policyOf(config)) && permittedInterfaces.length === 0) return { zone };
  const asked = backend === "nftables" || backend === "iptables" ? backend : undefined;
  return { zone, backend: chooseBackend(asked, { needsForwardAccept: true }) };
}

export function zoneOf({ firewalldZone }: IsolateConfig): string {
  return firewalldZone || ZONE;
}

function policyOf({ ingressPolicy, internal, icc }: IsolateConfig) {
  return { ingressPolicy: ingressPolicy || "open", internal, icc } as const;
}

/** What is asked for, of which interface: undefined where none is needed. */
export function isolationOf(
  call: IsolateCall,
  { backend }: Keepers,
  { host, prevResult }: { host: RouteSocket; prevResult: Result },
): { isolation: Isolation; via: Link | undefined } {
  const { permittedInterfaces, iptablesAdminChainName } = call.config;
  const policy = policyOf(call.config);
  const addresses = addressesOf(prevResult);
  const concernsInterface = isRestricted(policy) || permittedInterfaces.length > 0;
  if (concernsInterface) requireHostInterface(prevResult, policy.ingressPolicy);
  const via =
    concernsInterface || backend === "iptables" ? hostInterface(host, prevResult, addresses) : undefined;
  const adminChain = iptablesAdminChainName || ADMIN_CHAIN;
  return {
    isolation: {
      ...attachmentName(call),
      ...policy,
      via: via?.name ?? "",
      overlay: via && routedDevice(call),
      addresses,
      permittedInterfaces,
      adminChain,
    },
    via,
  };
}

/** The way to the container may be by an uplink, which a policy must not close: it has to be named. */
function requireHostInterface({ interfaces = [] }: Result, ingressPolicy: IngressPolicy): void {
  if (interfaces.some(({ sandbox }) => !sandbox)) return;
  const asked = ingressPolicy === "open" ? "internal, icc or permittedInterfaces" : ingressPolicy;
  const msg = `interface needs to be set for ingress policy "${asked}"`;
  const details = 'make sure to chain "firewall" plugin with "bridge"';
  throw new CniError(CniError.INVALID_NETWORK_CONFIG, `${msg}, ${details}`);
}

/** The port that has to be isolated; undefined where nothing is kept apart, or the packet filter does it. */
export function portToIsolate(
  host: RouteSocket,
  isolation: Isolation,
  { prevResult, via }: { prevResult: Result; via: Link | undefined },
): Link | undefined {
  if (via?.kind !== "bridge" || !separatesNeighbours(isolation) || areFramesFiltered()) return undefined;
  const port = containerPort(host, prevResult, via);
  if (port) return port;
  throw new CniError(
    CniError.INVALID_NETWORK_CONFIG,
    `the container's port of bridge "${via.name}" is not in prevResult`,
    {
      details:
        'chain "firewall" with "bridge", or set net.bridge.bridge-nf-call-iptables and -ip6tables to 1',
    },
  );
}

/** Mode routed: what the other hosts' containers are behind. In mode bridged that is a port of the bridge. */
function routedDevice(call: IsolateCall): string | undefined {
  const overlay = findOverlayDevice(attachmentName(call));
  return overlay?.mode === "routed" ? overlay.device : undefined;
}

/**
 * Mode bridged: the port behind which the other hosts' containers are, for an isolated port cannot reach
 * another. It is one for all containers of the network, and goes with the last of them.
 */
export function overlayPort(call: IsolateCall, host: RouteSocket): Link | undefined {
  const overlay = findOverlayDevice(attachmentName(call));
  return overlay?.mode === "bridged" ? findLink(host, overlay.device) : undefined;
}

export function addressesOf(result: Result | undefined): Address[] {
  return result?.ips?.map(({ address }) => address.address) ?? [];
}
