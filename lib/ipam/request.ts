/** Addresses that are asked for by name: in CNI_ARGS, by the convention, by the capability. */
import { invalidConfig } from "../cni/error.ts";
import { type Address, formatAddress, parseAddress, sameAddress } from "../netaddr/address.ts";
import { parsePrefix } from "../netaddr/prefix.ts";
import {
  findRange,
  formatRangeSet,
  isReserved,
  parseRangeSets,
  type RangeConfig,
  type RangeSet,
} from "./ranges.ts";
import { cannotLease, notAvailableText } from "./refusal.ts";

/** What they are asked for with. */
interface LeasingCall {
  /** CNI_ARGS, of which IP is understood. */
  readonly args: Readonly<Record<string, string>>;
  readonly config: RangeConfig & {
    readonly args: { readonly cni: { readonly ips: readonly string[] } };
    readonly runtimeConfig: RangeConfig["runtimeConfig"] & { readonly ips: readonly string[] };
  };
}

/** What an ADD is to lease of a set of ranges: the address asked for, or else the next. */
export interface Wanted {
  readonly set: RangeSet;
  readonly index: number;
  readonly requested: Address | undefined;
}

/** What is to be leased of each set. @throws CniError 7 */
export function wantedAddresses(call: LeasingCall): readonly Wanted[] {
  return assignRequests(requestedAddresses(call), parseRangeSets(call.config));
}

/** @throws CniError 7 when nobody may have the address */
export function refuseReserved(requested: Address, { set, index }: Wanted): void {
  const range = findRange(set, requested);
  if (!range) return;
  const name = formatAddress(requested);
  if (sameAddress(requested, range.gateway)) {
    throw cannotLease(index, `requested ip ${name} is subnet's gateway`, { details: "ask for another" });
  }
  if (!isReserved(range, requested)) return;
  throw cannotLease(index, notAvailableText(name, set), {
    details: "it is the subnet's network or broadcast address",
  });
}

/** Gives each set the first of the addresses that is in it. @throws CniError when one is left over */
function assignRequests(addresses: readonly Address[], sets: readonly RangeSet[]): readonly Wanted[] {
  const rest = [...addresses];
  const wanted = sets.map((set, index) => {
    const at = rest.findIndex((address) => findRange(set, address));
    return { set, index, requested: at < 0 ? undefined : rest.splice(at, 1)[0] };
  });
  if (rest.length === 0) return wanted;
  const text = `failed to allocate all requested IPs: ${rest.map(formatAddress).join(" ")}`;
  throw invalidConfig(text, `each set of ranges gives one address: ${sets.map(formatRangeSet).join("; ")}`);
}

/** Each address once. @throws CniError that names the key */
function requestedAddresses({ args, config }: LeasingCall): Address[] {
  const texts = [
    ...(args["IP"] ? [{ key: "IP in CNI_ARGS", text: args["IP"] }] : []),
    ...config.args.cni.ips.map((text, i) => ({ key: `args.cni.ips[${i}]`, text })),
    ...config.runtimeConfig.ips.map((text, i) => ({ key: `runtimeConfig.ips[${i}]`, text })),
  ];
  const addresses = texts.map(({ key, text }) => {
    try {
      return text.includes("/") ? parsePrefix(text).address : parseAddress(text);
    } catch (cause) {
      throw invalidConfig(
        `invalid IP address ${text}`,
        `${key}: ${cause instanceof Error ? cause.message : cause}`,
      );
    }
  });
  return addresses.filter((address, i) => addresses.findIndex((other) => sameAddress(other, address)) === i);
}
