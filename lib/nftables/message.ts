/** The messages of nf_tables, and the flags that several of them share: linux/netfilter/nf_tables.h. */

export const NFNL_SUBSYS_NFTABLES = 10;
export const NFT_TABLE_F_DORMANT = 1;
export const NFT_SET_INTERVAL = 4;
export const NFT_SET_MAP = 8;
export const NFT_SET_CONCAT = 0x80;

/** NFT_MSG_* */
const NUMBERS = {
  NEWTABLE: 0,
  GETTABLE: 1,
  DELTABLE: 2,
  NEWCHAIN: 3,
  GETCHAIN: 4,
  DELCHAIN: 5,
  NEWRULE: 6,
  GETRULE: 7,
  DELRULE: 8,
  NEWSET: 9,
  GETSET: 10,
  NEWSETELEM: 12,
  GETSETELEM: 13,
  DELSETELEM: 14,
  GETGEN: 16,
  TRACE: 17,
} as const;

export type MessageName = keyof typeof NUMBERS;

/** What netlink requests need to know of a message: its name for errors, and nlmsg_type. */
export function messageKind(name: MessageName): { name: string; type: number } {
  return { name: `NFT_MSG_${name}`, type: (NFNL_SUBSYS_NFTABLES << 8) | NUMBERS[name] };
}
