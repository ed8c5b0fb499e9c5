/** Gateways of a network whose gateway is the host itself. */
import type { IpConfig, Result, Route } from "./cni/result.ts";
import { type Address, offsetAddress } from "./netaddr/address.ts";
import { networkOf, type Prefix, samePrefix } from "./netaddr/prefix.ts";
import { writeSysctlIfPresent } from "./sysctl.ts";

export interface GatewayOptions {
  /** An address that comes without a gateway takes the first of its subnet. */
  readonly isGateway: boolean;
  /** Every family gets a default route by its gateway, unless it has one. */
  readonly isDefaultGateway: boolean;
}

/** An IPAM result with the gateways and default routes that the options ask for. */
export function withGateways<R extends Pick<Result, "ips" | "routes">>(
  result: R,
  options: GatewayOptions,
): R & { readonly ips: readonly IpConfig[]; readonly routes: readonly Route[] } {
  const isGateway = options.isGateway || options.isDefaultGateway;
  const ips = (result.ips ?? []).map((ip) =>
    ip.gateway || !isGateway ? ip : { ...ip, gateway: firstOfSubnet(ip.address) },
  );
  const routes = [...(result.routes ?? [])];
  for (const { gateway } of options.isDefaultGateway ? ips : []) {
    // one without a gateway goes by the family's first, as the one made here would
    if (gateway && !routes.some((route) => isDefault(route, gateway))) {
      routes.push({ dst: { address: { family: gateway.family, value: 0n }, length: 0 }, gw: gateway });
    }
  }
  return { ...result, ips, routes };
}

/** The addresses the host needs in order to be the gateway of these, each once. */
export function gatewayPrefixes(ips: readonly IpConfig[] = []): Prefix[] {
  const prefixes: Prefix[] = [];
  for (const { address, gateway } of ips) {
    if (!gateway) continue;
    const prefix = { address: gateway, length: address.length };
    if (!prefixes.some((other) => samePrefix(prefix, other))) prefixes.push(prefix);
  }
  return prefixes;
}

/**
 * For an interface of the host that containers have as their gateway, before it is up: they do not advertise
 * routes to the host, and nobody has its link-local address, which is made from a MAC of its own. While that
 * waits for duplicate detection, the host asks for no neighbour there on behalf of what it forwards
 * (net/ipv6/ndisc.c, ndisc_send_ns).
 */
export function settleIpv6(name: string): void {
  writeSysctlIfPresent(`net/ipv6/conf/${name}/accept_ra`, "0");
  writeSysctlIfPresent(`net/ipv6/conf/${name}/accept_dad`, "0");
}

function firstOfSubnet(prefix: Prefix): Address {
  return offsetAddress(networkOf(prefix).address, 1);
}

function isDefault({ dst }: Route, { family }: Address): boolean {
  return dst.length === 0 && dst.address.family === family;
}
