/**
 * static: gives a container the addresses that its configuration names.
 *
 *   ADD     answer with the addresses, routes and DNS settings
 *   DEL     nothing: it keeps nothing
 *   CHECK   the result has the configured addresses, with their gateways
 *   GC      nothing
 *   STATUS  the configuration has addresses that can be given
 *
 * Reference: https://www.cni.dev/plugins/current/ipam/static/
 */
import validate from "../../generated/validate/static.js";
import { requiredPrevResult } from "../../lib/cni/call.ts";
import { CniError, invalidConfig } from "../../lib/cni/error.ts";
import type { Call, Plugin } from "../../lib/cni/plugin.ts";
import type { IpConfig, Result } from "../../lib/cni/result.ts";
import { ALL_VERSIONS, atLeast } from "../../lib/cni/version.ts";
import { parseRoutes } from "../../lib/ipam/routes.ts";
import { type Address, formatAddress, parseAddress, sameAddress } from "../../lib/netaddr/address.ts";
import { containsAddress, type Prefix, parsePrefix } from "../../lib/netaddr/prefix.ts";
import { type Config, schema } from "./schema.ts";

type ConfiguredAddress = NonNullable<Config["ipam"]>["addresses"][number];

const REPLACING = "an entry in the 'ips' field is NOT in CIDR notation";

function add(call: Call<Config>): Result {
  const ips = configuredAddresses(call);
  return { ips, routes: parseRoutes(call.config.ipam?.routes ?? []), dns: call.config.ipam?.dns };
}

function check(call: Call<Config>): void {
  const { ips = [] } = requiredPrevResult(call);
  for (const { address, gateway } of configuredAddresses(call)) {
    const given = ips.find((ip) => sameAddress(ip.address.address, address.address));
    if (given && (!gateway || (given.gateway && sameAddress(given.gateway, gateway)))) continue;
    const text = `static: Failed to match addr ${formatAddress(address.address)} on interface ${call.ifname}`;
    throw new CniError(CniError.CHECK_FAILED, text);
  }
}

function status(call: Call<Config>): void {
  configuredAddresses(call);
}

/** Those of the capability; else the convention; else configuration and CNI_ARGS. @throws CniError */
function configuredAddresses({ config, args }: Call<Config>): IpConfig[] {
  const { cniVersion, ipam, runtimeConfig } = config;
  if (!ipam)
    throw invalidConfig("IPAM config missing 'ipam' key", 'set "ipam" with its "type" and "addresses"');
  const replacing = runtimeConfig.ips.length > 0 ? runtimeConfig.ips : config.args.cni.ips;
  const ips =
    replacing.length > 0
      ? replacing.map((text) => ({ address: parseCidr(text, REPLACING) }))
      : [...ipam.addresses.map(parseConfigured), ...argumentAddresses(args)];
  const families = new Set(ips.map(({ address }) => address.address.family));
  if (families.size < ips.length && !atLeast(cniVersion, "0.3.0")) {
    const text = `CNI version ${cniVersion} does not support more than 1 address per family`;
    throw invalidConfig(text, 'set "cniVersion" to 0.3.0 or later, or leave one address per family');
  }
  return ips;
}

function parseConfigured({ address, gateway }: ConfiguredAddress, index: number): IpConfig {
  return {
    address: parseCidr(address, "the 'address' field is expected to be in CIDR notation"),
    gateway: gateway ? parseGateway(gateway, `ipam.addresses[${index}].gateway`) : undefined,
  };
}

/** IP and GATEWAY of CNI_ARGS, both comma lists: a gateway is for the addresses in whose network it is. */
function argumentAddresses({ IP = "", GATEWAY = "" }: Call["args"]): IpConfig[] {
  const gateways = split(GATEWAY).map((text) => parseGateway(text, "GATEWAY in CNI_ARGS"));
  return split(IP).map((text) => {
    const address = parseCidr(text, "the 'ip' field is expected to be in CIDR notation");
    return { address, gateway: gateways.findLast((gateway) => containsAddress(address, gateway)) };
  });
}

function split(list: string): string[] {
  return list === "" ? [] : list.split(",").map((item) => item.trim());
}

function parseCidr(text: string, complaint: string): Prefix {
  try {
    return parsePrefix(text);
  } catch (cause) {
    throw new CniError(CniError.INVALID_NETWORK_CONFIG, `${complaint}, got: '${text}'`, { cause });
  }
}

function parseGateway(text: string, key: string): Address {
  try {
    return parseAddress(text);
  } catch (cause) {
    throw invalidConfig(
      `invalid gateway address: ${text}`,
      `${key}: ${cause instanceof Error ? cause.message : cause}`,
    );
  }
}

export const staticPlugin: Plugin<Config> = {
  name: "static",
  versions: ALL_VERSIONS,
  schema,
  validate,
  argKeys: ["IP", "GATEWAY"],
  add,
  del() {},
  check,
  gc() {},
  status,
};
export default staticPlugin;
