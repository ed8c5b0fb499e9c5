/** Masquerading by our own table; and what the reference's nftables backend left of a container. */

import { formatAddress } from "../netaddr/address.ts";
import type { NetfilterSocket } from "../netfilter/socket.ts";
import { deleteRules } from "../nftables/delete-rules.ts";
import type { AttachmentName } from "../state/record.ts";
import type { Element } from "../weft-table/element.ts";
import type { MasqueradeTarget } from "./target.ts";

/** The reference's (plugins/pkg/ip/ipmasq_nftables_linux.go). */
const REFERENCE_TABLE = { family: "inet", name: "cni_plugins_masquerade" } as const;
const HASH_DIGITS = 16;

export function masqueradeElements({ via, overlay, addresses }: MasqueradeTarget): Element[] {
  return addresses.flatMap(({ address }) => {
    const { family } = address;
    const text = formatAddress(address);
    const exemption = overlay === undefined ? [] : [{ set: `overlay${family}`, key: [overlay, text] }];
    return [...exemption, { set: `masq${family}`, key: [via, text] }];
  });
}

/** Deletes the rules that the reference made for the attachment, known by the start of their comments. */
export function deleteReferenceRules(socket: NetfilterSocket, name: AttachmentName): void {
  const { network, ifname, containerId } = name;
  const start = `${hash(network)}-${hash(`${ifname}:${containerId}`)}, `;
  deleteRules(socket, REFERENCE_TABLE, (comment) => comment.startsWith(start));
}

function hash(text: string): string {
  return new Bun.CryptoHasher("sha512").update(text).digest("hex").slice(0, HASH_DIGITS);
}
