/**
 * What the checks look at: the host and its attachments, each with what its ADD answered and what the kernel
 * has of it now.
 */
import { isObject, type JsonObject } from "../../lib/cni/json.ts";
import { type Interface, parseResult, type Result } from "../../lib/cni/result.ts";
import { ALL_VERSIONS } from "../../lib/cni/version.ts";
import type { Family } from "../../lib/netaddr/address.ts";
import type { Link } from "../../lib/rtnetlink/link.ts";
import type { AttachmentName, AttachmentRecord } from "../../lib/state/record.ts";
import { type AttachmentView, isAt, readAttachmentSources } from "../inventory/attachment.ts";
import type { HostView } from "../inventory/host-view.ts";
import type { Port } from "../inventory/peers.ts";
import type { Stack } from "../inventory/stack.ts";
import { type NetworkList, type PluginConfig, parseNetworkList } from "../runtime/network-list.ts";
import type { Runtime } from "../runtime/plugin-request.ts";
import type { CachedAttachment } from "../runtime/result-cache.ts";
import { inNamespace, type ShellCommand } from "../terminal/shell.ts";

/** Of plugin bridge. */
export const DEFAULT_BRIDGE = "cni0";

export interface Host {
  readonly view: HostView;
  /** Its own stack. */
  readonly stack: Stack;
  readonly attachments: readonly Attached[];
  readonly runtime: Runtime;
}

/** An attachment with what was to be, and what is. */
export interface Attached extends AttachmentView {
  /** The container's interface. */
  readonly inside: Port | undefined;
  /** The host's end of its veth pair. */
  readonly outside: Link | undefined;
  readonly cached: CachedAttachment | undefined;
  readonly records: readonly AttachmentRecord<JsonObject>[];
  /** What the list was when ADD ran; undefined where nobody kept it. */
  readonly list: NetworkList | undefined;
  /** What ADD answered; empty where nobody kept it. */
  readonly result: Result;
  /** The configuration of the plugin that made the interface: the first of the list. */
  readonly main: PluginConfig | undefined;
}

export function examine(view: HostView, runtime: Runtime): Host {
  const { records, cached } = readAttachmentSources();
  const keyOf = ({ network, containerId, ifname }: AttachmentName) => `${network}/${containerId}/${ifname}`;
  const results = new Map(cached.map((each) => [keyOf(each), each]));
  const recorded = Map.groupBy(records, keyOf);
  const attachments = view.attachments.map((attachment) => {
    const key = keyOf(attachment);
    return attach(view, attachment, { cached: results.get(key), records: recorded.get(key) ?? [] });
  });
  return { view, stack: view.host, attachments, runtime };
}

function attach(
  view: HostView,
  attachment: AttachmentView,
  { cached, records }: Pick<Attached, "cached" | "records">,
): Attached {
  const stack = view.stackOf(attachment.namespace);
  const link = stack?.link(attachment.ifname);
  const inside = stack && link && attachment.state !== "gone" ? { stack, link } : undefined;
  const peer = inside?.link.kind === "veth" ? view.peerOf(inside.stack, inside.link) : undefined;
  const list = cached && readList(cached.list);
  return {
    ...attachment,
    inside,
    outside: peer?.stack === view.host ? peer.link : inside ? undefined : endBehind(view, attachment),
    cached,
    records,
    list,
    result: cached ? readResult(cached.result) : {},
    main: list?.plugins[0],
  };
}

/** The host's end, where the container's has another name by now, or is not seen from here. */
function endBehind({ host }: HostView, { state, renamed, hostLink }: AttachmentView): Link | undefined {
  if (renamed === undefined && state !== "up" && state !== "down") return undefined;
  const link = hostLink && host.link(hostLink.index);
  return link?.kind === "veth" ? link : undefined;
}

function readList(text: string): NetworkList | undefined {
  try {
    return parseNetworkList(text);
  } catch {
    return undefined; // damaged from outside: libcni took it
  }
}

/** In the version that it says it is of. */
function readResult(result: JsonObject): Result {
  const version = String(result["cniVersion"] ?? ALL_VERSIONS[0]);
  try {
    return parseResult(result, version);
  } catch {
    return {};
  }
}

/** "web (eth0 on front)" */
export function nameOf({ container, ifname, network }: AttachmentView): string {
  return `${container} (${ifname} on ${network})`;
}

/** The interface of the result that is the container's. */
export function promisedInside({ result, ifname }: Attached): Interface | undefined {
  return result.interfaces?.find(({ name, sandbox }) => name === ifname && sandbox);
}

/** The name of the bridge that its ADD put the container on; undefined where it put it on none. */
export function promisedBridge({ main, result }: Attached): string | undefined {
  if (main?.type === "vxlan") return result.interfaces?.find(({ sandbox }) => !sandbox)?.name;
  if (main?.type !== "bridge") return undefined;
  const bridge = main["bridge"];
  return typeof bridge === "string" && bridge !== "" ? bridge : DEFAULT_BRIDGE;
}

/** The container's addresses as ADD gave them. */
export function promisedAddresses({ result, ifname }: Attached) {
  const { interfaces = [], ips = [] } = result;
  const isIts = (index: number | undefined) => {
    const named = index === undefined ? undefined : interfaces[index];
    return named === undefined || (named.name === ifname && named.sandbox !== undefined);
  };
  return ips.filter(({ interface: index }) => isIts(index));
}

/**
 * The host's interface by which it is to reach the container: its bridge, or the host's end of its pair.
 * Undefined where that is not there, or never was, as on the host of a macvlan.
 */
export function hostSideOf({ stack }: Host, attached: Attached): Link | undefined {
  const { outside } = attached;
  const promised = promisedBridge(attached);
  if (promised !== undefined) return stack.link(promised);
  const master = outside?.master === undefined ? undefined : stack.link(outside.master);
  return master?.kind === "bridge" ? master : outside;
}

/** Whether the container sends what is not for its own subnet to this host. */
export function isRoutedByHost({ stack }: Host, { inside, outside }: Attached, family: Family): boolean {
  if (!inside || !outside) return false;
  const own = stack.addresses.filter(({ prefix }) => prefix.address.family === family);
  return inside.stack.routes.some(
    ({ gateway, oif }) =>
      oif === inside.link.index &&
      gateway?.family === family &&
      own.some(({ prefix }) => prefix.address.value === gateway.value),
  );
}

/** A command in the namespace that the container's interface is in. */
export function inContainer(attached: Attached, command: ShellCommand): ShellCommand {
  return inNamespace({ path: pathOf(attached) }, command);
}

/** As its ADD had it, but where somebody has moved the interface to another since. */
export function pathOf({ netns, namespace }: Attached): string {
  return namespace && !isAt(namespace, netns) ? namespace.path : netns;
}

/** A key of a plugin's configuration that is a true or false. */
export function isSet(config: PluginConfig | undefined, key: string): boolean {
  return config?.[key] === true;
}

/** The value of a network's `ipam`; empty where it has none. */
export function ipamOf({ ipam }: PluginConfig): JsonObject {
  return isObject(ipam) ? ipam : {};
}
