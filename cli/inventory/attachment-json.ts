/** An attachment as --json gives it; documented in weft-ls(1), and kept as it is. */
import type { AttachmentView, PublishedPort } from "./attachment.ts";

export interface AttachmentJson {
  readonly container: string;
  readonly containerId: string;
  readonly network: string;
  readonly ifname: string;
  readonly netns: string;
  readonly pids: readonly number[];
  readonly plugins: readonly string[];
  readonly kind: string | null;
  readonly mac: string | null;
  readonly addresses: readonly string[];
  readonly hostInterface: string | null;
  readonly hostIfindex: number | null;
  readonly bridge: string | null;
  readonly ports: readonly PublishedPort[];
  readonly state: string;
  readonly isOurs: boolean;
}

/** What is not known is null, so that every key is always there. */
export function attachmentJson(view: AttachmentView): AttachmentJson {
  const { namespace, hostLink } = view;
  return {
    container: view.container,
    containerId: view.containerId,
    network: view.network,
    ifname: view.ifname,
    netns: namespace?.path ?? view.netns,
    pids: namespace?.pids ?? [],
    plugins: view.plugins,
    kind: view.kind ?? null,
    mac: view.mac ?? null,
    addresses: view.addresses,
    hostInterface: hostLink?.name ?? null,
    hostIfindex: hostLink?.index ?? null,
    bridge: view.bridge ?? null,
    ports: view.ports,
    state: view.state,
    isOurs: view.isOurs,
  };
}
