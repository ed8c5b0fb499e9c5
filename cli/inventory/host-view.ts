/** The whole host as the tool sees it: its namespaces, what is in them, its attachments and its networks. */
import { NetnsError } from "../../lib/netns/netns.ts";
import type { Link } from "../../lib/rtnetlink/link.ts";
import { ErrnoError } from "../../lib/sys/errno.ts";
import { type NetworkFile, readNetworks, type UnreadableFile } from "../runtime/network-list.ts";
import { countOf } from "../terminal/quantity.ts";
import {
  type AttachmentSources,
  type AttachmentView,
  readAttachmentSources,
  readAttachments,
  readOpenAttachmentSources,
} from "./attachment.ts";
import { listNamespaces, type Namespace } from "./namespaces.ts";
import { Peers, type Port } from "./peers.ts";
import { openStack, type Stack } from "./stack.ts";

/** What a view is made of; the host's own stack is the first. */
export interface HostViewParts {
  readonly stacks: readonly Stack[];
  readonly unopened?: readonly Namespace[];
  readonly networks?: readonly NetworkFile[];
  readonly unreadable?: readonly UnreadableFile[];
  readonly sources: AttachmentSources;
}

export class HostView implements Disposable {
  /** The host's own first. */
  readonly stacks: readonly Stack[];
  /** Namespaces that could not be opened: they belong to others, and we are not root. */
  readonly unopened: readonly Namespace[];
  /** Of the directory of networks, in the order in which they are looked for. */
  readonly networks: readonly NetworkFile[];
  readonly unreadable: readonly UnreadableFile[];
  readonly #peers: Peers;
  readonly #sources: AttachmentSources;
  #attachments: readonly AttachmentView[] | undefined;

  /** Of stacks that were opened before, and are closed with it. */
  constructor({ stacks, unopened = [], networks = [], unreadable = [], sources }: HostViewParts) {
    this.stacks = stacks;
    this.unopened = unopened;
    this.networks = networks;
    this.unreadable = unreadable;
    this.#peers = new Peers(stacks);
    this.#sources = sources;
  }

  /**
   * @param networksDirectory /etc/cni/net.d, or where NETCONFPATH says; it may be missing
   * @throws ErrnoError where this user may not read what attachments there are
   */
  static open(networksDirectory: string): HostView {
    return HostView.#openWith(networksDirectory, readAttachmentSources());
  }

  /** The same without what this user may not read, for what is only shown: warnOfUnseen() says so. */
  static openReadable(networksDirectory: string): HostView {
    return HostView.#openWith(networksDirectory, readOpenAttachmentSources());
  }

  static #openWith(networksDirectory: string, sources: AttachmentSources): HostView {
    const told = [...sources.records, ...sources.cached].map(({ netns }) => netns);
    using opened = new DisposableStack();
    const stacks: Stack[] = [];
    const unopened: Namespace[] = [];
    for (const namespace of listNamespaces([...new Set(told)])) {
      const stack = tryOpening(namespace);
      if (stack === "refused") unopened.push(namespace);
      else if (stack) stacks.push(opened.use(stack));
    }
    const closed = unopened.flatMap(({ paths }) => paths);
    const networks = networksIn(networksDirectory);
    const view = new HostView({ stacks, unopened, ...networks, sources: { ...sources, closed } });
    opened.move();
    return view;
  }

  /** Directories of which this user may read nothing. */
  get hidden(): readonly string[] {
    return this.#sources.hidden ?? [];
  }

  /** This process's own namespace. */
  get host(): Stack {
    const [host] = this.stacks;
    if (!host) throw new Error("cannot open the network namespace of this process");
    return host;
  }

  get attachments(): readonly AttachmentView[] {
    this.#attachments ??= readAttachments(this.stacks, this.#peers, this.#sources);
    return this.#attachments;
  }

  /** The stack of a namespace, where it could be opened. */
  stackOf(namespace: Pick<Namespace, "inode"> | undefined): Stack | undefined {
    return this.stacks.find((stack) => stack.namespace.inode === namespace?.inode);
  }

  /** A namespace as people know it: by the container that is in it. */
  nameOf(stack: Stack): string {
    const { namespace, name } = stack;
    if (namespace.isHost) return name;
    return this.attachments.find((each) => each.namespace?.inode === namespace.inode)?.container ?? name;
  }

  /** A veth's other end, or the device below a macvlan, ipvlan or VLAN, wherever it is. */
  peerOf(stack: Stack, link: Link): Port | undefined {
    return this.#peers.peerOf(stack, link);
  }

  /** Whether its other end is in a namespace that lives, and that is not seen from here. */
  isHidden(stack: Stack, link: Link): boolean {
    return this.#peers.isHidden(stack, link);
  }

  [Symbol.dispose](): void {
    for (const stack of this.stacks) stack[Symbol.dispose]();
  }
}

/** Says on standard error that not everything could be seen. */
export function warnOfUnseen({ unopened, hidden }: Pick<HostView, "unopened" | "hidden">): void {
  const namespaces = unopened.length > 0 ? [countOf(unopened.length, "network namespace")] : [];
  const unseen = [...hidden, ...namespaces];
  if (unseen.length === 0) return;
  console.error(`weft: what is in ${unseen.join(", ")} cannot be read, and is not shown: run as root`);
}

/** Undefined for a namespace that has gone since it was listed. */
function tryOpening(namespace: Namespace): Stack | "refused" | undefined {
  try {
    return openStack(namespace);
  } catch (error) {
    if (error instanceof ErrnoError) return "refused"; // setns(2): EPERM
    if (error instanceof NetnsError) return error.missing ? undefined : "refused";
    throw error;
  }
}

function networksIn(directory: string): Pick<HostViewParts, "networks" | "unreadable"> {
  try {
    return readNetworks(directory);
  } catch {
    return { networks: [], unreadable: [] }; // no directory, no networks
  }
}
