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
import { attachmentAlias, networkAlias } from "../../lib/alias.ts";
import {
  adaptBridge,
  BRIDGE_PORTS_MAX,
  type BridgeSettings,
  createBridge,
  deleteOwnBridge,
  ensureGatewayAddress,
  findBridge,
  lockBridge,
  portsInUse,
  whenUnused,
} from "../../lib/bridge.ts";
import { chooseDns, requiredPrevResult, staleAttachments } from "../../lib/cni/call.ts";
import { CniError } from "../../lib/cni/error.ts";
import { type Call, everyStep, type GcCall, type Plugin } from "../../lib/cni/plugin.ts";
import type { IpConfig, Result } from "../../lib/cni/result.ts";
import { ALL_VERSIONS } from "../../lib/cni/version.ts";
import { enableForwarding, isForwarding } from "../../lib/forwarding.ts";
import { gatewayPrefixes, withGateways } from "../../lib/gateway.ts";
import { checkInterface, checkLink, configureInterface, describeLink, failed } from "../../lib/interface.ts";
import { ipamAdd, ipamCheck, ipamDel, ipamGc, ipamStatus } from "../../lib/ipam/delegate.ts";
import { parseMac } from "../../lib/netaddr/mac.ts";
import { formatPrefix, type Prefix, samePrefix } from "../../lib/netaddr/prefix.ts";
import { missingPortVlans, type PortVlans, parseVlanTrunk, setPortVlans } from "../../lib/port-vlan.ts";
import { deleteAddressIfThere, listAddresses } from "../../lib/rtnetlink/address.ts";
import {
  awaitRunning,
  deleteLinkIfThere,
  findLink,
  IFNAME_MAX,
  type Link,
  linkByName,
  setLink,
} from "../../lib/rtnetlink/link.ts";
import { openRouteSocket, type RouteSocket } from "../../lib/rtnetlink/route-socket.ts";
import { findSandbox, openSandbox, refuseExistingInterface } from "../../lib/sandbox.ts";
import {
  findRecord,
  listRecords,
  type RecordKey,
  removeRecord,
  writeRecord,
} from "../../lib/state/record.ts";
import {
  createVethPair,
  deleteHostEnd,
  deleteVethPair,
  findHostEnd,
  listHostEnds,
  randomVethName,
} from "../../lib/veth.ts";
import { type Config, schema } from "./schema.ts";

/** A veth has carrier as soon as both ends are up; the kernel's worker tells the bridge within milliseconds. */
const CARRIER_TIMEOUT_MS = 2_000;
/** BRIDGE_MODE_HAIRPIN (linux/if_bridge.h) as IFLA_BRPORT_MODE. */
const HAIRPIN = 1;

/** What the record keeps: where the host's side is. */
interface Details {
  readonly hostName: string;
}

function verify(config: Config): void {
  if (config.hairpinMode && config.promiscMode) {
    throw invalid("cannot set hairpin mode and promiscuous mode at the same time");
  }
  if (config.vlan !== 0 && parseVlanTrunk(config.vlanTrunk).length > 0) {
    throw invalid("cannot set vlan and vlanTrunk at the same time");
  }
  if (config.vlan !== 0 && isGateway(config) && vlanGatewayName(config).length > IFNAME_MAX) {
    throw invalid(`"${vlanGatewayName(config)}" is too long for an interface`, 'shorten "bridge"');
  }
  if (config.disableContainerInterface && config.ipam.type) {
    throw invalid("cannot use IPAM when DisableContainerInterface flag is set");
  }
  for (const key of ["ipMasq", "macspoofchk"] as const) {
    if (config[key])
      throw invalid(`"${key}": true is not supported by this version of weft`, `remove "${key}"`);
  }
}

function add(call: Call<Config>): Result {
  const { config, ifname, undo } = call;
  const mac = requestedMac(call);
  const sandbox = openSandbox(call);
  const { host, container, netns } = sandbox;
  refuseExistingInterface(call, container);
  refuseSecondAttachment(call, host);

  const hostName = randomVethName();
  undo.defer(() => removeRecord(recordKey(call)));
  writeRecord<Details>({ ...recordKey(call), netns: call.netnsPath, details: { hostName } });

  const attached = attachBridge(call, host);
  const { bridge } = attached;
  undo.defer(() => deleteVethPair({ host, container }, recordKey(call), hostName));
  const mtu = config.mtu || undefined;
  createVethPair(host, { hostName, master: bridge.index, name: ifname, netns, mac, mtu });
  const port = { mode: config.hairpinMode ? HAIRPIN : 0, isolated: config.portIsolation ? 1 : 0 };
  const alias = attachmentAlias(recordKey(call));
  setLink(host, { name: hostName }, { up: true, linkLocal: false, alias, port });
  if (isVlanAware(config)) setPortVlans(host, linkByName(host, hostName), portVlans(config));

  const inside = linkByName(container, ifname);
  const leased = config.ipam.type ? withGateways(ipamAdd(call), config) : undefined;
  if (leased) configureInterface(sandbox, inside, leased, { duplicateDetection: config.enabledad });
  else setLink(container, inside, { up: !config.disableContainerInterface });
  const gatewayLink = addGateways(call, host, { ...attached, ips: leased?.ips ?? [] });

  const outside = config.disableContainerInterface
    ? linkByName(host, hostName)
    : awaitRunning(host, hostName, CARRIER_TIMEOUT_MS);
  if (!outside)
    throw new CniError(CniError.INTERNAL, `bridge port in error state: "${hostName}" has no carrier`);

  const interfaces = [describeLink(bridge), describeLink(outside), describeLink(inside, call.netnsPath)];
  if (gatewayLink !== bridge) interfaces.push(describeLink(gatewayLink));
  return {
    ...leased,
    interfaces,
    ips: leased?.ips.map((ip) => ({ ...ip, interface: 2 })),
    dns: chooseDns(config.dns, leased?.dns),
  };
}

function del(call: Call<Config>): void {
  const key = recordKey(call);
  deleteVethPair(findSandbox(call), key, findRecord<Details>(key)?.details.hostName);
  if (call.config.ipam.type) ipamDel(call); // only now: the address was in use until the interface was gone
  removeRecord(key);
}

function check(call: Call<Config>): void {
  const { config } = call;
  const prevResult = requiredPrevResult(call);
  const { interfaces = [], ips = [] } = prevResult;
  if (config.ipam.type) ipamCheck(call);
  const sandbox = openSandbox(call);
  const { host } = sandbox;

  const given = (name: string) => interfaces.find((it) => it.name === name && !it.sandbox) ?? { name };
  const bridge = checkLink(host, given(config.bridge));
  if (bridge.kind !== "bridge") throw failed(`Interface ${bridge.name} does not have link type of bridge`);
  if (!bridge.up) throw failed(`Bridge interface ${bridge.name} is down`);
  if (bridge.promiscuous !== config.promiscMode) {
    const text = `configured Promisc Mode ${config.promiscMode} doesn't match current state: ${bridge.promiscuous}`;
    throw failed(`Bridge interface ${bridge.name} ${text}`);
  }

  const inside = checkInterface(
    sandbox,
    { ...call, prevResult },
    { kind: "veth", up: !config.disableContainerInterface },
  );
  const outside = findHostEnd(host, inside);
  if (outside?.master !== bridge.index)
    throw failed(`CNI veth created for bridge ${bridge.name} was not found`);
  checkLink(host, given(outside.name));
  checkPort(host, outside, config);
  if (isGateway(config)) checkGateways(host, config, gatewayPrefixes(ips));
}

function gc(call: GcCall<Config>): void {
  const { config, resources } = call;
  const host = resources.use(openRouteSocket());
  const records = staleAttachments(call, listRecords<Details>("bridge", config.name));
  const ends = staleAttachments(call, listHostEnds(host, config.name));
  everyStep(
    ...ends.map((end) => () => deleteHostEnd(host, end, end.hostName)),
    ...records.map((record) => () => {
      deleteHostEnd(host, record, record.details.hostName);
      removeRecord(record);
    }),
    () => config.ipam.type && ipamGc(call),
    () => {
      if (call.validAttachments.length > 0) return;
      whenUnused(host, bridgeSettings(config), (bridge) => deleteOwnBridge(host, bridge, config.name));
    },
  );
}

function status(call: Call<Config>): void {
  const { config, resources } = call;
  const host = resources.use(openRouteSocket());
  const bridge = findLink(host, config.bridge);
  if (bridge && bridge.kind !== "bridge") {
    throw new CniError(CniError.NOT_AVAILABLE, `"${config.bridge}" exists but is not a bridge`);
  }
  if (bridge && portsInUse(host, bridge, config.name).length >= BRIDGE_PORTS_MAX) {
    throw new CniError(
      CniError.NOT_AVAILABLE,
      `bridge "${config.bridge}" is full: it has ${BRIDGE_PORTS_MAX} ports`,
    );
  }
  if (config.ipam.type) ipamStatus(call);
}

interface AttachedBridge {
  readonly bridge: Link;
  /** What this ADD did to the bridge itself: taken back when it fails, unless others use the bridge by then. */
  readonly undoIfUnused: DisposableStack;
}

/** The bridge, made if need be, and kept there by a lock until this process ends. */
function attachBridge(call: Call<Config>, host: RouteSocket): AttachedBridge {
  const { config, resources, undo } = call;
  const settings = bridgeSettings(config);
  const lock = resources.use(lockBridge(settings.name, { shared: true }));
  const undoIfUnused = new DisposableStack();
  undo.defer(() => {
    lock[Symbol.dispose]();
    whenUnused(host, settings, () => undoIfUnused.dispose());
  });
  const existing = findBridge(host, settings.name);
  if (existing) return { bridge: adaptBridge(host, existing, settings), undoIfUnused };
  undoIfUnused.defer(() => deleteOwnBridge(host, linkByName(host, settings.name), settings.network));
  return { bridge: createBridge(host, settings), undoIfUnused };
}

/** Gives the host the gateways' addresses. @returns the link that has them: the bridge, or its end in the VLAN */
function addGateways(
  { config }: Call<Config>,
  host: RouteSocket,
  { bridge, undoIfUnused, ips }: AttachedBridge & { ips: readonly IpConfig[] },
): Link {
  const gateways = isGateway(config) ? gatewayPrefixes(ips) : [];
  if (gateways.length === 0) return bridge;
  const link = config.vlan === 0 ? bridge : ensureVlanGateway(config, host, { bridge, undoIfUnused });
  for (const gateway of gateways) {
    if (!ensureGatewayAddress(host, link, gateway, { force: config.forceAddress })) continue;
    undoIfUnused.defer(() => deleteAddressIfThere(host, link, gateway));
  }
  for (const family of new Set(gateways.map(({ address }) => address.family))) enableForwarding(host, family);
  return link;
}

/** A veth pair within the host: one end a port of the VLAN, the other, NAME.VLAN, the host's own interface in it. */
function ensureVlanGateway(
  config: Config,
  host: RouteSocket,
  { bridge, undoIfUnused }: AttachedBridge,
): Link {
  const name = vlanGatewayName(config);
  const existing = findLink(host, name);
  if (existing) return existing;
  undoIfUnused.defer(() => deleteLinkIfThere(host, name));
  const hostName = randomVethName();
  const alias = networkAlias(config.name);
  createVethPair(host, {
    hostName,
    master: bridge.index,
    name,
    netns: undefined,
    mac: undefined,
    mtu: bridge.mtu,
  });
  setLink(host, { name: hostName }, { up: true, linkLocal: false, alias });
  setPortVlans(host, linkByName(host, hostName), portVlans(config));
  setLink(host, { name }, { up: true, alias });
  return linkByName(host, name);
}

function checkPort(host: RouteSocket, { name, up, port }: Link, config: Config): void {
  if (!up) throw failed(`Interface ${name} is down`);
  const hairpin = port?.mode === HAIRPIN;
  if (hairpin !== config.hairpinMode)
    throw failed(`Interface ${name} has hairpin mode ${hairpin}, not ${config.hairpinMode}`);
  const isolated = port?.isolated === 1;
  if (isolated !== config.portIsolation)
    throw failed(`Interface ${name} has isolation ${isolated}, not ${config.portIsolation}`);
  if (!isVlanAware(config)) return;
  const missing = missingPortVlans(host, linkByName(host, name), portVlans(config));
  if (missing.length > 0) throw failed(`Interface ${name} lacks VLAN ${missing.join(", ")}`);
}

function checkGateways(host: RouteSocket, config: Config, gateways: readonly Prefix[]): void {
  const link = checkLink(host, { name: config.vlan === 0 ? config.bridge : vlanGatewayName(config) });
  const held = listAddresses(host, link);
  for (const gateway of gateways) {
    if (!held.some(({ prefix }) => samePrefix(prefix, gateway))) {
      throw failed(`Gateway address ${formatPrefix(gateway)} not found on ${link.name}`);
    }
    const { family } = gateway.address;
    if (!isForwarding(family)) throw failed(`IPv${family} forwarding is off`);
  }
}

/** The runtime's MAC goes before the convention's, that before CNI_ARGS. @throws CniError 7 */
function requestedMac({ config, args }: Call<Config>): Uint8Array | undefined {
  const text = config.runtimeConfig.mac || config.args.cni.mac || args["MAC"];
  if (!text) return undefined;
  try {
    return parseMac(text);
  } catch (cause) {
    throw new CniError(CniError.INVALID_NETWORK_CONFIG, `invalid "mac": ${JSON.stringify(text)}`, { cause });
  }
}

/** An ADD for an attachment that has its interface in another namespace would lose track of that one. */
function refuseSecondAttachment(call: Call<Config>, host: RouteSocket): void {
  const record = findRecord<Details>(recordKey(call));
  if (!record || !findLink(host, record.details.hostName)) return;
  const { containerId, ifname, config } = call;
  throw new CniError(
    CniError.INVALID_ENVIRONMENT,
    `container "${containerId}" already has "${ifname}" on network "${config.name}"`,
    { details: `it is in "${record.netns}", with "${record.details.hostName}" on the host; run DEL first` },
  );
}

function recordKey({ config, containerId, ifname }: Call<Config>): RecordKey {
  return { plugin: "bridge", network: config.name, containerId, ifname };
}

function bridgeSettings(config: Config): BridgeSettings {
  return {
    name: config.bridge,
    network: config.name,
    mtu: config.mtu || undefined,
    promiscuous: config.promiscMode,
    vlanFiltering: isVlanAware(config),
  };
}

function isGateway({ isGateway, isDefaultGateway }: Config): boolean {
  return isGateway || isDefaultGateway;
}

function isVlanAware({ vlan, vlanTrunk }: Config): boolean {
  return vlan !== 0 || vlanTrunk.length > 0;
}

function portVlans({ vlan, vlanTrunk, preserveDefaultVlan }: Config): PortVlans {
  return { access: vlan, trunk: parseVlanTrunk(vlanTrunk), preserveDefault: preserveDefaultVlan };
}

function vlanGatewayName({ bridge, vlan }: Config): string {
  return `${bridge}.${vlan}`;
}

function invalid(message: string, details = ""): CniError {
  return new CniError(CniError.INVALID_NETWORK_CONFIG, message, { details });
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
