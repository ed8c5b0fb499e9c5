/**
 * Whose other end a link is: IFLA_LINK names the index of a veth's peer or of the device below, and
 * IFLA_LINK_NETNSID the namespace it is in, by the number that the link's own namespace has for it.
 */
import type { Link } from "../../lib/rtnetlink/link.ts";
import { isNamespaceAlive, namespaceId } from "../../lib/rtnetlink/namespace-id.ts";
import type { Stack } from "./stack.ts";

/** One interface of one namespace. */
export interface Port {
  readonly stack: Stack;
  readonly link: Link;
}

export class Peers {
  readonly #stacks: readonly Stack[];
  /** By stack, then by its number for another. */
  readonly #known = new Map<Stack, Map<number, Stack>>();
  /** Those of which a stack's numbers are known so far. */
  readonly #asked = new Map<Stack, number>();

  constructor(stacks: readonly Stack[]) {
    this.#stacks = stacks;
  }

  /**
   * The other end of a veth, or the device below a macvlan, ipvlan or VLAN; undefined where it has none, or
   * is in a namespace that we do not see.
   */
  peerOf(stack: Stack, link: Link): Port | undefined {
    if (link.link === undefined || link.link === 0) return undefined;
    const there = link.linkNetnsid === undefined ? stack : this.#stackOf(stack, link.linkNetnsid);
    const peer = there?.link(link.link);
    return there && peer && !(there === stack && peer.index === link.index)
      ? { stack: there, link: peer }
      : undefined;
  }

  /** Whether its other end is in a namespace that lives, and that we do not see. */
  isHidden(stack: Stack, link: Link): boolean {
    const { linkNetnsid: nsid } = link;
    if (nsid === undefined || this.peerOf(stack, link)) return false;
    return isNamespaceAlive(stack.socket, nsid);
  }

  #stackOf(stack: Stack, nsid: number): Stack | undefined {
    const known = this.#known.getOrInsertComputed(stack, () => new Map());
    for (let next = this.#asked.get(stack) ?? 0; !known.has(nsid) && next < this.#stacks.length; next++) {
      const other = this.#stacks[next];
      const id = other && namespaceId(stack.socket, other.netns);
      if (other && id !== undefined) known.set(id, other);
      this.#asked.set(stack, next + 1);
    }
    return known.get(nsid);
  }
}
