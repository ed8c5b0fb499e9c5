/**
 * Results of ADD, kept until DEL in files of libcni's format, so that either finds what the other made.
 *
 *     /var/lib/cni/results/<network>-<containerId>-<ifname>    JSON
 *
 * Reference: libcni's api.go (cachedInfo).
 */
import { isObject, type JsonObject } from "../../lib/cni/json.ts";
import { findTextFile, listDirectory, makeDirectory, removeFile, replaceFile } from "../../lib/sys/file.ts";
import type { Attachment } from "./attachment.ts";

export const CACHE_DIR = "/var/lib/cni/results";
const KIND = "cniCacheV1";

export interface CachedAttachment extends Attachment {
  readonly network: string;
  /** The list that was run, as text. */
  readonly list: string;
  /** What the last plugin answered. */
  readonly result: JsonObject;
}

/** How libcni writes it. */
interface CacheFile {
  readonly kind: typeof KIND;
  readonly containerId: string;
  /** Base64. */
  readonly config: string;
  readonly ifName: string;
  readonly networkName: string;
  readonly netns?: string;
  readonly cniArgs?: Attachment["args"];
  readonly capabilityArgs?: JsonObject;
  readonly result?: JsonObject;
}

export function writeCached(directory: string, cached: CachedAttachment): void {
  const { network, containerId, ifname, netns, args, capabilityArgs, result } = cached;
  const file: CacheFile = {
    kind: KIND,
    containerId,
    config: new TextEncoder().encode(cached.list).toBase64(),
    ifName: ifname,
    networkName: network,
    netns,
    ...(args.length > 0 && { cniArgs: args }),
    ...(Object.keys(capabilityArgs).length > 0 && { capabilityArgs }),
    result,
  };
  makeDirectory(directory, 0o700);
  replaceFile(cachePath(directory, network, cached), JSON.stringify(file), 0o600);
}

/**
 * With the namespace that is asked for, which older versions of libcni do not keep.
 * @returns undefined when there is none that can be read
 */
export function findCached(
  directory: string,
  network: string,
  attachment: Attachment,
): CachedAttachment | undefined {
  const cached = readCached(cachePath(directory, network, attachment));
  return cached && { ...cached, netns: attachment.netns };
}

/** Every attachment to the network, also other runtimes'; netns is "" where nobody can tell. */
export function listCached(directory: string, network: string): CachedAttachment[] {
  return listAllCached(directory).filter((cached) => cached.network === network);
}

/** The same of all networks. */
export function listAllCached(directory: string): CachedAttachment[] {
  return listDirectory(directory)
    .sort()
    .flatMap((name) => readCached(`${directory}/${name}`) ?? []);
}

export function removeCached(directory: string, network: string, attachment: Attachment): void {
  removeFile(cachePath(directory, network, attachment));
}

function cachePath(directory: string, network: string, { containerId, ifname }: Attachment): string {
  return `${directory}/${network}-${containerId}-${ifname}`;
}

function readCached(path: string): CachedAttachment | undefined {
  try {
    const json: unknown = JSON.parse(findTextFile(path) ?? "null");
    if (!isObject(json) || json["kind"] !== KIND) return undefined;
    const file = json as unknown as CacheFile; // of that kind, libcni or writeCached() wrote it
    return {
      network: file.networkName,
      containerId: file.containerId,
      ifname: file.ifName,
      netns: file.netns ?? sandboxOf(file) ?? "",
      args: file.cniArgs ?? [],
      capabilityArgs: file.capabilityArgs ?? {},
      list: new TextDecoder().decode(Uint8Array.fromBase64(file.config)),
      result: file.result ?? {},
    };
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return undefined; // damaged from outside
    throw error;
  }
}

/** Older versions of libcni, as containerd 1.6 has, keep no namespace; the plugin's answer names it. */
function sandboxOf({ result, ifName }: CacheFile): string | undefined {
  const interfaces = Array.isArray(result?.["interfaces"]) ? result["interfaces"] : [];
  const own = interfaces.find((each) => isObject(each) && each["name"] === ifName && each["sandbox"]);
  return typeof own?.sandbox === "string" ? own.sandbox : undefined;
}
