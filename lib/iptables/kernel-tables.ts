/**
 * What the kernel knows of iptables' tables, asked without running a program: over netlink for the variant
 * that is built on nf_tables, in /proc/net/ip_tables_names for the legacy one.
 *
 * Reference: linux/netfilter/nf_tables.h, linux/netfilter/nfnetlink.h.
 */
import type { Family } from "../netaddr/address.ts";
import { attributes } from "../netlink/attributes.ts";
import { NetlinkError, unlessMissing } from "../netlink/error.ts";
import { messageCodec } from "../netlink/message.ts";
import { NetlinkSocket } from "../netlink/socket.ts";
import { be16, be32, cstring, struct, u8 } from "../netlink/wire.ts";
import { isErrno } from "../sys/errno.ts";
import { findTextFile } from "../sys/file.ts";

const NETLINK_NETFILTER = 12;
const NFNL_SUBSYS_NFTABLES = 10;
const NFT_MSG_GETTABLE = 1;
const NFT_MSG_GETCHAIN = 4;
const NFT_MSG_GETGEN = 16;
const NFPROTO = { 4: 2, 6: 10 } as const;
/** NF_DROP (linux/netfilter.h) */
const NF_DROP = 0;

const nfgenmsg = struct({ nfgenFamily: u8, version: u8, resId: be16 });
const tableMessage = messageCodec(nfgenmsg, attributes("NFTA_TABLE", { name: [1, cstring] }));
const chainMessage = messageCodec(
  nfgenmsg,
  attributes("NFTA_CHAIN", { table: [1, cstring], name: [3, cstring], policy: [5, be32] }),
);

/** Whether this kernel has nf_tables; asking loads the module. @throws NetlinkError without CAP_NET_ADMIN */
export function hasNftables(): boolean {
  return unlessNoNftables(false, (socket) => {
    socket.get({
      doing: "ask for the generation of the ruleset",
      name: "NFT_MSG_GETGEN",
      type: (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETGEN,
      codec: messageCodec(nfgenmsg, attributes("NFTA_GEN", {})),
      header: {},
      attributes: {},
    });
    return true;
  });
}

/** Whether a table of iptables' is there, in either variant. */
export function hasTable(family: Family, table: string): boolean {
  return hasLegacyTable(family, table) || hasNftTable(family, table);
}

/** Whether the legacy variant's table is there. */
export function hasLegacyTable(family: Family, table: string): boolean {
  const names = findTextFile(`/proc/thread-self/net/${family === 4 ? "ip" : "ip6"}_tables_names`);
  return names?.split("\n").includes(table) ?? false;
}

function hasNftTable(family: Family, table: string): boolean {
  return unlessNoNftables(false, (socket) => {
    const found = unlessMissing(() =>
      socket.get({
        doing: `find table ${table}`,
        name: "NFT_MSG_GETTABLE",
        type: (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETTABLE,
        codec: tableMessage,
        header: { nfgenFamily: NFPROTO[family] },
        attributes: { name: table },
      }),
    );
    return found !== undefined;
  });
}

/** Whether the variant built on nf_tables drops what no rule of its FORWARD accepts. */
export function dropsForwarded(family: Family): boolean {
  return unlessNoNftables(false, (socket) => {
    const chain = unlessMissing(() =>
      socket.get({
        doing: "find chain FORWARD of table filter",
        name: "NFT_MSG_GETCHAIN",
        type: (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETCHAIN,
        codec: chainMessage,
        header: { nfgenFamily: NFPROTO[family] },
        attributes: { table: "filter", name: "FORWARD" },
      }),
    );
    return chain?.policy === NF_DROP;
  });
}

/** What `ask` returns; `otherwise` where the kernel has no nf_tables (EINVAL), or no netfilter at all. */
function unlessNoNftables<T>(otherwise: T, ask: (socket: NetlinkSocket) => T): T {
  try {
    using socket = new NetlinkSocket(NETLINK_NETFILTER);
    return ask(socket);
  } catch (error) {
    const isAbsent =
      error instanceof NetlinkError
        ? error.code === "EINVAL" || error.code === "EOPNOTSUPP"
        : isErrno(error, "EPROTONOSUPPORT");
    if (isAbsent) return otherwise;
    throw error;
  }
}
