/** What a configuration asks to publish, read and checked: the reference's words where it has any. */
import type { AskedBackend, Backend } from "../backend.ts";
import { CniError, invalidConfig } from "../cni/error.ts";
import { type Address, isLoopback, parseAddress } from "../netaddr/address.ts";
import { parseConditions } from "./conditions.ts";
import type { PortProtocol, PublishedPort } from "./publication.ts";

const PORT_MAX = 65_535;
const PROTOCOLS: readonly string[] = ["tcp", "udp", "sctp"] satisfies PortProtocol[];

/** An entry of runtimeConfig.portMappings. */
export interface PortMapping {
  readonly hostPort: number;
  readonly containerPort: number;
  readonly protocol: string;
  /** "" for any. */
  readonly hostIP: string;
}

/** The part of a configuration that says what is published, and how. */
export interface PublishConfig {
  readonly backend?: AskedBackend | undefined;
  readonly snat: boolean;
  readonly masqAll: boolean;
  readonly markMasqBit?: number | undefined;
  readonly externalSetMarkChain?: string | undefined;
  readonly conditionsV4?: readonly string[] | undefined;
  readonly conditionsV6?: readonly string[] | undefined;
  readonly runtimeConfig: { readonly portMappings: readonly PortMapping[] };
}

/** @throws CniError 7 */
export function verifyPublishConfig(config: PublishConfig): void {
  if (config.markMasqBit !== undefined && config.externalSetMarkChain !== undefined) {
    throw invalidConfig("Cannot specify externalSetMarkChain and markMasqBit");
  }
  const backend = askedBackend(config);
  parsePortMappings(config);
  if (backend === "iptables") return;
  const { v4, v6 } = conditionsOf(config);
  if (v4) parseConditions(v4, 4);
  if (v6) parseConditions(v6, 6);
}

/** The backend that is asked for by name, or by what only one of them has. @throws CniError 7 */
export function askedBackend(config: PublishConfig): Backend | undefined {
  const { backend, externalSetMarkChain, markMasqBit } = config;
  const { v4, v6 } = conditionsOf(config);
  const specific: Record<Backend, string[]> = { iptables: [], nftables: [] };
  if (externalSetMarkChain !== undefined) specific.iptables.push("externalSetMarkChain");
  if (v4) specific[languageOf(v4)].push("conditionsV4");
  if (v6) specific[languageOf(v6)].push("conditionsV6");
  const { iptables, nftables } = specific;
  const named = backend === "auto" ? undefined : backend;
  const asked = named ?? (iptables.length > 0 ? "iptables" : undefined);
  const other = asked === "iptables" ? "nftables" : "iptables";
  if (asked && specific[other].length > 0) {
    const options = specific[other].join(" ");
    throw invalidConfig(
      `${asked} backend was requested but configuration contains ${other}-specific options [${options}]`,
    );
  }
  if (asked) return asked;
  if (nftables.length > 0) return "nftables";
  return markMasqBit === undefined ? undefined : "iptables"; // nftables has no mark
}

/** The ports, each once. @throws CniError 7 */
export function parsePortMappings({ runtimeConfig }: Pick<PublishConfig, "runtimeConfig">): PublishedPort[] {
  const leadTo = new Map<string, number>();
  const ports = runtimeConfig.portMappings.map(parsePortMapping);
  return ports.filter(({ hostPort, protocol, hostIp, containerPort }) => {
    const addresses = hostIp ? [`${hostIp.family} ${hostIp.value}`] : ["4 0", "6 0"];
    const keys = addresses.map((address) => `${protocol} ${hostPort} ${address}`);
    const known = keys.map((key) => leadTo.get(key));
    const other = known.find((port) => port !== undefined && port !== containerPort);
    if (other !== undefined) {
      throw invalidConfig(
        `host port ${hostPort}/${protocol} is published twice`,
        `to the container's ports ${other} and ${containerPort}`,
      );
    }
    for (const key of keys) leadTo.set(key, containerPort);
    return known.includes(undefined);
  });
}

/** Those of the ports that can be read: for DEL, which an ADD of the others has not made. */
export function readablePorts({ runtimeConfig }: Pick<PublishConfig, "runtimeConfig">): PublishedPort[] {
  return runtimeConfig.portMappings.flatMap((mapping) => {
    try {
      return parsePortMapping(mapping);
    } catch {
      return [];
    }
  });
}

/** Words of either backend; an empty list asks for nothing. */
export function conditionsOf({ conditionsV4, conditionsV6 }: PublishConfig) {
  const given = (words: readonly string[] = []) => {
    const some = words.filter((word) => word !== "");
    return some.length > 0 ? some : undefined;
  };
  return { v4: given(conditionsV4), v6: given(conditionsV6) };
}

function parsePortMapping({ hostPort, containerPort, protocol: given, hostIP }: PortMapping): PublishedPort {
  if (!isPort(containerPort)) throw invalidConfig(`Invalid container port number: ${containerPort}`);
  if (!isPort(hostPort)) throw invalidConfig(`Invalid host port number: ${hostPort}`);
  const protocol = given.toLowerCase();
  if (!isProtocol(protocol)) {
    throw invalidConfig(`Invalid protocol: ${JSON.stringify(given)}`, 'it must be "tcp", "udp" or "sctp"');
  }
  return { hostPort, containerPort, protocol, hostIp: hostIP === "" ? undefined : parseHostIp(hostIP) };
}

function parseHostIp(text: string): Address {
  let address: Address;
  try {
    address = parseAddress(text);
  } catch (cause) {
    throw new CniError(CniError.INVALID_NETWORK_CONFIG, `Invalid host IP: ${JSON.stringify(text)}`, {
      cause,
    });
  }
  if (!(address.family === 6 && isLoopback(address))) return address;
  throw invalidConfig(
    'Invalid host IP: "::1" cannot be published',
    "the kernel does not let an answer from elsewhere come back to ::1; use 127.0.0.1, or an address of the host",
  );
}

function isPort(number: number): boolean {
  return number >= 1 && number <= PORT_MAX;
}

function isProtocol(text: string): text is PortProtocol {
  return PROTOCOLS.includes(text);
}

/** Words of iptables begin with an option, or with the "!" before one; none of nft does. */
function languageOf([first = ""]: readonly string[]): Backend {
  return first.startsWith("-") || first.startsWith("!") ? "iptables" : "nftables";
}
