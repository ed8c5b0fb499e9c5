/** Namespaces of a test as the tool sees those of a host: the first is the host's own. */

import { Peers } from "../../cli/inventory/peers.ts";
import { openStack, type Stack } from "../../cli/inventory/stack.ts";
import type { Namespaces } from "../../cli/trace/node.ts";
import { netnsInode } from "../netns/netns.ts";
import type { TestNetns } from "./netns.ts";

export function namespacesOf(hosts: Readonly<Record<string, TestNetns>>): Namespaces & Disposable {
  const stacks = Object.entries(hosts).map(([name, { netns, path }], index) =>
    openStack({
      inode: BigInt(netnsInode(netns)),
      path,
      paths: [path],
      name,
      pids: [],
      isHost: index === 0,
    }),
  );
  const peers = new Peers(stacks);
  const [host] = stacks;
  if (!host) throw new Error("no namespaces");
  return {
    stacks,
    host,
    nameOf: (stack: Stack) => stack.name,
    peerOf: (stack, link) => peers.peerOf(stack, link),
    [Symbol.dispose]() {
      for (const stack of stacks) stack[Symbol.dispose]();
    },
  };
}
