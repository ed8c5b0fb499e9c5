/**
 * vxlan: connects containers of several hosts to one network: a bridge on each host, VXLAN between them.
 *
 *   ADD     make the host's devices if need be, then what bridge makes; tell the store, if there is one
 *   DEL     delete the container's part, and the devices with this host's last container
 *   CHECK   devices, both ends, addresses, routes and gateway are as ADD left them
 *   GC      delete what this network no longer owns
 *   STATUS  the other hosts can be reached, the VNI is free, the store answers, IPAM has another address
 *
 * Reference: RFC 7348
 */
import validate from "../../generated/validate/vxlan.js";
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
import { Cleanup } from "../../lib/cni/cleanup.ts";
import { CniError, invalidConfig, recoded } from "../../lib/cni/error.ts";
import { type Call, everyStep, type GcCall, type Plugin } from "../../lib/cni/plugin.ts";
import type { Result } from "../../lib/cni/result.ts";
import { ALL_VERSIONS } from "../../lib/cni/version.ts";
import { ipamAdd } from "../../lib/ipam/delegate.ts";
import { formatMac } from "../../lib/netaddr/mac.ts";
import { announceContainer } from "../../lib/overlay/announce.ts";
import { checkDevices, checkDevicesAvailable } from "../../lib/overlay/check-devices.ts";
import {
  deviceNames,
  deviceSettings,
  findHostPart,
  recordDetails,
  verifyOverlay,
  wantedNetwork,
} from "../../lib/overlay/configuration.ts";
import { shareDevices } from "../../lib/overlay/devices.ts";
import { containerMac } from "../../lib/overlay/mac.ts";
import {
  checkMembership,
  checkOverlayAvailable,
  gcMembership,
  leaveOverlay,
  withdrawContainer,
} from "../../lib/overlay/membership.ts";
import {
  endpointOf,
  etcdSettings,
  formerEtcdSettings,
  joinWith,
  localCall,
  publishResult,
  recordedSubnets,
} from "../../lib/overlay/own-part.ts";
import { VXLAN_PLUGIN } from "../../lib/overlay/record.ts";
import { addressDevice, withPoolRoutes } from "../../lib/overlay/routed.ts";
import { openRouteSocket } from "../../lib/rtnetlink/route-socket.ts";
import { openSandbox, refuseExistingInterface } from "../../lib/sandbox.ts";
import { releaseSharedLinks, releaseStaleSharedLinks } from "../../lib/shared-link.ts";
import { createRecordedVeth, recordVeth } from "../../lib/veth-attachment.ts";
import { type Config, schema } from "./schema.ts";

function verify(config: Config): void {
  verifyOverlay(config);
  if (isGateway(config) && !config.ipam.type) {
    throw invalidConfig('"isGateway" needs "ipam": the gateway is the addresses\'');
  }
}

function add(call: Call<Config>): Result {
  const { config, args } = call;
  const mac = requestedMac(config.runtimeConfig.mac, config.args.cni.mac, args["MAC"]);
  const etcd = etcdSettings(config);
  const sandbox = openSandbox(call);
  const { host, container } = sandbox;
  refuseExistingInterface(call, container);

  const hostName = recordVeth(call, VXLAN_PLUGIN, sandbox, recordDetails(config));
  const part = findHostPart(host, config);
  const membership = etcd && joinWith(call, etcd, part);
  const settings = deviceSettings(config, part, { membership, host: etcd?.host });
  const { bridge, vxlan: device } = shareDevices(call, host, settings);
  const subnets = membership?.subnets ?? [];
  if (subnets.length > 0) addressDevice(host, device, subnets);
  createRecordedVeth(call, sandbox, { hostName, master: bridge.index, mac, mtu: device.mtu });

  const local = localCall(call, subnets);
  const pair = {
    attached: { bridge, undoIfUnused: new Cleanup() }, // it goes when nobody uses it, and all with it
    hostName,
    macFor: mac ? undefined : containerMac,
    lease: () => (subnets.length > 0 ? withPoolRoutes(ipamAdd(local), config.subnets) : ipamAdd(local)),
  };
  const result = attachToBridge(local, sandbox, pair, settingsOf(config));
  const inside = result.interfaces?.[2]?.mac ?? "";
  announceContainer(device, settings, inside, result.ips);
  if (etcd && membership) {
    publishResult(call, etcd, { membership, part, device, inside, ips: result.ips });
  }
  return result;
}

function del(call: Call<Config>): void {
  const etcd = formerEtcdSettings(call);
  detachFromBridge(localCall(call), VXLAN_PLUGIN, () =>
    everyStep(
      () => etcd && withdrawContainer(call, etcd),
      () => releaseSharedLinks(call),
      () => etcd && leaveOverlay(call, etcd),
    ),
  );
}

function check(call: Call<Config>): void {
  const { config, prevResult, resources } = call;
  const etcd = etcdSettings(config);
  const inside = checkAttachment(localCall(call), settingsOf(config));
  const host = resources.use(openRouteSocket());
  const settings = recoded(CniError.CHECK_FAILED, () =>
    deviceSettings(config, findHostPart(host, config), { host: etcd?.host }),
  );
  checkDevices(host, { inside, subnets: recordedSubnets(call) }, settings);
  if (etcd) checkMembership(call, etcd, endpointOf(formatMac(inside.mac), prevResult?.ips));
}

function gc(call: GcCall<Config>): void {
  const host = call.resources.use(openRouteSocket());
  const etcd = formerEtcdSettings(call);
  everyStep(
    ...staleAttachmentSteps(call, VXLAN_PLUGIN, host),
    () => releaseStaleSharedLinks(call, { hasBridge: true }),
    () => etcd && gcMembership(call, etcd),
    () => void etcdSettings(call.config),
  );
}

function status(call: Call<Config>): void {
  const { config, resources } = call;
  const etcd = etcdSettings(config);
  const host = resources.use(openRouteSocket());
  const { part, settings } = recoded(CniError.NOT_AVAILABLE, () => {
    const found = findHostPart(host, config);
    return { part: found, settings: deviceSettings(config, found) };
  });
  checkDevicesAvailable(host, part.underlay, settings);
  checkAttachable(localCall(call), host, settingsOf(config).bridge);
  if (etcd) checkOverlayAvailable(call, etcd, wantedNetwork(config, part));
}

function settingsOf(config: Config): BridgedSettings {
  const { name: network, mode, etcd, hairpinMode, portIsolation } = config;
  const { bridge: name, device } = deviceNames(config);
  return {
    bridge: { name, network, mtu: undefined, promiscuous: false, vlanFiltering: false },
    port: {
      hairpin: hairpinMode,
      isolated: portIsolation,
      // the store says where a MAC is; a port that learns would take it over from there
      pinned: etcd !== undefined && mode === "bridged",
      vlans: { access: 0, trunk: [], preserveDefault: true },
    },
    vlanId: 0,
    isUp: true,
    overlay: mode === "routed" ? device : undefined,
  };
}

export const vxlanPlugin: Plugin<Config> = {
  name: "vxlan",
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
export default vxlanPlugin;
