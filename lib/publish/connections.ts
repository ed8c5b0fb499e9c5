/**
 * Connections that the kernel tracks and that a published port is about. A client that goes on sending from
 * one port, as those of UDP do, is led by its connection and not by our rules, until that is forgotten.
 */
import {
  type Connection,
  type ConnectionFilter,
  deleteConnections,
  listConnections,
  PROTOCOL_NUMBERS,
} from "../conntrack/conntrack.ts";
import { type Address, type Family, formatAddress, isUnspecified, sameAddress } from "../netaddr/address.ts";
import type { NetfilterSocket } from "../netfilter/socket.ts";
import { routeTo } from "../rtnetlink/route.ts";
import type { RouteSocket } from "../rtnetlink/route-socket.ts";
import type { PortProtocol, Publication, PublishedPort } from "./publication.ts";

/** Those without a handshake that would begin anew. */
const LASTING: readonly PortProtocol[] = ["udp", "sctp"];

type Ports = Pick<Publication, "ports"> & { readonly addresses: readonly { readonly address: Address }[] };

/** ADD: forgets those to the ports that do not lead to the container, after its rules are in force. */
export function forgetOtherConnections(
  { netfilter, host }: { netfilter: NetfilterSocket; host: RouteSocket },
  { addresses, ports }: Ports,
): void {
  const isLocal = new Map<string, boolean>();
  const toThisHost = (address: Address): boolean => {
    const text = formatAddress(address);
    if (!isLocal.has(text)) isLocal.set(text, routeTo(host, address)?.isLocal ?? false);
    return isLocal.get(text) ?? false;
  };
  for (const { address } of addresses) {
    for (const protocol of LASTING) {
      const own = ports.filter((port) => port.protocol === protocol && isOf(port, address.family));
      const leadsElsewhere = (connection: Connection) =>
        isTo(own, connection) &&
        !sameAddress(connection.replySource, address) &&
        toThisHost(connection.destination);
      if (own.length === 0) continue;
      const filter = narrowest({ family: address.family, protocol }, own);
      deleteConnections(netfilter, listConnections(netfilter, filter).filter(leadsElsewhere));
    }
  }
}

/** DEL: forgets those that lead from the ports to the container, of any protocol. */
export function forgetOwnConnections(netfilter: NetfilterSocket, { addresses, ports }: Ports): void {
  for (const { address } of addresses) {
    const { family } = address;
    const own = ports.filter((port) => isOf(port, family));
    const protocols = new Set(own.map(({ protocol }) => protocol));
    const [protocol, ...others] = protocols;
    if (!protocol) continue;
    const base = { family, replySource: address };
    const filter = others.length === 0 ? narrowest({ ...base, protocol }, own) : base;
    const ledHere = (connection: Connection) =>
      isTo(own, connection) && !sameAddress(connection.destination, address);
    deleteConnections(netfilter, listConnections(netfilter, filter).filter(ledHere));
  }
}

/** Of one port alone, the kernel can tell its connections. */
function narrowest(filter: ConnectionFilter, ports: readonly PublishedPort[]): ConnectionFilter {
  const [port, ...others] = ports;
  return port && others.length === 0 ? { ...filter, destinationPort: port.hostPort } : filter;
}

function isTo(ports: readonly PublishedPort[], connection: Connection): boolean {
  return ports.some(
    ({ protocol, hostPort, hostIp }) =>
      connection.destinationPort === hostPort &&
      connection.protocol === PROTOCOL_NUMBERS[protocol] &&
      (!hostIp || isUnspecified(hostIp) || sameAddress(hostIp, connection.destination)),
  );
}

function isOf({ hostIp }: PublishedPort, family: Family): boolean {
  return !hostIp || hostIp.family === family;
}
