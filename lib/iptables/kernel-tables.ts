/**
 * What the kernel knows of iptables' tables, asked without running a program: over netlink for the variant
 * that is built on nf_tables, in /proc/net/ip_tables_names for the legacy one.
 */
import type { Family } from "../netaddr/address.ts";
import { netfilterSocket } from "../netfilter/socket.ts";
import { NetlinkError } from "../netlink/error.ts";
import { findPolicy, findTableComment, readGeneration } from "../nftables/query.ts";
import type { TableName } from "../nftables/table.ts";
import { isErrno } from "../sys/errno.ts";
import { findTextFile } from "../sys/file.ts";

/** NF_DROP (linux/netfilter.h) */
const NF_DROP = 0;

/** Whether this kernel has nf_tables; asking loads the module. @throws NetlinkError without CAP_NET_ADMIN */
export function hasNftables(): boolean {
  return unlessNoNftables(false, () => readGeneration(netfilterSocket()) >= 0);
}

/** Whether the table of the variant built on nf_tables is there. */
export function hasNftTable(family: Family, name: string): boolean {
  const comment = () => findTableComment(netfilterSocket(), tableOf(family, name));
  return unlessNoNftables(undefined, comment) !== undefined;
}

/** Whether the legacy variant's table is there. */
export function hasLegacyTable(family: Family, table: string): boolean {
  const path = `/proc/thread-self/net/${family === 4 ? "ip" : "ip6"}_tables_names`;
  try {
    return findTextFile(path)?.split("\n").includes(table) ?? false;
  } catch (error) {
    // In a user namespace the file is somebody else's; the
    // legacy iptables, which reads it, cannot work there.
    if (isErrno(error, "EACCES")) return false;
    throw error;
  }
}

/** Whether the variant built on nf_tables drops what no rule of its FORWARD accepts. */
export function dropsForwarded(family: Family): boolean {
  const policy = () => findPolicy(netfilterSocket(), tableOf(family, "filter"), "FORWARD");
  return unlessNoNftables(undefined, policy) === NF_DROP;
}

function tableOf(family: Family, name: string): TableName {
  return { family: family === 4 ? "ip" : "ip6", name };
}

/** What `ask` returns; `otherwise` where the kernel has no nf_tables (EINVAL), or no netfilter at all. */
function unlessNoNftables<T>(otherwise: T, ask: () => T): T {
  try {
    return ask();
  } catch (error) {
    const isAbsent =
      error instanceof NetlinkError
        ? error.code === "EINVAL" || error.code === "EOPNOTSUPP"
        : isErrno(error, "EPROTONOSUPPORT");
    if (isAbsent) return otherwise;
    throw error;
  }
}
