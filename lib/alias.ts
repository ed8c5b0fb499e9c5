/**
 * Aliases of host interfaces: what `ip link` shows of whose
 * they are. GC finds by them what no record tells of.
 *
 *     weft:<network>/<containerId>/<ifname>    an attachment's interface
 *     weft:<network>                           a network's own, such as its bridge
 */
import { invalidConfig } from "./cni/error.ts";
import type { Call } from "./cni/plugin.ts";
import { IFALIAS_MAX, type Link } from "./rtnetlink/link.ts";
import type { AttachmentName } from "./state/record.ts";

/** Whose interface a call is about. */
export function attachmentName({ config, containerId, ifname }: Call): AttachmentName {
  return { network: config.name, containerId, ifname };
}

/** "" where the ids are longer than an alias may be: then the record alone tells. */
export function attachmentAlias({ network, containerId, ifname }: AttachmentName): string {
  const alias = `${networkAlias(network)}/${containerId}/${ifname}`;
  return alias.length <= IFALIAS_MAX ? alias : "";
}

export function networkAlias(network: string): string {
  return `weft:${network}`;
}

/** @throws CniError 7 for a network whose name no alias can hold */
export function verifyNetworkName(network: string): void {
  if (networkAlias(network).length <= IFALIAS_MAX) return;
  const longest = IFALIAS_MAX - networkAlias("").length;
  throw invalidConfig("network name is too long", `"name" may have ${longest} characters`);
}

/** Whose interface it is; undefined where no alias of ours says. */
export function attachmentOf(link: Link): AttachmentName | undefined {
  if (!link.alias.startsWith("weft:")) return undefined;
  const [network, containerId, ifname, ...rest] = link.alias.slice("weft:".length).split("/");
  return network && containerId && ifname && rest.length === 0 ? { network, containerId, ifname } : undefined;
}

export function isSameAttachment(a: AttachmentName, b: AttachmentName): boolean {
  return a.network === b.network && a.containerId === b.containerId && a.ifname === b.ifname;
}
