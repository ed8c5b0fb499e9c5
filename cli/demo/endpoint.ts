/** One interface of a sandbox on a network, as `weft add` made it. */
import { type Interface, parseResult, type Result } from "../../lib/cni/result.ts";
import { formatPrefix } from "../../lib/netaddr/prefix.ts";
import { addressOf } from "./outside.ts";
import type { PictureBase } from "./picture.ts";

export interface Endpoint {
  readonly sandbox: string;
  readonly network: string;
  readonly ifname: string;
  readonly mac: string;
  /** As `ip addr` takes them: "172.17.0.2/16". */
  readonly addresses: readonly string[];
  /** What leads out of the sandbox: the host's end of the veth pair, or an interface of this kind. */
  readonly label: string;
  /** The interface of the host that it leads to. */
  readonly base: PictureBase;
  readonly result: Result;
}

export interface BridgeEndpoint extends Endpoint {
  /** The host's end of the veth pair. */
  readonly hostEnd: string;
  readonly bridge: string;
  readonly bridgeAddresses: readonly string[];
}

/** A veth pair whose host's end is no port of anything: the plugin ptp. */
export interface RoutedEndpoint extends Endpoint {
  readonly hostEnd: string;
  /** As the container names it: "10.17.0.1". */
  readonly gateway: string;
}

/** What names an endpoint. */
export type Where = Pick<Endpoint, "sandbox" | "network" | "ifname">;

type AddressesOf = (ifname: string) => readonly string[];

/** @param printed what `weft add` printed for a network of the bridge plugin */
export function readBridgeEndpoint(
  where: Where,
  printed: string,
  hostAddresses: AddressesOf,
): BridgeEndpoint {
  const result = parse(printed);
  const [bridge, hostEnd, inside] = result.interfaces ?? [];
  if (!bridge || !hostEnd || !inside) throw lacking(printed);
  const bridgeAddresses = hostAddresses(bridge.name);
  const own = {
    label: hostEnd.name,
    hostEnd: hostEnd.name,
    bridge: bridge.name,
    bridgeAddresses,
    base: { name: bridge.name, addresses: bridgeAddresses },
  };
  return { ...where, ...insideOf(inside, result), ...own };
}

/** @param printed what `weft add` printed for a network of the plugin ptp */
export function readRoutedEndpoint(
  where: Where,
  printed: string,
  hostAddresses: AddressesOf,
): RoutedEndpoint {
  const result = parse(printed);
  const [hostEnd, inside] = result.interfaces ?? [];
  if (!hostEnd || !inside) throw lacking(printed);
  const base = { name: hostEnd.name, addresses: hostAddresses(hostEnd.name) };
  const [gateway = ""] = base.addresses.map(addressOf);
  return { ...where, ...insideOf(inside, result), label: "│", hostEnd: hostEnd.name, gateway, base };
}

/** @param printed what `weft add` printed for a network of macvlan or ipvlan */
export function readUnderlayEndpoint(
  where: Where,
  printed: string,
  onHost: Pick<Endpoint, "label" | "base">,
): Endpoint {
  const result = parse(printed);
  const [inside] = result.interfaces ?? [];
  if (!inside) throw lacking(printed);
  return { ...where, ...insideOf(inside, result), ...onHost };
}

function parse(printed: string): Result {
  return parseResult(JSON.parse(printed), "1.1.0");
}

function lacking(printed: string): Error {
  return new Error(`the result lacks an interface: ${printed}`);
}

function insideOf({ mac = "" }: Interface, result: Result) {
  const addresses = (result.ips ?? []).map(({ address }) => formatPrefix(address));
  return { mac, addresses, result };
}
