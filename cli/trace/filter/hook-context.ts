/** What a rule can ask about, at one hook: the packet, where it is, and what the kernel around it knows. */
import type { Address } from "../../../lib/netaddr/address.ts";
import type { Tracked } from "./connection.ts";
import type { Frame, Packet } from "./packet.ts";

/** linux/netfilter.h NF_INET_*, NF_BR_*; the number of a netdev's ingress and egress is its own. */
export const HOOKS = { prerouting: 0, input: 1, forward: 2, output: 3, postrouting: 4 } as const;
export type HookName = keyof typeof HOOKS;

/** An interface as rules see it. */
export interface Device {
  readonly index: number;
  readonly name: string;
  /** rtnl_link_ops: "" of a physical one, which has no kind to be asked for. */
  readonly kind: string;
  readonly isLoopback: boolean;
}

/** The routes of the namespace, as rules ask for them. */
export interface RouteQuestions {
  /** RTN_*; of addresses on one device alone where one is given. */
  addressType(address: Address, device?: Device): number;
  /** The way to an address; only if it is the device, where one is given. */
  outDevice(address: Address, options: { mark?: number; only?: Device | undefined }): Device | undefined;
  /** The address that a packet to there gets as its source when it leaves by the device. */
  sourceOn(device: Device, destination: Address): Address | undefined;
}

export interface HookContext {
  readonly family: "ip" | "bridge" | "netdev";
  readonly hook: HookName | "ingress" | "egress";
  readonly packet: Packet;
  /** undefined where it has no Ethernet header yet. */
  readonly frame?: Frame | undefined;
  readonly iif?: Device | undefined;
  readonly oif?: Device | undefined;
  /** Of a packet that netfilter sees while it is bridged: the ports. */
  readonly bridgeIn?: Device | undefined;
  readonly bridgeOut?: Device | undefined;
  /** The bridges whose ports `iif` and `oif` are, in the family of bridges. */
  readonly bridgeOfIif?: Device | undefined;
  readonly bridgeOfOif?: Device | undefined;
  readonly mark: number;
  readonly tracked: Tracked;
  readonly routes: RouteQuestions;
  readonly now: Date;
}
