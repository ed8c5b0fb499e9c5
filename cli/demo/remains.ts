/** Everything that an attachment can leave on a host, to be compared before and after. */
import { existsSync, readdirSync } from "node:fs";
import { isIP } from "node:net";
import { look } from "./look.ts";

const PLACES = {
  namespaces: "/run/netns",
  leases: "/var/lib/cni/networks",
  records: "/run/weft/attachments",
  results: "/var/lib/cni/results",
  ports: "/run/weft/ports",
  claims: "/run/weft/claims",
} as const;

const KINDS = ["links", "namespaces", "leases", "records", "results", "ports", "claims", "elements"] as const;

/** Names of what is there, by kind. */
export type Remains = Readonly<Record<(typeof KINDS)[number], readonly string[]>>;

/** @param others names of the host's interfaces, and of the elements in our tables */
export function remainsOf(others: Pick<Remains, "links" | "elements">): Remains {
  return {
    ...others,
    namespaces: filesUnder(PLACES.namespaces),
    // Beside a file for each address there are a lock and where the next search begins.
    leases: filesUnder(PLACES.leases).filter((path) => isIP(path.split("/").at(-1) ?? "")),
    records: filesUnder(PLACES.records),
    results: filesUnder(PLACES.results),
    ports: filesUnder(PLACES.ports),
    claims: filesUnder(PLACES.claims),
  };
}

/** What is in the sets and maps of the packet filter: a name for each element. */
export function listElements(): string[] {
  // in nft's own form
  const { nftables = [] } = JSON.parse(look("nft -j list ruleset").stdout || "{}") as Ruleset;
  return nftables.flatMap(({ set, map }) => {
    const { name = "", elem = [] } = set ?? map ?? {};
    return elem.map((element) => `${name} ${JSON.stringify(element)}`);
  });
}

interface Ruleset {
  readonly nftables?: readonly { readonly set?: NamedSet; readonly map?: NamedSet }[];
}

interface NamedSet {
  readonly name: string;
  readonly elem?: readonly unknown[];
}

/** "link veth1a2b" for what `after` has and `before` has not; "no link br0" the other way. */
export function differences(before: Remains, after: Remains): string[] {
  return KINDS.flatMap((kind) => {
    const word = kind.slice(0, -1);
    return [
      ...after[kind].filter((name) => !before[kind].includes(name)).map((name) => `${word} ${name}`),
      ...before[kind].filter((name) => !after[kind].includes(name)).map((name) => `no ${word} ${name}`),
    ];
  });
}

function filesUnder(directory: string): string[] {
  if (!existsSync(directory)) return [];
  const entries = readdirSync(directory, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map(({ parentPath, name }) => `${parentPath}/${name}`.slice(directory.length + 1))
    .sort();
}
