/**
 * The overlay networks that this host is in, with their devices: looked up when something has changed, kept
 * in order, and each with a keeper as long as its devices are there.
 */
import type { EtcdSettings } from "../lib/etcd/settings.ts";
import { type Address, formatAddress } from "../lib/netaddr/address.ts";
import { formatMac } from "../lib/netaddr/mac.ts";
import type { KernelEvent } from "../lib/overlay/kernel-events.ts";
import type { Link } from "../lib/rtnetlink/link.ts";
import type { RouteSocket } from "../lib/rtnetlink/route-socket.ts";
import type { EndpointValue, VtepValue } from "../lib/store/layout.ts";
import { mendAddresses, mendPort, restoreVxlan } from "./device-mending.ts";
import { Keeper } from "./keeper.ts";
import {
  devicesOf,
  downLinks,
  faultOfLinks,
  findLocalNetworks,
  findNetworkLinks,
  findRecordedEndpoint,
  type LocalNetwork,
  type NetworkLinks,
} from "./local-networks.ts";
import { type Log, wordsOf } from "./log.ts";
import type { Reconciler } from "./reconciler.ts";
import type { OwnNetwork } from "./registration.ts";
import { followUnderlay } from "./underlay-follower.ts";
import type { View } from "./view.ts";

/** After which a device that is gone is a fault: the last DEL removes its record a moment later. */
const GONE_SETTLE_MS = 1_000;

/** One network. */
interface HostNetwork {
  local: LocalNetwork;
  links: NetworkLinks;
  /** The VXLAN device as it last was. */
  seen: Link | undefined;
  /** What it sends from. */
  address: Address | undefined;
  /** Since when a device is gone, by performance.now(): while a DEL is at work that is as it should be. */
  goneSince: number | undefined;
  faults: string[];
}

export interface HostNetworksOptions {
  readonly settings: EtcdSettings;
  readonly log: Log;
  readonly reconciler: Reconciler;
  readonly view: View;
  /** This host is reached otherwise than before, or has another network. */
  readonly changed: () => void;
}

export class HostNetworks implements Disposable {
  readonly #socket: RouteSocket;
  readonly #options: HostNetworksOptions;
  readonly #networks = new Map<string, HostNetwork>();
  /** Looks again. */
  #again: ReturnType<typeof setTimeout> | undefined;
  /** What is wrong with records. */
  faults: readonly string[] = [];

  constructor(socket: RouteSocket, options: HostNetworksOptions) {
    this.#socket = socket;
    this.#options = options;
  }

  /** Looks at nothing any more. */
  [Symbol.dispose](): void {
    clearTimeout(this.#again);
  }

  /** Reads the records and looks at the devices. */
  refresh(): void {
    const { networks, faults } = findLocalNetworks(this.#options.settings);
    for (const fault of faults) if (!this.faults.includes(fault)) this.#options.log.warn(fault);
    this.faults = faults;
    for (const name of this.#networks.keys()) if (!networks.has(name)) this.#letGo(name);
    for (const [name, local] of networks) {
      const known = this.#networks.get(name);
      if (known) known.local = local;
      else this.#take(name, local);
    }
    this.refreshDevices();
  }

  /** Looks at the devices alone. */
  refreshDevices(): void {
    for (const network of this.#networks.values()) this.#refreshNetwork(network);
  }

  /** A container was published: its record may be the network's first. */
  published(name: string, attachment: string, endpoint: EndpointValue): void {
    const known = this.#networks.get(name);
    if (known && this.#options.reconciler.keepers.has(name)) {
      known.local = { ...known.local, endpoints: new Map(known.local.endpoints).set(attachment, endpoint) };
    } else this.refresh();
  }

  /** A container was withdrawn, though its record is still there. */
  withdrawn(name: string, attachment: string): void {
    const known = this.#networks.get(name);
    if (!known) return;
    const endpoints = new Map(known.local.endpoints);
    endpoints.delete(attachment);
    known.local = { ...known.local, endpoints };
  }

  /** Whether a container is one of this host's, as far as is known. */
  has(name: string, attachment: string): boolean {
    return this.#networks.get(name)?.local.endpoints.has(attachment) ?? false;
  }

  /** Whether the container's record, as it is now, says so; else it is withdrawn. */
  isThere(name: string, attachment: string, endpoint: EndpointValue): boolean {
    const recorded = findRecordedEndpoint(name, attachment);
    const isSame = recorded && JSON.stringify(recorded) === JSON.stringify(endpoint);
    if (!isSame) this.withdrawn(name, attachment);
    return isSame ?? false;
  }

  /** A DEL has taken this host out of the network, if that was its last container. */
  left(name: string, attachment: string): void {
    this.withdrawn(name, attachment);
    if (this.#networks.get(name)?.local.endpoints.size === 0) this.#letGo(name);
  }

  /** Whether neighbours and forwarding entries of a device are ours to keep. */
  counts(ifindex: number): boolean {
    for (const { devices } of this.#options.reconciler.keepers.values()) {
      if (devices.vxlan === ifindex || devices.bridge === ifindex) return true;
    }
    return false;
  }

  /** Something happened to a link: one of ours is compared when it was not up all the time. */
  linkChanged({ ifindex, name, isUp }: Extract<KernelEvent, { what: "link" }>): void {
    for (const network of this.#networks.values()) {
      const { local, links } = network;
      const isOurs =
        [local.device, local.bridge].includes(name) ||
        [links.vxlan?.index, links.bridge?.index].includes(ifindex);
      if (!isOurs) continue;
      const before = stateOf(links);
      this.#refreshNetwork(network);
      if (!isUp || before !== stateOf(network.links)) {
        this.#options.reconciler.compare(`link ${name} changed`, local.name);
      }
    }
  }

  /** What of this host has to be in the store. */
  own(): OwnNetwork[] {
    return [...this.#networks.values()].map(({ local, links, address }) => {
      const { name, endpoints, mode, subnets } = local;
      const mac = links.vxlan && formatMac(links.vxlan.mac);
      const routed = mode === "routed" && mac !== undefined ? { mac, subnets } : {};
      const vtep: VtepValue | undefined = address && { address: formatAddress(address), ...routed };
      return { name, vtep: links.vxlan && vtep, endpoints };
    });
  }

  /** Each network, what it is reached at, and what is wrong with it. */
  list(): { local: LocalNetwork; address: string | undefined; faults: string[] }[] {
    return [...this.#networks.values()].map(({ local, links, address, faults }) => ({
      local,
      address: address && formatAddress(address),
      faults: [...faults, ...downLinks(links).map((name) => `"${name}" is down`)],
    }));
  }

  #take(name: string, local: LocalNetwork): void {
    this.#options.log.info("network joined", { network: name, vni: local.vni, mode: local.mode });
    const links = { vxlan: undefined, bridge: undefined };
    this.#networks.set(name, {
      local,
      links,
      seen: undefined,
      address: undefined,
      goneSince: undefined,
      faults: [],
    });
  }

  /** Its last container has gone, and its devices with it. */
  #letGo(name: string): void {
    this.#options.log.info("network left", { network: name });
    this.#networks.delete(name);
    this.#options.reconciler.keepers.delete(name);
    this.#options.changed();
  }

  #refreshNetwork(network: HostNetwork): void {
    const { log } = this.#options;
    const { local } = network;
    const faults: string[] = [];
    const addressBefore = network.address;
    network.links = findNetworkLinks(this.#socket, local);
    try {
      this.#mend(network);
    } catch (error) {
      faults.push(`cannot mend the devices: ${wordsOf(error)}`);
    }
    const fault = faultOfLinks(local, network.links);
    if (fault && this.#isGoneForGood(network)) faults.push(fault);
    if (!fault) network.goneSince = undefined;
    const { address, fault: unfollowed } = followUnderlay(this.#socket, local, { links: network.links, log });
    if (unfollowed) faults.push(unfollowed);
    network.address = address;
    network.seen = network.links.vxlan ?? network.seen;
    for (const each of faults) {
      if (!network.faults.includes(each)) log.error(each, { network: local.name });
    }
    network.faults = faults;
    this.#refreshKeeper(network);
    if (textOf(addressBefore) !== textOf(address)) this.#options.changed();
  }

  #isGoneForGood(network: HostNetwork): boolean {
    const now = performance.now();
    network.goneSince ??= now;
    if (now - network.goneSince >= GONE_SETTLE_MS) return true;
    this.#again ??= setTimeout(() => {
      this.#again = undefined;
      this.refresh();
    }, GONE_SETTLE_MS);
    return false;
  }

  #mend(network: HostNetwork): void {
    const { local, links, seen } = network;
    const { log } = this.#options;
    const { bridge } = links;
    if (!links.vxlan && bridge && seen && restoreVxlan(this.#socket, local, { bridge, seen })) {
      log.warn("the VXLAN device was gone: it was made again", { network: local.name, device: local.device });
      network.links = findNetworkLinks(this.#socket, local);
    } else if (mendPort(this.#socket, local, { links, seen })) {
      log.warn("the bridge's port was not as it has to be: it was mended", {
        network: local.name,
        device: local.device,
        bridge: local.bridge,
      });
      network.links = findNetworkLinks(this.#socket, local);
    }
    if (!mendAddresses(this.#socket, local, network.links)) return;
    log.info("the VXLAN device was given its addresses", { network: local.name, device: local.device });
    // the kernel takes routes along with an address, and tells nobody
    this.#options.reconciler.compare("addresses were missing", local.name);
  }

  /** Has a keeper be there for the devices that are there. */
  #refreshKeeper({ local, links }: HostNetwork): void {
    const { reconciler, settings, view } = this.#options;
    const { name } = local;
    const devices = devicesOf(local, links);
    const keeper = reconciler.keepers.get(name);
    if (!devices) {
      reconciler.keepers.delete(name);
      return;
    }
    if (keeper && isSameDevices(keeper.devices, devices)) return;
    const fresh = new Keeper(name, devices, settings.host);
    reconciler.keepers.set(name, fresh);
    if (view.revision === undefined) return; // what there is stays until the store has been heard
    fresh.rebuild(view.network(name));
    reconciler.compare("new devices", name);
  }
}

function isSameDevices(a: Keeper["devices"], b: Keeper["devices"]): boolean {
  const text = ({ mode, vxlan, bridge, gateways }: typeof a) =>
    [mode, vxlan, bridge, ...gateways.map(formatAddress)].join(" ");
  return text(a) === text(b);
}

function stateOf({ vxlan, bridge }: NetworkLinks): string {
  return [vxlan, bridge].map((link) => link && [link.index, link.master, link.up, link.running]).join(" ");
}

function textOf(address: Address | undefined): string {
  return address ? formatAddress(address) : "";
}
