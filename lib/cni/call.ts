/** What plugins ask of a call. */
import { isUnicastMac, parseMac } from "../netaddr/mac.ts";
import { CniError } from "./error.ts";
import type { Call, GcCall } from "./plugin.ts";
import type { Dns, Result } from "./result.ts";

/** The result CHECK compares with. @throws CniError 7 when the runtime gave none */
export function requiredPrevResult({ prevResult }: Call): Result {
  if (prevResult) return prevResult;
  throw new CniError(CniError.INVALID_NETWORK_CONFIG, "required prevResult missing");
}

/** Those that the runtime did not name as valid. */
export function staleAttachments<A extends { containerId: string; ifname: string }>(
  { validAttachments }: GcCall,
  attachments: readonly A[],
): A[] {
  const valid = new Set(validAttachments.map(({ containerID, ifname }) => `${containerID}:${ifname}`));
  return attachments.filter(({ containerId, ifname }) => !valid.has(`${containerId}:${ifname}`));
}

/** The MAC that comes first among what was asked for; "" and undefined ask for none. @throws CniError 7 */
export function requestedMac(...candidates: readonly (string | undefined)[]): Uint8Array | undefined {
  const text = candidates.find((candidate) => candidate);
  if (!text) return undefined;
  const refuse = (options: { cause?: unknown; details?: string }) =>
    new CniError(CniError.INVALID_NETWORK_CONFIG, `invalid "mac": ${JSON.stringify(text)}`, options);
  let mac: Uint8Array;
  try {
    mac = parseMac(text);
  } catch (cause) {
    throw refuse({ cause });
  }
  if (!isUnicastMac(mac))
    throw refuse({ details: "an interface takes no multicast address, and not all zeros" });
  return mac;
}

/** The DNS settings of the configuration, where it has any; else those that came with the addresses. */
export function chooseDns(configured: Dns | undefined, leased: Dns | undefined): Dns | undefined {
  return configured && Object.keys(configured).length > 0 ? configured : leased;
}
