/** What a picture shows, as --json gives it: facts; documented in weft-topology(1), and kept as they are. */
import type { Base, Cable, End, HostPicture } from "./host-picture.ts";

export function pictureJson({ title, bases, others, islands }: HostPicture) {
  const ends = bases.flatMap(({ cables }) => cables.flatMap(({ end }) => end ?? []));
  return {
    nodes: [
      { name: title, kind: "host" },
      ...eachOnce(ends),
      ...islands.map((name) => ({ name, kind: "namespace" })),
    ],
    interfaces: bases.map(({ name, kind, networks, isInternal, isUplink, isUp, addresses }) => ({
      name,
      kind,
      networks,
      isInternal,
      isUplink,
      isUp,
      addresses,
    })),
    links: bases.flatMap((base) => base.cables.map((cable) => linkJson(base, cable))),
    others,
  };
}

/** The same name is the same node. */
function eachOnce(ends: readonly End[]): { name: string; kind: End["kind"] }[] {
  const nodes = ends.map(({ title, kind }): [string, { name: string; kind: End["kind"] }] => [
    `${kind} ${title}`,
    { name: title, kind },
  ]);
  return [...new Map(nodes).values()];
}

function linkJson({ name }: Base, { port, isUp, end }: Cable) {
  return {
    interface: name,
    port,
    isUp,
    node: end?.title,
    ifname: end?.ifname || undefined,
    network: end?.network || undefined,
    addresses: end?.addresses ?? [],
    ports: end?.ports ?? [],
  };
}
