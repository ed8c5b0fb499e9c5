/**
 * bridge: connects containers to a bridge of the host by veth pairs.
 *
 *   ADD     make the bridge if need be, make the veth pair, configure its container side from IPAM
 *   DEL     delete the veth pair, then release the addresses; either may be gone already
 *   CHECK   bridge, both ends, addresses, routes and gateway are as ADD left them
 *   GC      delete what this network no longer owns, and its bridge with its last container
 *   STATUS  the bridge can take another port, and IPAM another address
 *
 * Reference: https://www.cni.dev/plugins/current/main/bridge/
 */
import validate from "../../generated/validate/bridge.js";
import {
  checkAddressesAvailable,
  releaseAddresses,
  releaseStaleAddresses,
} from "../../lib/addressed-interface.ts";
import { networkAlias } from "../../lib/alias.ts";
import {
  attachBridge,
  type BridgeSettings,
  checkBridge,
  checkBridgeAvailable,
  deleteOwnBridge,
  keepBridgeMac,
  whenUnused,
} from "../../lib/bridge.ts";
import { addBridgeGateways, checkBridgeGateways, gatewayLinkName } from "../../lib/bridge-gateway.ts";
import { type BridgePortSettings, checkPort, setUpPort } from "../../lib/bridge-port.ts";
import { awaitCarrier, awaitContainer } from "../../lib/carrier.ts";
import { chooseDns, requestedMac, requiredPrevResult } from "../../lib/cni/call.ts";
import { faultOfIfname } from "../../lib/cni/environment.ts";
import { invalidConfig } from "../../lib/cni/error.ts";
import { type Call, everyStep, type GcCall, type Plugin } from "../../lib/cni/plugin.ts";
import type { Result } from "../../lib/cni/result.ts";
import { ALL_VERSIONS } from "../../lib/cni/version.ts";
import { gatewayPrefixes, withGateways } from "../../lib/gateway.ts";
import {
  announceAddresses,
  checkInterface,
  checkLink,
  configureInterface,
  describeLink,
  failed,
} from "../../lib/interface.ts";
import { ipamAdd, ipamCheck } from "../../lib/ipam/delegate.ts";
import {
  addMasquerade,
  checkMasquerade,
  checkMasqueradeAvailable,
  deleteMasquerade,
  staleMasqueradeSteps,
} from "../../lib/masquerade/masquerade.ts";
import { verifyMtu } from "../../lib/mtu.ts";
import { hasVlans, type PortVlans, parseVlanTrunk } from "../../lib/port-vlan.ts";
import { IFALIAS_MAX, IFNAME_MAX, type Link, linkByName, setLink } from "../../lib/rtnetlink/link.ts";
import { openRouteSocket } from "../../lib/rtnetlink/route-socket.ts";
import { openSandbox, refuseExistingInterface } from "../../lib/sandbox.ts";
import {
  addSpoofCheck,
  checkSpoofCheck,
  deleteSpoofCheck,
  staleSpoofCheckSteps,
} from "../../lib/spoof-check.ts";
import { findHostEnd } from "../../lib/veth.ts";
import { createRecordedVeth, deleteVeth, recordVeth, staleVethSteps } from "../../lib/veth-attachment.ts";
import { type Config, schema } from "./schema.ts";

function verify(config: Config): void {
  const { name, bridge, mtu, vlan, hairpinMode, promiscMode, disableContainerInterface, ipam } = config;
  const fault = faultOfIfname(bridge);
  if (fault) throw invalidConfig(`invalid "bridge": ${JSON.stringify(bridge)} ${fault.msg}`, fault.details);
  if (networkAlias(name).length > IFALIAS_MAX) {
    const longest = IFALIAS_MAX - networkAlias("").length;
    throw invalidConfig("network name is too long", `"name" may have ${longest} characters`);
  }
  verifyMtu(mtu);
  if (hairpinMode && promiscMode) {
    throw invalidConfig("cannot set hairpin mode and promiscuous mode at the same time");
  }
  if (vlan !== 0 && parseVlanTrunk(config.vlanTrunk).length > 0) {
    throw invalidConfig("cannot set vlan and vlanTrunk at the same time");
  }
  if (isGateway(config) && gatewayLinkName(bridge, vlan).length > IFNAME_MAX) {
    throw invalidConfig(
      `"${gatewayLinkName(bridge, vlan)}" is too long for an interface`,
      'shorten "bridge"',
    );
  }
  if (disableContainerInterface && ipam.type) {
    throw invalidConfig("cannot use IPAM when DisableContainerInterface flag is set");
  }
}

function add(call: Call<Config>): Result {
  const { config, ifname, args } = call;
  const mac = requestedMac(config.runtimeConfig.mac, config.args.cni.mac, args["MAC"]);
  const sandbox = openSandbox(call);
  const { host, container } = sandbox;
  refuseExistingInterface(call, container);

  const hostName = recordVeth(call, "bridge", sandbox);
  const attached = attachBridge(call, host, bridgeSettings(config));
  const { bridge } = attached;
  createRecordedVeth(call, sandbox, { hostName, master: bridge.index, mac, mtu: config.mtu || undefined });
  keepBridgeMac(host, attached, config.name);
  setUpPort(host, hostName, portSettings(config));

  const inside = linkByName(container, ifname);
  const leased = config.ipam.type ? withGateways(ipamAdd(call), config) : undefined;
  const duplicateDetection = config.enabledad ? "complete" : "none";
  if (leased) configureInterface(sandbox, inside, leased, { duplicateDetection });
  else setLink(container, inside, { up: !config.disableContainerInterface });
  const gateways = isGateway(config) ? gatewayPrefixes(leased?.ips) : [];
  const gatewayLink = addBridgeGateways(host, attached, { ...gatewaySettings(config), gateways });
  addSpoofCheck(call, hostName, inside.mac);
  addMasquerade(call, gatewayLink.name, leased?.ips);

  const outside = config.disableContainerInterface
    ? linkByName(host, hostName)
    : awaitCarrier(host, hostName, { what: "bridge port" });
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

function del(call: Call<Config>): void {
  everyStep(
    // first: what the kernel then waits for passes while the link is deleted
    () => deleteMasquerade(call),
    () => deleteSpoofCheck(call),
    () => deleteVeth(call, "bridge", () => releaseAddresses(call)),
  );
}

function check(call: Call<Config>): void {
  const { config } = call;
  const prevResult = requiredPrevResult(call);
  const { interfaces = [], ips } = prevResult;
  if (config.ipam.type) ipamCheck(call);
  const sandbox = openSandbox(call);
  const { host } = sandbox;

  const given = (name: string) => interfaces.find((it) => it.name === name && !it.sandbox) ?? { name };
  const bridge = checkBridge(host, given(config.bridge), bridgeSettings(config));
  const expected = { kind: "veth", up: !config.disableContainerInterface };
  const inside = checkInterface(sandbox, { ...call, prevResult }, expected);
  const outside = findHostEnd(host, inside);
  if (outside?.master !== bridge.index)
    throw failed(`CNI veth created for bridge ${bridge.name} was not found`);
  checkPort(host, checkLink(host, given(outside.name)), portSettings(config));
  const gateways = isGateway(config) ? gatewayPrefixes(ips) : [];
  const gatewayLink = gatewayLinkName(config.bridge, config.vlan);
  checkBridgeGateways(host, gatewayLink, gateways);
  checkSpoofCheck(call, outside.name, inside.mac);
  checkMasquerade(call, gateways.length > 0 ? gatewayLink : config.bridge, ips);
}

function gc(call: GcCall<Config>): void {
  const { config, resources, validAttachments } = call;
  const host = resources.use(openRouteSocket());
  const deleteBridge = (bridge: Link) => deleteOwnBridge(host, bridge, config.name);
  everyStep(
    ...staleMasqueradeSteps(call),
    ...staleSpoofCheckSteps(call),
    ...staleVethSteps(call, "bridge", host),
    () => releaseStaleAddresses(call),
    () => validAttachments.length === 0 && whenUnused(host, bridgeSettings(config), deleteBridge),
  );
}

function status(call: Call<Config>): void {
  const { config, resources } = call;
  checkBridgeAvailable(resources.use(openRouteSocket()), bridgeSettings(config));
  checkMasqueradeAvailable(call);
  checkAddressesAvailable(call);
}

function bridgeSettings(config: Config): BridgeSettings {
  return {
    name: config.bridge,
    network: config.name,
    mtu: config.mtu || undefined,
    promiscuous: config.promiscMode,
    vlanFiltering: hasVlans(portVlans(config)),
  };
}

function portSettings(config: Config): BridgePortSettings {
  return { hairpin: config.hairpinMode, isolated: config.portIsolation, vlans: portVlans(config) };
}

function portVlans({ vlan, vlanTrunk, preserveDefaultVlan }: Config): PortVlans {
  return { access: vlan, trunk: parseVlanTrunk(vlanTrunk), preserveDefault: preserveDefaultVlan };
}

function gatewaySettings({ name, vlan, forceAddress }: Config) {
  return { network: name, vlanId: vlan, forceAddress };
}

function isGateway({ isGateway, isDefaultGateway }: Config): boolean {
  return isGateway || isDefaultGateway;
}

export const bridgePlugin: Plugin<Config> = {
  name: "bridge",
  versions: ALL_VERSIONS,
  schema,
  validate,
  argKeys: ["MAC"],
  verify,
  add,
  del,
  check,
  gc,
  status,
};
export default bridgePlugin;
