/**
 * What is kept in the store, under which keys (docs/overlay.md). Every value is JSON with its version `v`;
 * one of another version is not ours to read. Under overlay/ it is taken for none, elsewhere it is in the
 * way.
 *
 *     <prefix>/v1/networks/<network>                                  what its hosts agree on
 *     <prefix>/v1/vnis/<vni>                                          whose the number is
 *     <prefix>/v1/subnets/<network>/<subnet>                          which host has it (mode routed)
 *     <prefix>/v1/addresses/<network>/<address>                       which attachment has it
 *     <prefix>/v1/holders/<host>/<network>/<attachment>/<address>     the same, by who has it
 *     <prefix>/v1/overlay/hosts/<host>                                that its agent lives; with a lease
 *     <prefix>/v1/overlay/vteps/<network>/<host>                      how it is reached; with that lease
 *     <prefix>/v1/overlay/endpoints/<network>/<host>/<attachment>     a container's addresses and MAC
 *
 * An attachment is <containerId>:<ifname>. None of the parts can hold a "/" (CNI spec 1.1 §2); in a subnet it
 * is written as "-".
 */

import type { Family } from "../netaddr/address.ts";

/** Of every value. */
export const LAYOUT_VERSION = 1;

/** networks/<network> */
export interface NetworkValue {
  readonly vni: number;
  readonly mode: OverlayMode;
  /** UDP. */
  readonly port: number;
  /** Of the hosts' addresses: IPv4 or IPv6. */
  readonly family: Family;
  /** Bytes, of the containers' interfaces. */
  readonly mtu: number;
  /** Mode routed: what the hosts lease their subnets of. */
  readonly subnets?: readonly SubnetPool[];
}

/** Subnets of `/hostLength`, one of them a host: { subnet: "10.5.0.0/16", hostLength: 24 }. */
export interface SubnetPool {
  readonly subnet: string;
  readonly hostLength: number;
}

/** One segment over all hosts, or a subnet for each host and routes between them. */
export type OverlayMode = "bridged" | "routed";

/** vnis/<vni> */
export interface VniValue {
  readonly network: string;
}

/** subnets/<network>/<subnet> */
export interface SubnetValue {
  readonly host: string;
}

/** addresses/<network>/<address> */
export interface AddressValue {
  readonly host: string;
  readonly containerId: string;
  readonly ifname: string;
  /** Which ADD, and which call of it, so that one which does not know whether it succeeded can tell. */
  readonly attempt: string;
  /** /etc/machine-id of the host: another machine of that name releases nothing of this one. */
  readonly machine: string;
}

/** overlay/hosts/<host> */
export interface HostValue {
  /** /etc/machine-id: two machines must not have one name. */
  readonly machine: string;
  readonly bootId: string;
}

/** overlay/vteps/<network>/<host> */
export interface VtepValue {
  /** Where packets for its containers are sent. */
  readonly address: string;
  /** Mode routed: the MAC of its VXLAN device, and the subnets behind it, with the gateway in each. */
  readonly mac?: string;
  readonly subnets?: readonly { readonly subnet: string; readonly gateway: string }[];
}

/** overlay/endpoints/<network>/<host>/<attachment> */
export interface EndpointValue {
  readonly mac: string;
  /** Without prefix length. */
  readonly addresses: readonly string[];
}

/** An attachment in a key. */
export function attachmentKey({ containerId, ifname }: { containerId: string; ifname: string }): string {
  return `${containerId}:${ifname}`;
}

/** "c1 eth0 of host node-a" */
export function formatHolder({ containerId, ifname, host }: AddressValue): string {
  return `${containerId} ${ifname} of host ${host}`;
}

/** The keys under a prefix. What ends with "/" is the beginning of many. */
export function storeKeys(prefix: string) {
  const root = `${prefix}/v${LAYOUT_VERSION}`;
  const overlay = `${root}/overlay`;
  return {
    networks: `${root}/networks/`,
    network: (network: string) => `${root}/networks/${network}`,
    vni: (vni: number) => `${root}/vnis/${vni}`,
    subnets: (network: string) => `${root}/subnets/${network}/`,
    subnet: (network: string, subnet: string) => `${root}/subnets/${network}/${subnet.replace("/", "-")}`,
    addresses: (network: string) => `${root}/addresses/${network}/`,
    address: (network: string, address: string) => `${root}/addresses/${network}/${address}`,
    /** Of a host; of a network on it; of an attachment to that. */
    holders: (host: string, network?: string, attachment?: string) =>
      [`${root}/holders`, host, network, attachment, ""].filter((part) => part !== undefined).join("/"),
    overlay: `${overlay}/`,
    hosts: `${overlay}/hosts/`,
    host: (host: string) => `${overlay}/hosts/${host}`,
    vteps: (network: string) => `${overlay}/vteps/${network}/`,
    vtep: (network: string, host: string) => `${overlay}/vteps/${network}/${host}`,
    endpoints: (network: string, host?: string) =>
      `${overlay}/endpoints/${network}/${host === undefined ? "" : `${host}/`}`,
    endpoint: (network: string, host: string, attachment: string) =>
      `${overlay}/endpoints/${network}/${host}/${attachment}`,
  };
}

export type StoreKeys = ReturnType<typeof storeKeys>;

/** A value as it is kept. */
export function encodeValue(value: object): string {
  return JSON.stringify({ v: LAYOUT_VERSION, ...value });
}

/** A value of this version; undefined for any other text. */
export function decodeValue<T extends object>(text: string): T | undefined {
  try {
    const value = JSON.parse(text);
    // Written by encodeValue() under the key that says which kind it is.
    return value?.v === LAYOUT_VERSION ? (value as T) : undefined;
  } catch {
    return undefined;
  }
}
