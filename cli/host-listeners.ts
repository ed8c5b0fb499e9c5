/**
 * Who listens on the ports of this host: sockets of this namespace, and the process that has each open.
 * Equivalent to `ss -lnptu`.
 *
 * Reference: proc(5), /proc/net/tcp and /proc/PID/fd; linux/include/net/tcp_states.h.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { type Address, addressFromBytes } from "../lib/netaddr/address.ts";
import { printable } from "./terminal/printable.ts";

const PROTOCOLS = ["tcp", "udp"] as const;

/** States of a socket that takes what comes from anyone: TCP_LISTEN, and TCP_CLOSE for UDP. */
const LISTENING = { tcp: "0A", udp: "07" } as const;

/** How an IPv4 address is written as an IPv6 one: ::ffff:0:0/96. */
const MAPPED = 0xffffn;

export interface Listener {
  readonly protocol: (typeof PROTOCOLS)[number];
  /** 0.0.0.0 or :: for any; :: takes IPv4 too, unless the program wanted otherwise. */
  readonly address: Address;
  readonly port: number;
  /** Names the socket in /proc/PID/fd. */
  readonly inode: string;
}

export interface Process {
  readonly pid: number;
  readonly name: string;
}

/** All of them. @throws Error when /proc cannot be read */
export function listListeners(): Listener[] {
  return PROTOCOLS.flatMap((protocol) =>
    ["", "6"].flatMap((family) => {
      const text = unlessGone("", () => readFileSync(`/proc/self/net/${protocol}${family}`, "utf8"));
      return parseListeners(protocol, text);
    }),
  );
}

/** @param table what /proc/net/tcp, tcp6, udp or udp6 says */
export function parseListeners(protocol: Listener["protocol"], table: string): Listener[] {
  const rows = table.trimEnd().split("\n").slice(1);
  return rows.flatMap((row) => {
    const [, local = "", , state, , , , , , inode = ""] = row.trim().split(/\s+/);
    if (state !== LISTENING[protocol]) return [];
    const [address = "", port = ""] = local.split(":");
    return [{ protocol, address: parseHexAddress(address), port: Number.parseInt(port, 16), inode }];
  });
}

/** The processes that have one of the sockets open, by its inode; of several the first. */
export function findHolders(inodes: ReadonlySet<string>): Map<string, Process> {
  const holders = new Map<string, Process>();
  const pids = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
  for (const pid of pids.sort((a, b) => a - b)) {
    for (const fd of unlessGone([], () => readdirSync(`/proc/${pid}/fd`))) {
      const target = unlessGone("", () => readlinkSync(`/proc/${pid}/fd/${fd}`));
      const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1];
      if (inode === undefined || !inodes.has(inode) || holders.has(inode)) continue;
      const name = unlessGone("?", () => printable(readFileSync(`/proc/${pid}/comm`, "utf8").trimEnd()));
      holders.set(inode, { pid, name });
    }
  }
  return holders;
}

/** Words of 32 bits, each a number as this machine has it. */
function parseHexAddress(hex: string): Address {
  const words = Uint32Array.from(hex.match(/.{8}/g) ?? [], (word) => Number.parseInt(word, 16));
  const address = addressFromBytes(new Uint8Array(words.buffer));
  if (address.family === 4 || address.value >> 32n !== MAPPED) return address;
  return { family: 4, value: address.value & 0xffff_ffffn };
}

/** A process may end, or be another user's, while it is looked at; a kernel may have no IPv6. */
function unlessGone<T>(otherwise: T, look: () => T): T {
  try {
    return look();
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ENOENT" || code === "ESRCH" || code === "EACCES" || code === "EPERM") return otherwise;
    throw error;
  }
}
