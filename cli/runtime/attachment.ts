/**
 * What a user says about one interface of one container: on the command line and in the variables of cnitool.
 *
 * Reference: libcni's cnitool (CNI_IFNAME, CNI_ARGS, CAP_ARGS, the container's id).
 */
import { resolve } from "node:path";
import { parseEnvironment, type Variables } from "../../lib/cni/environment.ts";
import { isObject, type JsonObject } from "../../lib/cni/json.ts";

export interface Attachment {
  readonly containerId: string;
  readonly ifname: string;
  /** "" when it is not known any more. */
  readonly netns: string;
  /** CNI_ARGS. */
  readonly args: readonly Pair[];
  /** Values for the capabilities that plugins declare. */
  readonly capabilityArgs: JsonObject;
}

export type Pair = readonly [key: string, value: string];

/** Where `ip netns` keeps its namespaces, spelled as cnitool's users spell it: the id depends on it. */
const NAMED_NETNS = "/var/run/netns";
const ID_START = "cnitool-";
/** Bytes of the hash of the path, of which the id is made. */
const ID_BYTES = 10;

/**
 * @param netns a path, or a name of `ip netns`
 * @throws SyntaxError; CniError for a name that no interface can have
 */
export function readAttachment(netns: string, ifname: string | undefined, variables: Variables): Attachment {
  if (netns === "") throw new SyntaxError("the namespace is an empty string");
  const path = netns.includes("/") ? resolve(netns) : `${NAMED_NETNS}/${netns}`;
  const containerId = containerIdOf(path);
  const name = ifname || variables["CNI_IFNAME"] || "eth0";
  parseEnvironment({ CNI_COMMAND: "DEL", CNI_CONTAINERID: containerId, CNI_IFNAME: name });
  return {
    containerId,
    ifname: name,
    netns: path,
    args: parsePairs(variables["CNI_ARGS"] ?? ""),
    capabilityArgs: parseCapabilityArgs(variables["CAP_ARGS"] ?? ""),
  };
}

/** The id that cnitool has for the container in that namespace. */
export function containerIdOf(netnsPath: string): string {
  const digest = new Bun.CryptoHasher("sha512").update(netnsPath).digest().subarray(0, ID_BYTES);
  return `${ID_START}${digest.toHex()}`;
}

/** Whether it is such an id: cnitool or weft made the attachment, for a container without a runtime. */
export function isNamedByPath(containerId: string): boolean {
  return containerId.startsWith(ID_START);
}

function parsePairs(text: string): Pair[] {
  if (text === "") return [];
  return text.split(";").map((pair) => {
    const [key, value, ...more] = pair.split("=");
    if (key && value && more.length === 0) return [key, value];
    throw new SyntaxError(`CNI_ARGS: "${pair}" is not KEY=value; several are separated by ";"`);
  });
}

function parseCapabilityArgs(text: string): JsonObject {
  if (text === "") return {};
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new SyntaxError(`CAP_ARGS: ${error instanceof Error ? error.message : error}`);
  }
  if (isObject(json)) return json;
  throw new SyntaxError(`CAP_ARGS is a JSON object, such as {"mac": "02:00:00:00:00:01"}, not ${text}`);
}
