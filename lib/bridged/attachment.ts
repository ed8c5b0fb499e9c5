/**
 * A container's attachment to a bridge of the host, by a veth pair: from the moment the pair is a port of it.
 * For the plugins bridge and vxlan, which differ in whose the bridge is and what else is on it.
 */
import { checkAddressesAvailable, releaseAddresses, releaseStaleAddresses } from "../addressed-interface.ts";
import { type AttachedBridge, type BridgeSettings, checkBridge, checkBridgeAvailable } from "../bridge.ts";
import { addBridgeGateways, checkBridgeGateways, gatewayLinkName } from "../bridge-gateway.ts";
import { type BridgePortSettings, checkPort, pinMac, setUpPort } from "../bridge-port.ts";
import { awaitCarrier, awaitContainer } from "../carrier.ts";
import { chooseDns, requiredPrevResult } from "../cni/call.ts";
import type { NetConf } from "../cni/config.ts";
import { type Call, everyStep, type GcCall } from "../cni/plugin.ts";
import type { IpConfig, Result } from "../cni/result.ts";
import { gatewayPrefixes, withGateways } from "../gateway.ts";
import {
  announceAddresses,
  checkInterface,
  checkLink,
  configureInterface,
  describeLink,
  failed,
} from "../interface.ts";
import { ipamAdd, ipamCheck } from "../ipam/delegate.ts";
import {
  addMasquerade,
  checkMasquerade,
  checkMasqueradeAvailable,
  deleteMasquerade,
  type MasqueradeConfig,
  staleMasqueradeSteps,
} from "../masquerade/masquerade.ts";
import type { Prefix } from "../netaddr/prefix.ts";
import { type Link, linkByName, setLink } from "../rtnetlink/link.ts";
import type { RouteSocket } from "../rtnetlink/route-socket.ts";
import { openSandbox, type Sandbox } from "../sandbox.ts";
import {
  addSpoofCheck,
  checkSpoofCheck,
  deleteSpoofCheck,
  type SpoofCheckConfig,
  staleSpoofCheckSteps,
} from "../spoof-check.ts";
import { findHostEnd } from "../veth.ts";
import { deleteVeth, staleVethSteps } from "../veth-attachment.ts";

/** What a configuration says of it. */
export interface BridgedConfig extends NetConf, MasqueradeConfig, SpoofCheckConfig {
  readonly isGateway: boolean;
  /** Implies isGateway. */
  readonly isDefaultGateway: boolean;
  readonly forceAddress: boolean;
  readonly enabledad: boolean;
}

/** What the keys of a plugin's own come to. */
export interface BridgedSettings {
  readonly bridge: BridgeSettings;
  readonly port: BridgePortSettings;
  /** The VLAN the gateway is in; 0 is none. */
  readonly vlanId: number;
  /** Whether the container's interface is set up. */
  readonly isUp: boolean;
  /** The device by which the other subnets of an overlay are reached, where it is no port of the bridge. */
  readonly overlay?: string | undefined;
}

/** What ADD has made so far. */
export interface BridgedPair {
  readonly attached: AttachedBridge;
  /** The pair's end on the host. */
  readonly hostName: string;
  /** Gets the addresses: from the IPAM plugin of the configuration, unless this is given. */
  readonly lease?: (() => Result) | undefined;
  /** The MAC for a container of these addresses; undefined leaves the one it was made with. */
  readonly macFor?: ((ips: readonly IpConfig[]) => Uint8Array | undefined) | undefined;
}

type BridgedCall = Call<BridgedConfig>;

/** ADD: sets up the port and the container's end with its addresses. @returns what ADD answers */
export function attachToBridge(
  call: BridgedCall,
  sandbox: Sandbox,
  pair: BridgedPair,
  settings: BridgedSettings,
): Result {
  const { config } = call;
  const { host, container } = sandbox;
  const { attached, hostName, lease = () => ipamAdd(call), macFor } = pair;
  const { bridge } = attached;
  setUpPort(host, hostName, settings.port);

  const made = linkByName(container, call.ifname);
  const leased = config.ipam?.type ? withGateways(lease(), config) : undefined;
  const mac = leased && macFor?.(leased.ips);
  const inside = mac ? withMac(container, made, mac) : made;
  if (settings.port.pinned) pinMac(host, hostName, inside.mac);
  const duplicateDetection = config.enabledad ? "complete" : "none";
  if (leased) configureInterface(sandbox, inside, leased, { duplicateDetection });
  else setLink(container, inside, { up: settings.isUp });
  const gateways = isGateway(config) ? gatewayPrefixes(leased?.ips) : [];
  const gatewayLink = addBridgeGateways(host, attached, { ...gatewaySettings(config, settings), gateways });
  addSpoofCheck(call, hostName, inside.mac);
  addMasquerade(call, { via: gatewayLink.name, overlay: settings.overlay }, leased?.ips);

  const outside = settings.isUp
    ? awaitCarrier(host, hostName, { what: "bridge port" })
    : linkByName(host, hostName);
  if (leased) {
    awaitContainer(sandbox, inside, leased.ips);
    announceAddresses(sandbox, inside);
  }
  // The new port may have changed it: its MTU is the least of its ports', and so may be a foreign one's MAC.
  const master = linkByName(host, bridge.name);
  const interfaces = [describeLink(master), describeLink(outside), describeLink(inside, call.netnsPath)];
  if (gatewayLink !== bridge) interfaces.push(describeLink(gatewayLink));
  return {
    ...leased,
    interfaces,
    ips: leased?.ips.map((ip) => ({ ...ip, interface: 2 })),
    dns: chooseDns(config.dns, leased?.dns),
  };
}

/** Equivalent to `ip link set NAME address MAC`. */
function withMac(container: RouteSocket, link: Link, mac: Uint8Array): Link {
  setLink(container, link, { mac });
  return { ...link, mac };
}

/** DEL: what attachToBridge() made, then the pair, then what `release` gives back beside the addresses. */
export function detachFromBridge(call: BridgedCall, plugin: string, release: () => void = () => {}): void {
  everyStep(
    // first: what the kernel then waits for passes while the link is deleted
    () => deleteMasquerade(call),
    () => deleteSpoofCheck(call),
    () => deleteVeth(call, plugin, () => everyStep(() => releaseAddresses(call), release)),
  );
}

/**
 * CHECK: compares with the result of ADD. @returns the container's end
 * @throws CniError 100 that says what is not as it was
 */
export function checkAttachment(call: BridgedCall, settings: BridgedSettings): Link {
  const { config } = call;
  const prevResult = requiredPrevResult(call);
  const { interfaces = [], ips } = prevResult;
  if (config.ipam?.type) ipamCheck(call);
  const sandbox = openSandbox(call);
  const { host } = sandbox;

  const given = (name: string) => interfaces.find((it) => it.name === name && !it.sandbox) ?? { name };
  const bridge = checkBridge(host, given(settings.bridge.name), settings.bridge);
  const inside = checkInterface(sandbox, { ...call, prevResult }, { kind: "veth", up: settings.isUp });
  const outside = findHostEnd(host, inside);
  if (outside?.master !== bridge.index)
    throw failed(`CNI veth created for bridge ${bridge.name} was not found`);
  checkPort(host, checkLink(host, given(outside.name)), { ...settings.port, mac: inside.mac });
  const gateways: readonly Prefix[] = isGateway(config) ? gatewayPrefixes(ips) : [];
  const gatewayLink = gatewayLinkName(bridge.name, settings.vlanId);
  checkBridgeGateways(host, gatewayLink, gateways);
  checkSpoofCheck(call, outside.name, inside.mac);
  const via = gateways.length > 0 ? gatewayLink : bridge.name;
  checkMasquerade(call, { via, overlay: settings.overlay }, ips);
  return inside;
}

/** GC: a step for each attachment that the network no longer owns. */
export function staleAttachmentSteps(
  call: GcCall<BridgedConfig>,
  plugin: string,
  host: RouteSocket,
): (() => void)[] {
  return [
    ...staleMasqueradeSteps(call),
    ...staleSpoofCheckSteps(call),
    ...staleVethSteps(call, plugin, host),
    () => releaseStaleAddresses(call),
  ];
}

/** STATUS. @throws CniError 50 when no further container can be attached */
export function checkAttachable(call: BridgedCall, host: RouteSocket, bridge: BridgeSettings): void {
  checkBridgeAvailable(host, bridge);
  checkMasqueradeAvailable(call);
  checkAddressesAvailable(call);
}

/** Whether the host is the containers' gateway. */
export function isGateway(config: Pick<BridgedConfig, "isGateway" | "isDefaultGateway">): boolean {
  return config.isGateway || config.isDefaultGateway;
}

function gatewaySettings({ name, forceAddress }: BridgedConfig, { vlanId }: BridgedSettings) {
  return { network: name, vlanId, forceAddress };
}
