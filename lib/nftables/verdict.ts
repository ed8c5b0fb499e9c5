/** What a rule or a chain says is to become of a packet: its numbers in the kernel. */

// linux/netfilter.h NF_*, linux/netfilter/nf_tables.h NFT_*
export const NF_DROP = 0;
export const NF_ACCEPT = 1;
export const NF_STOLEN = 2;
export const NF_QUEUE = 3;
export const NFT_CONTINUE = -1;
export const NFT_BREAK = -2;
export const NFT_JUMP = -3;
export const NFT_GOTO = -4;
export const NFT_RETURN = -5;
