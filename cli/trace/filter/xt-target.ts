/** The targets of iptables' that are kept as its own structs (linux/netfilter/xt_*.h, nf_nat.h). */
import { type Address, addressFromBytes } from "../../../lib/netaddr/address.ts";
import type { Verdict } from "../../../lib/nftables/decoded-expression.ts";
import { NF_ACCEPT, NF_DROP, NF_QUEUE } from "../../../lib/nftables/verdict.ts";
import type { HookContext } from "./hook-context.ts";
import { mappedAddress } from "./netmap.ts";
import { familyOf } from "./packet.ts";
import type { Translation } from "./rule.ts";
import type { XtMatch } from "./xt-match.ts";

/** What is done with a packet. */
export interface TargetEffect {
  /** What is not known, in words. */
  readonly unknown?: string;
  readonly verdict?: Verdict;
  /** In words, where it says more than the verdict: "reject with tcp reset". */
  readonly how?: string;
  readonly translation?: Translation;
  readonly mark?: number;
  readonly connectionMark?: number;
  readonly isUntracked?: true;
}

/** They say something to somebody, or change what no path depends on. */
const HARMLESS = new Set(
  [
    "LOG",
    "NFLOG",
    "ULOG",
    "TRACE",
    "AUDIT",
    "LED",
    "CHECKSUM",
    "TCPMSS",
    "TCPOPTSTRIP",
    "DSCP",
    "TOS",
  ].concat([
    "TTL",
    "HL",
    "ECN",
    "CLASSIFY",
    "SECMARK",
    "CONNSECMARK",
    "RATEEST",
    "IDLETIMER",
    "SET",
    "TEE",
    "ACCOUNT",
  ]),
);

/** What a target does with the packet. */
export function targetEffect({ name, revision, info }: XtMatch, context: HookContext): TargetEffect {
  if (HARMLESS.has(name)) return {};
  const view = new DataView(info.buffer, info.byteOffset, info.byteLength);
  try {
    return effectOf(name, revision, view, context) ?? { unknown: `target ${name}` };
  } catch (error) {
    if (error instanceof RangeError) return { unknown: `target ${name}` }; // shorter than any that is known
    throw error;
  }
}

function effectOf(
  name: string,
  revision: number,
  info: DataView,
  context: HookContext,
): TargetEffect | undefined {
  switch (name) {
    case "MASQUERADE":
      return { ...decide(NF_ACCEPT, "masquerade"), translation: { end: "source", address: "here" } };
    case "DNAT":
      return {
        ...decide(NF_ACCEPT, "dnat"),
        translation: { end: "destination", ...rangeOf(info, revision, context) },
      };
    case "SNAT":
      return {
        ...decide(NF_ACCEPT, "snat"),
        translation: { end: "source", ...rangeOf(info, revision, context) },
      };
    case "NETMAP": {
      const end = context.hook === "prerouting" || context.hook === "output" ? "destination" : "source";
      const network = networkOf(info, revision, context);
      const address = mappedAddress(context.packet[end], network);
      return { ...decide(NF_ACCEPT, "netmap"), translation: { end, address } };
    }
    case "REDIRECT": {
      const { port } = rangeOf(info, revision, context);
      return {
        ...decide(NF_ACCEPT, "redirect"),
        translation: { end: "destination", address: "here", port },
      };
    }
    case "REJECT":
      return decide(NF_DROP, "reject");
    case "NFQUEUE":
      return decide(NF_QUEUE, "queue");
    case "TPROXY":
      return decide(NF_ACCEPT, "tproxy");
    case "NOTRACK":
      return { isUntracked: true };
    case "CT":
      return (info.getUint16(0, true) & 1) !== 0 ? { isUntracked: true } : {};
    case "MARK": {
      const [value, mask] = [info.getUint32(0, true), info.getUint32(4, true)];
      return revision < 2 ? undefined : { mark: ((context.mark & ~mask) ^ value) >>> 0 };
    }
    case "CONNMARK":
      return connectionMark(info, revision, context);
    default:
      return undefined;
  }
}

function decide(code: number, how: string): TargetEffect {
  return { verdict: { code }, how };
}

const MAP_IPS = 1;
const PROTO_SPECIFIED = 2;

/**
 * struct nf_nat_range: u32 flags, addresses of 16 bytes, ports; or the older one of IPv4, u32 count, flags,
 * addresses of 4 bytes. The first of a range is as good as any.
 */
function rangeOf(
  info: DataView,
  revision: number,
  context: HookContext,
): Pick<Translation, "address" | "port"> {
  const isOld = familyOf(context.packet) === 4 && revision === 0;
  const flags = info.getUint32(isOld ? 4 : 0, true);
  const addressAt = isOld ? 8 : 4;
  const portAt = isOld ? 16 : 36;
  const bytes = familyOf(context.packet) === 4 ? 4 : 16;
  const address = new Uint8Array(info.buffer, info.byteOffset + addressAt, bytes);
  return {
    ...(flags & MAP_IPS && { address: addressFromBytes(address) }),
    ...(flags & PROTO_SPECIFIED && { port: info.getUint16(portAt, false) }),
  };
}

/** The same struct's first and last address. */
function networkOf(info: DataView, revision: number, { packet }: HookContext): readonly [Address, Address] {
  const isV4 = familyOf(packet) === 4;
  const isOld = isV4 && revision === 0;
  const address = (at: number) =>
    addressFromBytes(new Uint8Array(info.buffer, info.byteOffset + at, isV4 ? 4 : 16).slice());
  return isOld ? [address(8), address(12)] : [address(4), address(20)];
}

/**
 * struct xt_connmark_tginfo1: u32 ctmark, ctmask, nfmask, u8 mode; of revision 2 the mode comes after a shift
 */
function connectionMark(info: DataView, revision: number, { mark, tracked }: HookContext): TargetEffect {
  if (typeof tracked !== "object") return {};
  const [SET, SAVE] = [0, 1];
  const [value, ctMask, nfMask] = [info.getUint32(0, true), info.getUint32(4, true), info.getUint32(8, true)];
  const now = tracked.connection.mark;
  const mode = info.getUint8(revision < 2 ? 12 : 14);
  if (mode === SET) return { connectionMark: ((now & ~ctMask) ^ value) >>> 0 };
  if (mode === SAVE) return { connectionMark: ((now & ~ctMask) ^ (mark & nfMask)) >>> 0 };
  return { mark: ((mark & ~nfMask) ^ (now & ctMask)) >>> 0 };
}
