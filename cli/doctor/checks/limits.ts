/** Tables of the kernel that are full, or as good as full. */
import {
  listNeighbours,
  NTF_EXT_LEARNED,
  NUD_NOARP,
  NUD_PERMANENT,
} from "../../../lib/rtnetlink/neighbour.ts";
import { readNeighbourTable } from "../../../lib/rtnetlink/neighbour-table.ts";
import { shell } from "../../terminal/shell.ts";
import { type Finding, finding } from "../finding.ts";
import type { Host } from "../host.ts";

/** Of the limit. */
const NEARLY = 0.95;

export function checkLimits(host: Host): Finding[] {
  return [...neighbourTableFull(host, 4), ...neighbourTableFull(host, 6), ...conntrackFull(host)];
}

/**
 * The table is the machine's: all network namespaces are in its count, whether they are seen or not. So what
 * is counted here is what is seen, but for entries that the kernel does not count (net/core/neighbour.c,
 * neigh_alloc()).
 */
function neighbourTableFull({ stack, view }: Host, family: 4 | 6): Finding[] {
  const table = readNeighbourTable(stack.socket, family);
  if (!table || table.entries < NEARLY * table.limit) return [];
  const counted = view.stacks
    .flatMap(({ socket }) => listNeighbours(socket, { family }))
    .filter(
      ({ state, flags = 0 }) => !(state & (NUD_PERMANENT | NUD_NOARP)) && !(flags & NTF_EXT_LEARNED),
    ).length;
  if (counted < NEARLY * table.limit) return [];
  const key = `net.ipv${family}.neigh.default.gc_thresh`;
  const refused = table.refusals > 0 ? `; ${table.refusals} were refused since the boot` : "";
  const evidence = `${counted} entries, and ${key}3 allows ${table.limit}${refused}`;
  const settings = [1, 2, 3].map((n) => `${key}${n}=${table.limit * 2 ** (n - 1)}`);
  return [
    finding("neighbour-table-full", {
      subject: table.name,
      evidence,
      remedy: shell`sysctl -w ${settings}`,
    }),
  ];
}

function conntrackFull({ stack }: Host): Finding[] {
  const [count, limit] = ["count", "max"].map((name) =>
    Number(stack.sysctl(`net/netfilter/nf_conntrack_${name}`)),
  );
  // 0 is no limit; without the module there is neither
  if (!limit || !count || count < NEARLY * limit) return [];
  const evidence = `${count} connections, and net.netfilter.nf_conntrack_max is ${limit}`;
  const remedy = shell`sysctl -w net.netfilter.nf_conntrack_max=${2 * limit}`;
  return [finding("conntrack-full", { subject: "conntrack", evidence, remedy })];
}
