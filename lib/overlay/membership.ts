/**
 * What plugin vxlan has the store do for an attachment of a network with `etcd`: joining, publishing, and
 * both taken back. An ADD needs the agent and the store. A DEL does without: what it cannot take back is
 * released by the next sweep, because no record tells of it any more.
 */
import { attachmentName } from "../alias.ts";
import { CniError } from "../cni/error.ts";
import type { Call, GcCall } from "../cni/plugin.ts";
import type { EtcdSettings } from "../etcd/settings.ts";
import { type Address, parseAddress } from "../netaddr/address.ts";
import { type Prefix, parsePrefix } from "../netaddr/prefix.ts";
import { hasRecordsOf } from "../state/record.ts";
import { askStore } from "../store/ask.ts";
import type { EndpointValue, NetworkValue, VtepValue } from "../store/layout.ts";
import { machineId } from "../store/machine.ts";
import type { WantedNetwork } from "../store/networks.ts";
import { forgetSwept } from "../store/swept.ts";
import { VXLAN_PLUGIN } from "./record.ts";

export type { WantedNetwork } from "../store/networks.ts";

/** A network that this host is in. */
export interface Membership {
  /** What all its hosts have agreed on; its MTU is that of the containers' interfaces. */
  readonly network: NetworkValue;
  readonly mtu: number;
  /** Mode routed: this host's subnets, with its own address in each. */
  readonly subnets: readonly { readonly subnet: Prefix; readonly gateway: Address }[];
}

/**
 * Has the network be there, and this host in it. After the record was written, before any device is made.
 * Undone when ADD fails. `used` are subnets that containers of this host have addresses of, in mode routed.
 * @throws CniError 7 for a VNI of another network, other settings, an MTU that cannot fit, no machine-id; 11
 * when the agent or the store is away, or no subnet is free
 */
export function joinOverlay(
  call: Call,
  settings: EtcdSettings,
  { wanted, used }: { wanted: WantedNetwork; used: readonly string[] },
): Membership {
  machineId(); // no agent starts without: this says why there is none
  call.undo.defer(() => leaveOverlay(call, settings));
  const { network } = attachmentName(call);
  const joined = askStore(settings, "joinNetwork", { network, wanted, used }, { needsAgent: true });
  return {
    network: joined.network,
    mtu: joined.network.mtu,
    subnets: joined.subnets.map(({ subnet, gateway }) => ({
      subnet: parsePrefix(subnet),
      gateway: parseAddress(gateway),
    })),
  };
}

/**
 * Tells the other hosts of the container, and how this host is reached. When it returns, the agent has made
 * this host's entries of the network. Undone when ADD fails.
 * @throws CniError 11 when the agent or the store is away
 */
export function publishContainer(
  call: Call,
  settings: EtcdSettings,
  input: EndpointValue & { readonly membership: Membership; readonly vtep: VtepValue },
): void {
  call.undo.defer(() => withdrawContainer(call, settings));
  const { membership, mac, addresses, vtep } = input;
  const endpoint: EndpointValue = { mac, addresses };
  const question = { ...attachmentName(call), settings: membership.network, endpoint, vtep };
  askStore(settings, "publishEndpoint", question, { needsAgent: true });
}

/** DEL: the other hosts are to forget the container. Where the store is away the next sweep sees to it. */
export function withdrawContainer(call: Call, settings: EtcdSettings): void {
  orSwept(settings, () => askStore(settings, "withdrawEndpoint", attachmentName(call)));
}

/**
 * DEL, after the devices have gone with this host's last container: the host leaves the network, and with the
 * last host the network goes. Where another container is recorded, nothing.
 */
export function leaveOverlay(call: Call, settings: EtcdSettings): void {
  const { network, containerId, ifname } = attachmentName(call);
  const leaving = { containerId, ifname };
  if (hasRecordsOf(VXLAN_PLUGIN, network, leaving)) return; // asked there too, where an ADD may be meanwhile
  orSwept(settings, () => askStore(settings, "leaveNetwork", { network, leaving }));
}

/** @throws CniError 100 unless the store has the container so, and this host; 11 when it is away */
export function checkMembership(call: Call, settings: EtcdSettings, { mac, addresses }: EndpointValue): void {
  const endpoint: EndpointValue = { mac, addresses };
  askStore(settings, "checkEndpoint", { ...attachmentName(call), endpoint });
}

/** GC, when the records of what is stale are gone: their endpoints, and this host where it has none left. */
export function gcMembership(call: GcCall, settings: EtcdSettings): void {
  const network = call.config.name;
  const valid = call.validAttachments.map(({ containerID, ifname }) => ({
    containerId: containerID,
    ifname,
  }));
  askStore(settings, "gcEndpoints", { network, valid });
  if (valid.length === 0) askStore(settings, "leaveNetwork", { network });
}

/**
 * STATUS. @throws CniError 51 when the agent or the store is away; 50 where the network is another than this,
 * or there is no machine-id
 */
export function checkOverlayAvailable(call: Call, settings: EtcdSettings, wanted: WantedNetwork): void {
  try {
    machineId();
    askStore(settings, "probeNetwork", { network: call.config.name, wanted }, { needsAgent: true });
  } catch (error) {
    if (!(error instanceof CniError)) throw error;
    const { msg, details } = error;
    const isAway = error.code === CniError.TRY_AGAIN_LATER;
    throw new CniError(isAway ? CniError.NOT_AVAILABLE_AFFECTED : CniError.NOT_AVAILABLE, msg, { details });
  }
}

/** Takes something back, or has the next sweep do it: whatever the store said, the container is to go. */
function orSwept(settings: EtcdSettings, ask: () => void): void {
  try {
    ask();
  } catch (error) {
    if (!(error instanceof CniError)) throw error;
    forgetSwept(settings);
  }
}
