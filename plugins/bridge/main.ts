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
import { verifyNetworkName } from "../../lib/alias.ts";
import {
  attachBridge,
  type BridgeSettings,
  deleteOwnBridge,
  keepBridgeMac,
  whenUnused,
} from "../../lib/bridge.ts";
import { gatewayLinkName } from "../../lib/bridge-gateway.ts";
import {
  attachToBridge,
  type BridgedSettings,
  checkAttachable,
  checkAttachment,
  detachFromBridge,
  isGateway,
  staleAttachmentSteps,
} from "../../lib/bridged/attachment.ts";
import { requestedMac } from "../../lib/cni/call.ts";
import { faultOfIfname } from "../../lib/cni/environment.ts";
import { invalidConfig } from "../../lib/cni/error.ts";
import { type Call, everyStep, type GcCall, type Plugin } from "../../lib/cni/plugin.ts";
import type { Result } from "../../lib/cni/result.ts";
import { ALL_VERSIONS } from "../../lib/cni/version.ts";
import { verifyMtu } from "../../lib/mtu.ts";
import { hasVlans, type PortVlans, parseVlanTrunk } from "../../lib/port-vlan.ts";
import { IFNAME_MAX, type Link } from "../../lib/rtnetlink/link.ts";
import { openRouteSocket } from "../../lib/rtnetlink/route-socket.ts";
import { openSandbox, refuseExistingInterface } from "../../lib/sandbox.ts";
import { createRecordedVeth, recordVeth } from "../../lib/veth-attachment.ts";
import { type Config, schema } from "./schema.ts";

function verify(config: Config): void {
  const { name, bridge, mtu, vlan, hairpinMode, promiscMode, disableContainerInterface, ipam } = config;
  const fault = faultOfIfname(bridge);
  if (fault) throw invalidConfig(`invalid "bridge": ${JSON.stringify(bridge)} ${fault.msg}`, fault.details);
  verifyNetworkName(name);
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
  const { config, args } = call;
  const mac = requestedMac(config.runtimeConfig.mac, config.args.cni.mac, args["MAC"]);
  const sandbox = openSandbox(call);
  const { host, container } = sandbox;
  refuseExistingInterface(call, container);

  const hostName = recordVeth(call, "bridge", sandbox);
  const attached = attachBridge(call, host, bridgeSettings(config));
  const { index: master } = attached.bridge;
  createRecordedVeth(call, sandbox, { hostName, master, mac, mtu: config.mtu || undefined });
  keepBridgeMac(host, attached, config.name);
  return attachToBridge(call, sandbox, { attached, hostName }, settingsOf(config));
}

function del(call: Call<Config>): void {
  detachFromBridge(call, "bridge");
}

function check(call: Call<Config>): void {
  checkAttachment(call, settingsOf(call.config));
}

function gc(call: GcCall<Config>): void {
  const { config, resources, validAttachments } = call;
  const host = resources.use(openRouteSocket());
  const deleteBridge = (bridge: Link) => deleteOwnBridge(host, bridge, config.name);
  everyStep(
    ...staleAttachmentSteps(call, "bridge", host),
    () => validAttachments.length === 0 && whenUnused(host, bridgeSettings(config), deleteBridge),
  );
}

function status(call: Call<Config>): void {
  checkAttachable(call, call.resources.use(openRouteSocket()), bridgeSettings(call.config));
}

function settingsOf(config: Config): BridgedSettings {
  const { vlan: vlanId, hairpinMode, portIsolation, disableContainerInterface } = config;
  return {
    bridge: bridgeSettings(config),
    port: { hairpin: hairpinMode, isolated: portIsolation, vlans: portVlans(config) },
    vlanId,
    isUp: !disableContainerInterface,
  };
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

function portVlans({ vlan, vlanTrunk, preserveDefaultVlan }: Config): PortVlans {
  return { access: vlan, trunk: parseVlanTrunk(vlanTrunk), preserveDefault: preserveDefaultVlan };
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
