/** A subnet that nobody on this host has, for a network whose user names none. */
import { type Address, addressBits, addressFromBytes, type Family } from "../../lib/netaddr/address.ts";
import { type Prefix, parsePrefix } from "../../lib/netaddr/prefix.ts";
import { findOverlap, type Occupied } from "./occupied.ts";

/**
 * Private networks (RFC 1918), in the order in which they are tried. The first has none of the subnets that
 * Docker (172.17.0.0/16), podman (10.88.0.0/16), nerdctl (10.4.0.0/24) and the usual clusters (10.244.0.0/16,
 * 10.96.0.0/12, 10.42.0.0/15) take.
 */
const POOLS: readonly Prefix[] = ["10.224.0.0/12", "172.16.0.0/12", "192.168.0.0/16"].map(parsePrefix);
const LENGTH: Readonly<Record<Family, number>> = { 4: 24, 6: 64 };
/** fd00::/8 and 40 random bits, of which RFC 4193 §3.2.2 makes a network that nobody else has. */
const UNIQUE_LOCAL = 0xfd;
const GLOBAL_ID_BYTES = 5;
const ATTEMPTS = 16;

/** @throws Error where there is none */
export function freeSubnet(
  family: Family,
  occupied: readonly Occupied[],
  { length = LENGTH[family] }: { length?: number } = {},
): Prefix {
  const candidates = family === 4 ? privateSubnets(length) : uniqueLocalSubnets(length);
  for (const prefix of candidates) if (!findOverlap({ prefix }, occupied)) return prefix;
  throw new Error(`no free IPv${family} subnet of length /${length}: name one, with --subnet`);
}

function* privateSubnets(length: number): Generator<Prefix> {
  for (const { address, length: poolLength } of POOLS) {
    const step = 1n << BigInt(addressBits(4) - length);
    const end = address.value + (1n << BigInt(addressBits(4) - poolLength));
    for (let value = address.value; value + step <= end; value += step) {
      yield { address: { family: 4, value }, length };
    }
  }
}

function* uniqueLocalSubnets(length: number): Generator<Prefix> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) yield { address: uniqueLocalNetwork(), length };
}

function uniqueLocalNetwork(): Address {
  const bytes = new Uint8Array(addressBits(6) / 8);
  bytes[0] = UNIQUE_LOCAL;
  crypto.getRandomValues(bytes.subarray(1, 1 + GLOBAL_ID_BYTES));
  return addressFromBytes(bytes);
}
