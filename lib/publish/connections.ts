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
  const isOfThisHost = (address: Address): boolean => {
    const text = formatAddress(address);
    if (!isLocal.has(text)) isLocal.set(text, routeTo(host, address)?.isLocal ?? false);
    return isLocal.get(text) ?? false;
  };
  for (const { address } of addresses) {
    const { family } = address;
    for (const protocol of LASTING) {
      const own = ports.filter((port) => port.protocol === protocol && isOf(port, family));
      forget(netfilter, own, { family, protocol }, (connection) => {
        return !sameAddress(connection.replySource, address) && isOfThisHost(connection.destination);
      });
    }
  }
}

/** DEL: forgets those that lead from the ports to the container, of any protocol. */
export function forgetOwnConnections(netfilter: NetfilterSocket, { addresses, ports }: Ports): void {
  for (const { address } of addresses) {
    const { family } = address;
    const own = ports.filter((port) => isOf(port, family));
    const [protocol, ...others] = new Set(own.map((port) => port.protocol));
    const base = { family, replySource: address };
    const filter = protocol && others.length === 0 ? { ...base, protocol } : base;
    forget(netfilter, own, filter, (connection) => !sameAddress(connection.destination, address));
  }
}

/** Forgets those to the ports that agree. Of one port alone, the kernel can tell its connections. */
function forget(
  netfilter: NetfilterSocket,
  ports: readonly PublishedPort[],
  filter: ConnectionFilter,
  agrees: (connection: Connection) => boolean,
): void {
  const [port, ...others] = ports;
  if (!port) return;
  const narrower = others.length === 0 ? { ...filter, destinationPort: port.hostPort } : filter;
  const found = listConnections(netfilter, narrower);
  deleteConnections(
    netfilter,
    found.filter((connection) => isTo(ports, connection) && agrees(connection)),
  );
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
