/** What holds of endpoints that are on an interface of the host, with the world outside at its other end. */
import type { Endpoint } from "./endpoint.ts";
import { look, lookJson } from "./look.ts";
import { addressOf } from "./outside.ts";
import type { Stage } from "./stage.ts";

interface DetailedLink {
  readonly address: string;
  readonly link_index?: number;
  readonly flags: readonly string[];
  readonly linkinfo?: { readonly info_kind: string; readonly info_data?: { readonly mode?: string } };
}

/** It is of the kind and in the mode, on this master: "macvlan", "bridge". */
export function proveKind(
  stage: Stage,
  { sandbox, ifname, base }: Endpoint,
  kind: string,
  mode: string,
): void {
  const [link] = lookJson<DetailedLink>(`ip -d -j -n ${sandbox} link show ${ifname}`);
  const { info_kind, info_data } = link?.linkinfo ?? {};
  const master = stage.interface(base.name);
  stage.narrator.proof(
    `${ifname}@if${link?.link_index} of ${sandbox} is of kind ${info_kind}, mode ${info_data?.mode}, ` +
      `on ${base.name}, the host's interface ${master?.ifindex}`,
    { holds: info_kind === kind && info_data?.mode === mode && link?.link_index === master?.ifindex },
  );
}

/** Whoever asks by ARP learns this MAC for the address. */
export function proveNeighbour(
  { narrator }: Stage,
  asker: { readonly name: string; readonly uplink: string },
  { address, mac, whose }: { address: string; mac: string; whose: string },
): void {
  const wanted = addressOf(address);
  look(`ip -n ${asker.name} neigh flush to ${wanted} dev ${asker.uplink}`);
  look(`ip netns exec ${asker.name} ping -n -c 1 -W 1 ${wanted}`);
  const [entry] = lookJson<{ lladdr?: string }>(`ip -j -n ${asker.name} neigh show to ${wanted}`);
  narrator.proof(`${asker.name} finds ${wanted} at ${entry?.lladdr ?? "no MAC"}, which is ${whose}`, {
    holds: entry?.lladdr === mac,
  });
}
