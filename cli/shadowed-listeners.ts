/**
 * Who loses a port of the host to a container: what is published goes to the container before any process
 * of the host sees it. Docker refuses such a port; a plugin, which must not look into other processes, does
 * not, so the tool says it.
 */
import { isObject, type JsonObject } from "../lib/cni/json.ts";
import {
  type Address,
  type Family,
  formatAddress,
  isUnspecified,
  parseAddress,
  sameAddress,
} from "../lib/netaddr/address.ts";
import { parsePrefix } from "../lib/netaddr/prefix.ts";
import { findHolders, type Listener, listListeners, type Process } from "./host-listeners.ts";
import type { NetworkList } from "./runtime/network-list.ts";

/** A port of the host that leads to a container. */
export interface HostPort {
  readonly protocol: string;
  readonly port: number;
  /** 0.0.0.0 and :: are any of their family, undefined any at all. */
  readonly hostIp: Address | undefined;
}

/** ::1 cannot be published: it stays the host's. */
const LOCALHOST6: Address = { family: 6, value: 1n };

/** Says on stderr who listened on the ports that an attachment has published. */
export function warnOfShadowedListeners(
  network: NetworkList,
  capabilityArgs: JsonObject,
  result: JsonObject,
): void {
  const ports = publishedPorts(network, capabilityArgs);
  if (ports.length === 0) return;
  const shadowed = findShadowed(ports, familiesOf(result), listListeners());
  if (shadowed.length === 0) return;
  const holders = findHolders(new Set(shadowed.map(({ inode }) => inode)));
  const lines = new Set(shadowed.map((listener) => warning(listener, holders.get(listener.inode))));
  for (const line of lines) console.error(`weft: ${line}`);
}

/** The port mappings of the runtime, where a plugin takes them; what is not one is passed over. */
export function publishedPorts({ plugins }: NetworkList, { portMappings }: JsonObject): HostPort[] {
  const isTaken = plugins.some(({ capabilities }) => isObject(capabilities) && capabilities["portMappings"]);
  if (!isTaken || !Array.isArray(portMappings)) return [];
  return portMappings.filter(isObject).map(({ hostPort, protocol, hostIP }) => ({
    protocol: String(protocol ?? "tcp").toLowerCase(),
    port: Number(hostPort),
    hostIp: findAddress(hostIP),
  }));
}

/** @param families those the container has addresses of: of others nothing is published */
export function findShadowed(
  ports: readonly HostPort[],
  families: readonly Family[],
  listeners: readonly Listener[],
): Listener[] {
  return listeners.filter((listener) =>
    ports.some(
      (port) =>
        port.protocol === listener.protocol &&
        port.port === listener.port &&
        families.some((family) => meets(port, listener, family)),
    ),
  );
}

/** Whether both have an address of the family in common. */
function meets({ hostIp }: HostPort, { address }: Listener, family: Family): boolean {
  if (hostIp && hostIp.family !== family) return false;
  if (address.family !== family) return address.family === 6 && isUnspecified(address);
  if (sameAddress(address, LOCALHOST6)) return false;
  return !hostIp || isUnspecified(hostIp) || isUnspecified(address) || sameAddress(hostIp, address);
}

function warning({ protocol, address, port }: Listener, holder: Process | undefined): string {
  const text = formatAddress(address);
  const where = address.family === 4 ? text : `[${text}]`;
  const who = holder ? `${holder.name} (process ${holder.pid})` : "a process that cannot be seen";
  return `${protocol} port ${port} is published, but ${who} listens on ${where}:${port}: the container gets what comes for it`;
}

function familiesOf({ ips }: JsonObject): Family[] {
  if (!Array.isArray(ips)) return [];
  const addresses = ips.filter(isObject).map(({ address }) => String(address));
  return [...new Set(addresses.map((address) => parsePrefix(address).address.family))];
}

function findAddress(text: unknown): Address | undefined {
  return typeof text === "string" && text !== "" ? parseAddress(text) : undefined;
}
