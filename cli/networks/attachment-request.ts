/** What a user asks of an attachment, in Docker's words: --ip, --mac, --publish. */
import { isObject, type JsonObject } from "../../lib/cni/json.ts";
import { formatAddress, parseAddress } from "../../lib/netaddr/address.ts";
import { formatMac, isUnicastMac, parseMac } from "../../lib/netaddr/mac.ts";
import { parsePrefix } from "../../lib/netaddr/prefix.ts";
import type { Attachment } from "../runtime/attachment.ts";
import type { NetworkList } from "../runtime/network-list.ts";
import { readOption } from "./subnet-request.ts";

export interface AttachmentWords {
  readonly ip?: readonly string[];
  readonly mac?: string;
  readonly publish?: readonly string[];
}

/** An entry of the capability portMappings. */
export interface PortMapping {
  readonly hostPort: number;
  readonly containerPort: number;
  readonly protocol: string;
  readonly hostIP?: string;
}

const PORT_MAX = 65_535;
const PROTOCOLS = ["tcp", "udp", "sctp"];
/** What the plugins say of an address that they take by another way: `IP` and `MAC` of CNI_ARGS. */
const IGNORE_UNKNOWN = ["IgnoreUnknown", "1"] as const;

/**
 * The attachment with what is asked for, by the capabilities that the network's plugins declare; an address
 * and a MAC by CNI_ARGS where none declares them, as plugins took them before there were capabilities.
 * @throws SyntaxError; Error for ports that no plugin of the network publishes
 */
export function withRequest(
  attachment: Attachment,
  words: AttachmentWords,
  network: NetworkList,
): Attachment {
  const ips = (words.ip ?? []).map(readIp);
  const mac = words.mac === undefined ? undefined : readMac(words.mac);
  const ports = (words.publish ?? []).flatMap(readPublish);
  if (ports.length > 0 && !declares(network, "portMappings")) {
    throw new Error(
      `network "${network.name}" publishes no ports: none of its plugins has the capability portMappings (portmap)`,
    );
  }
  const asked: Record<string, unknown> = {};
  const args = [...attachment.args];
  if (ips.length > 0 && declares(network, "ips")) asked["ips"] = ips;
  else for (const ip of ips) args.push(["IP", ip]);
  if (mac !== undefined && declares(network, "mac")) asked["mac"] = mac;
  else if (mac !== undefined) args.push(["MAC", mac]);
  if (ports.length > 0) asked["portMappings"] = [...portsOf(attachment.capabilityArgs), ...ports];
  const isTold = args.some(([name]) => name === IGNORE_UNKNOWN[0]);
  return {
    ...attachment,
    args: args.length > attachment.args.length && !isTold ? [IGNORE_UNKNOWN, ...args] : args,
    capabilityArgs: { ...attachment.capabilityArgs, ...asked },
  };
}

/** What was asked for and is not in the result: not every plugin takes an address or a MAC. */
export function unheeded(words: AttachmentWords, result: JsonObject, ifname: string): string[] {
  const ips = Array.isArray(result["ips"]) ? result["ips"].filter(isObject) : [];
  const given = ips.map(({ address }) => String(address).split("/")[0]);
  const interfaces = Array.isArray(result["interfaces"]) ? result["interfaces"].filter(isObject) : [];
  const own = interfaces.find(({ name, sandbox }) => name === ifname && sandbox);
  const isMac = words.mac === undefined || own?.["mac"] === undefined || own["mac"] === readMac(words.mac);
  return [
    ...(words.ip ?? []).map(readIp).filter((ip) => !given.includes(ip)),
    ...(isMac || words.mac === undefined ? [] : [words.mac]),
  ];
}

/** [ADDRESS:]PORT[-PORT]:PORT[-PORT][/PROTOCOL]. @throws SyntaxError */
export function readPublish(text: string): PortMapping[] {
  const wrong = (reason: string) => new SyntaxError(`--publish ${text}: ${reason}`);
  const [ports = "", protocol = "tcp", ...rest] = text.split("/");
  if (!PROTOCOLS.includes(protocol) || rest.length > 0) {
    throw wrong(`the protocol is one of ${PROTOCOLS.join(", ")}`);
  }
  const parts = /^(?:(\[[^\]]+\]|[^[\]:]+):)?([\d-]+):([\d-]+)$/.exec(ports);
  if (!parts) throw wrong("as 8080:80, 192.0.2.1:8080:80/udp, [2001:db8::1]:8080:80 or 8000-8009:80-89");
  const [, address, hostWord = "", containerWord = ""] = parts;
  const hostPorts = readPorts(hostWord, wrong);
  const containerPorts = readPorts(containerWord, wrong);
  if (hostPorts.length !== containerPorts.length) {
    throw wrong(`${hostPorts.length} ports of the host, and ${containerPorts.length} of the container`);
  }
  const hostIP = address === undefined ? undefined : readAddress(address.replace(/^\[|\]$/g, ""), wrong);
  return hostPorts.map((hostPort, i) => ({
    hostPort,
    containerPort: containerPorts[i] ?? hostPort,
    protocol,
    ...(hostIP !== undefined && { hostIP }),
  }));
}

function readPorts(text: string, wrong: (reason: string) => SyntaxError): number[] {
  const [first = 0, last = first, ...rest] = text.split("-").map(Number);
  const isPort = (port: number) => Number.isInteger(port) && port >= 1 && port <= PORT_MAX;
  if (!isPort(first) || !isPort(last) || rest.length > 0)
    throw wrong(`a port is a number from 1 to ${PORT_MAX}`);
  if (last < first) throw wrong(`${text} ends before it begins`);
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

function readAddress(text: string, wrong: (reason: string) => SyntaxError): string {
  try {
    return formatAddress(parseAddress(text));
  } catch (error) {
    throw wrong(error instanceof Error ? error.message : String(error));
  }
}

/** With or without a prefix length, which is the network's in any case. */
function readIp(text: string): string {
  return readOption("--ip", text, (each) =>
    formatAddress(each.includes("/") ? parsePrefix(each).address : parseAddress(each)),
  );
}

function readMac(text: string): string {
  const mac = readOption("--mac", text, parseMac);
  if (!isUnicastMac(mac)) throw new SyntaxError(`--mac ${text}: no interface can have it`);
  return formatMac(mac);
}

function portsOf({ portMappings }: JsonObject): readonly unknown[] {
  return Array.isArray(portMappings) ? portMappings : [];
}

export function declares({ plugins }: NetworkList, capability: string): boolean {
  return plugins.some(({ capabilities }) => isObject(capabilities) && capabilities[capability] === true);
}
