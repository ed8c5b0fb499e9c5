/** Chains and comments that tell whose rules they are, as the reference plugins make them. */
import { quoteWord } from "./rule.ts";

/** Longest name of a chain, in their eyes; the kernel's own bound is 28 with its NUL. */
const CHAIN_MAX = 28;
/** XT_MAX_COMMENT_LEN (linux/netfilter/xt_comment.h) without its NUL. */
const COMMENT_MAX = 255;

interface Owner {
  readonly network: string;
  readonly containerId: string;
}

/** The chain of a container's masquerading: "CNI-" and 24 digits. */
export function masqueradeChain(owner: Owner): string {
  return hashedName("CNI-", owner);
}

/** The chain of a container's published ports: "CNI-DN-" and 21 digits. */
export function publishChain(owner: Owner): string {
  return hashedName("CNI-DN-", owner);
}

function hashedName(start: string, { network, containerId }: Owner): string {
  const hash = new Bun.CryptoHasher("sha512").update(network + containerId).digest("hex");
  return (start + hash).slice(0, CHAIN_MAX);
}

/** `-m comment --comment "…"`, cut to what the kernel holds. */
export function comment(text: string): string {
  const fitting = text.length <= COMMENT_MAX ? text : `${text.slice(0, COMMENT_MAX - 3)}...`;
  return `-m comment --comment ${quoteWord(fitting)}`;
}

/** The comment on what belongs to a container; `start` is "" or "dnat ". */
export function ownerComment(start: string, { network, containerId }: Owner): string {
  return comment(`${start}name: "${network}" id: "${containerId}"`);
}

/** What a rule with such a comment holds, whichever container of the network it is about. */
export function networkMark(start: string, network: string): string {
  return `"${start}name: \\"${network}\\" id: \\"`;
}
