/** A container's interface and its IPAM plugin: what every plugin that makes one does with the addresses. */
import { chooseDns, requiredPrevResult } from "./cni/call.ts";
import type { Call, GcCall } from "./cni/plugin.ts";
import type { Result } from "./cni/result.ts";
import { type AddressOptions, checkInterface, configureInterface, describeLink, setUp } from "./interface.ts";
import { ipamAdd, ipamCheck, ipamDel, ipamGc, ipamStatus } from "./ipam/delegate.ts";
import type { Link } from "./rtnetlink/link.ts";
import type { Sandbox } from "./sandbox.ts";

/**
 * Gets the interface its addresses, unless they are given, and sets it up with them; without IPAM it is just
 * set up. @returns what ADD answers
 */
export function addressInterface(
  call: Call,
  sandbox: Sandbox,
  link: Link,
  { leased: given, ...options }: AddressOptions & { readonly leased?: Result | undefined },
): Result {
  const { config, netnsPath } = call;
  const leased = given ?? (config.ipam?.type ? ipamAdd(call) : undefined);
  if (leased) configureInterface(sandbox, link, leased, options);
  else setUp(sandbox.container, link);
  return {
    interfaces: [describeLink(link, netnsPath)],
    ips: leased?.ips?.map((ip) => ({ ...ip, interface: 0 })),
    routes: leased?.routes,
    dns: chooseDns(config.dns, leased?.dns),
  };
}

/**
 * @throws CniError that says what is not as ADD left it: the lease, the interface, its addresses, its routes
 */
export function checkAddressedInterface(call: Call, sandbox: Sandbox, expected: { kind?: string }): Link {
  const prevResult = requiredPrevResult(call);
  if (call.config.ipam?.type) ipamCheck(call);
  return checkInterface(sandbox, { ...call, prevResult }, { ...expected, up: true });
}

/** DEL: gives the addresses back. */
export function releaseAddresses(call: Call): void {
  if (call.config.ipam?.type) ipamDel(call);
}

/** GC: gives those back that no attachment of the network has any more. */
export function releaseStaleAddresses(call: GcCall): void {
  if (call.config.ipam?.type) ipamGc(call);
}

/** STATUS: there is another address to be had. */
export function checkAddressesAvailable(call: Call): void {
  if (call.config.ipam?.type) ipamStatus(call);
}
