/** What `weft agent --status` tells, and the metrics that are so at the moment. */
import { type Gauge, label } from "./metrics.ts";

export interface NetworkStatus {
  readonly name: string;
  readonly vni: number;
  readonly mode: string;
  readonly device: string;
  readonly bridge: string;
  /** Where the other hosts send to. */
  readonly address?: string | undefined;
  readonly isInStep: boolean;
  /** In the store: hosts and containers, with this host's. */
  readonly hosts: number;
  readonly endpoints: number;
  /** That this host's kernel has to have. */
  readonly entries: { readonly fdb: number; readonly neighbours: number; readonly routes: number };
  readonly faults: readonly string[];
}

export interface AgentStatus {
  readonly version: string;
  readonly host: string;
  /** Seconds. */
  readonly grace: number;
  readonly store: {
    readonly endpoints: readonly string[];
    readonly prefix: string;
    /** Whether what happens in it is heard of. */
    readonly isWatched: boolean;
    /** Up to which everything is known. */
    readonly revision?: string | undefined;
    /** Why it is away, and since when. */
    readonly away?: { readonly since: string; readonly reason: string } | undefined;
  };
  readonly lease?: string | undefined;
  /** Kernel and store say the same, as far as this host knows. */
  readonly isInStep: boolean;
  readonly networks: readonly NetworkStatus[];
  readonly faults: readonly string[];
}

/** As a person reads it. */
export function formatStatus(status: AgentStatus): string {
  const { host, store, isInStep, networks, faults } = status;
  const away = store.away
    ? `away since ${store.away.since}: ${store.away.reason}`
    : `revision ${store.revision}`;
  const lines = [
    `host ${host}: ${isInStep ? "in step with the store" : "not in step with the store"}`,
    `store ${store.endpoints.join(", ")} ${store.prefix}: ${away}`,
    ...faults.map((fault) => `  ${fault}`),
  ];
  for (const network of networks) {
    const { name, vni, mode, address = "none", hosts, endpoints, entries } = network;
    lines.push(
      `network ${name}: VNI ${vni}, ${mode}, ${network.isInStep ? "in step" : "not in step"}`,
      `  ${network.device} on ${network.bridge}, reached at ${address}`,
      `  in the store ${hosts} hosts, ${endpoints} containers; of others here ${entries.fdb} MACs, ` +
        `${entries.neighbours} neighbours, ${entries.routes} routes`,
      ...network.faults.map((fault) => `  ${fault}`),
    );
  }
  return lines.join("\n");
}

export function gaugesOf({ version, isInStep, store, lease, networks }: AgentStatus): Gauge[] {
  const each = (value: (network: NetworkStatus) => number) =>
    new Map(networks.map((network) => [label("network", network.name), value(network)]));
  const entries = new Map(
    networks.flatMap(({ name, entries: counts }) =>
      Object.entries(counts).map(([kind, count]) => [
        `${label("network", name)},${label("kind", kind)}`,
        count,
      ]),
    ),
  );
  return [
    { name: "info", help: "The agent's version.", values: new Map([[label("version", version), 1]]) },
    { name: "in_step", help: "1 while kernel and store say the same.", values: isInStep ? 1 : 0 },
    { name: "store_watched", help: "1 while the store is heard of.", values: store.isWatched ? 1 : 0 },
    { name: "store_revision", help: "Up to which everything is known.", values: Number(store.revision ?? 0) },
    { name: "registered", help: "1 while this host is in the store.", values: lease === undefined ? 0 : 1 },
    {
      name: "network_in_step",
      help: "The same as in_step, of a network.",
      values: each((network) => (network.isInStep ? 1 : 0)),
    },
    { name: "hosts", help: "Hosts of a network, with this one.", values: each(({ hosts }) => hosts) },
    {
      name: "endpoints",
      help: "Containers of a network, with this host's.",
      values: each(({ endpoints }) => endpoints),
    },
    { name: "entries", help: "Entries that the kernel has to have.", values: entries },
  ];
}
