/** What an ADD or CHECK is to publish: its configuration, and where the plugins before put the container. */
import { attachmentName } from "../alias.ts";
import type { NetConf } from "../cni/config.ts";
import { invalidConfig } from "../cni/error.ts";
import type { Call } from "../cni/plugin.ts";
import type { Result } from "../cni/result.ts";
import { hostInterface } from "../host-interface.ts";
import { formatAddress, isUnspecified } from "../netaddr/address.ts";
import type { Prefix } from "../netaddr/prefix.ts";
import type { RouteSocket } from "../rtnetlink/route-socket.ts";
import { conditionsOf, type PublishConfig, parsePortMappings } from "./port-mappings.ts";
import type { Publication, PublishedPort } from "./publication.ts";

/** The reference's: Kubernetes has 14 and 15, Calico 20 to 31. */
const MARK_MASQ_BIT = 13;

/** @throws CniError 7 when a port cannot lead to this container */
export function describePublication(
  call: Call<NetConf & PublishConfig>,
  prevResult: Result,
  host: RouteSocket,
): Publication {
  const { config } = call;
  const addresses = containerAddresses(call, prevResult);
  const ports = parsePortMappings(config).filter((port) => canLead(port, addresses));
  if (ports.length === 0) throw invalidConfig("the container has no address to publish its ports of");
  const { v4, v6 } = conditionsOf(config);
  return {
    ...attachmentName(call),
    via: hostInterface(
      host,
      prevResult,
      addresses.map(({ address }) => address),
    ).name,
    addresses,
    ports,
    snat: config.snat,
    masqAll: config.snat && config.masqAll,
    markMasqBit: config.markMasqBit ?? MARK_MASQ_BIT,
    externalSetMarkChain: config.externalSetMarkChain,
    conditionsV4: v4,
    conditionsV6: v6,
  };
}

/** The first address of each family that the interface has. */
export function containerAddresses({ ifname }: Pick<Call, "ifname">, { interfaces, ips }: Result): Prefix[] {
  const own = (ips ?? []).filter((ip) => {
    const given = ip.interface === undefined ? undefined : interfaces?.[ip.interface];
    return given === undefined || (given.name === ifname && given.sandbox);
  });
  const first = (family: 4 | 6) => own.find(({ address }) => address.address.family === family)?.address;
  return [first(4), first(6)].filter((prefix) => prefix !== undefined);
}

/** Of a family that the container has no address of, any hostIP leads nowhere, and one is an error. */
function canLead({ hostIp, hostPort, protocol }: PublishedPort, addresses: readonly Prefix[]): boolean {
  if (!hostIp) return addresses.length > 0;
  if (addresses.some(({ address }) => address.family === hostIp.family)) return true;
  if (isUnspecified(hostIp)) return false;
  throw invalidConfig(
    `host port ${hostPort}/${protocol} cannot be published on ${formatAddress(hostIp)}`,
    `the container has no IPv${hostIp.family} address`,
  );
}
