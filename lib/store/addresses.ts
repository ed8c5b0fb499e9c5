/**
 * Addresses of a network, unique over all its hosts: each is claimed by one transaction, which puts it and
 * who holds it where nobody has it. There is no lock: of two who want an address, one gets it.
 */
import { CniError } from "../cni/error.ts";
import { absent, getOp, putOp } from "../etcd/transaction.ts";
import { freeCandidates, randomCandidate } from "../ipam/random.ts";
import { candidatesAfter, findRange, parseRangeSets, type RangeKeys, type RangeSet } from "../ipam/ranges.ts";
import { cannotLease, leasedBefore, noneLeft, notAvailableText } from "../ipam/refusal.ts";
import { formatAddress, parseAddress } from "../netaddr/address.ts";
import { rangeSize } from "../netaddr/range.ts";
import { type Claim, type Holder, listClaims, listOwnClaims, releaseClaims } from "./holders.ts";
import { type AddressValue, attachmentKey, decodeValue, encodeValue, formatHolder } from "./layout.ts";
import { machineId } from "./machine.ts";
import { StoreAwayError } from "./protocol.ts";
import type { Store } from "./store.ts";
import { sweepWhenDue } from "./sweep.ts";
import { forgetSwept } from "./swept.ts";

/** Addresses that are tried at random before all that are taken are read. */
const PROBES = 8;
/** Of a range at most, network, gateway and broadcast address are never leased. */
const RESERVED = 3n;

/** Sets of ranges as parseRangeSets() takes them. */
type SetKeys = readonly (readonly RangeKeys[])[];

export interface ClaimInput extends Holder {
  /** One address is claimed of each. */
  readonly sets: SetKeys;
  /** Which address of the set, where one was asked for. */
  readonly requested: readonly (string | null)[];
  /** Of this ADD alone. */
  readonly attempt: string;
  /** Whether an ADD of the attachment before this one may count on what it claimed. */
  readonly isRepeated: boolean;
}

interface Wanted {
  readonly set: RangeSet;
  readonly index: number;
  readonly requested: string | null;
}

/**
 * Claims an address of each set, or none. Nothing of what another has claimed for the same attempt is used:
 * an agent that did not answer in time may be about to give it back. It is released.
 * @throws CniError in host-local's words; 7 without a machine-id
 */
export async function claimAddresses(store: Store, asked: ClaimInput): Promise<{ addresses: string[] }> {
  const input: ClaimInput = { ...asked, attempt: `${asked.attempt}/${crypto.randomUUID()}` };
  await sweepWhenDue(store);
  const sets = parseSets(input.sets);
  const earlier = await listOwnClaims(store, input);
  const isOfThisAdd = (claim: Claim) => isOfAttempt(claim, asked.attempt);
  const others = earlier.filter((claim) => !isOfThisAdd(claim));
  if (input.isRepeated) refuseSecondClaim(store, others, sets);
  // Without a record the others are of one that is gone, and whose DEL did not get here.
  await releaseClaims(store, input.isRepeated ? earlier.filter(isOfThisAdd) : earlier);
  try {
    const addresses: string[] = [];
    for (const [index, set] of sets.entries()) {
      addresses.push(
        await claimOneOf(store, input, { set, index, requested: input.requested[index] ?? null }),
      );
    }
    return { addresses };
  } catch (error) {
    await giveBack(store, input);
    throw error;
  }
}

/** Releases what the attachment holds; with an attempt what was claimed for that one. */
export async function releaseAddresses(
  store: Store,
  { attempt, ...holder }: Holder & { attempt?: string },
): Promise<void> {
  const claims = await listOwnClaims(store, holder);
  await releaseClaims(
    store,
    claims.filter((claim) => attempt === undefined || isOfAttempt(claim, attempt)),
  );
  await sweepWhenDue(store);
}

/** Releases what attachments to the network hold on this host that are not among the valid ones. */
export async function releaseStaleAddresses(
  store: Store,
  input: { network: string; valid: readonly { containerID: string; ifname: string }[] },
): Promise<void> {
  const { network, valid } = input;
  const kept = new Set(
    valid.map(({ containerID, ifname }) => attachmentKey({ containerId: containerID, ifname })),
  );
  const claims = await listOwnClaims(store, { network });
  const stale = claims.filter((claim) => !kept.has(attachmentKey(claim)));
  await releaseClaims(store, stale);
}

/** What the attachment holds, and who holds the addresses: null is nobody. */
export async function readHolders(
  store: Store,
  input: Holder & { addresses: readonly string[] },
): Promise<{ held: string[]; holders: (AddressValue | null)[] }> {
  const { client, keys, deadline } = store;
  const { network, addresses } = input;
  const found = addresses.map((address) => client.range(keys.address(network, address), { deadline }));
  const [claims, ...others] = await Promise.all([listClaims(store, input), ...found]);
  return {
    held: claims.map(({ address }) => address),
    holders: others.map(({ kvs: [kv] }) => (kv ? holderOf(kv.value) : null)),
  };
}

/** The first set of which every address is claimed; null when each has a free one. Changes nothing. */
export async function findFullSet(
  store: Store,
  input: { network: string; sets: SetKeys },
): Promise<{ index: number | null }> {
  const sets = parseSets(input.sets);
  const { client, keys, deadline } = store;
  const start = keys.addresses(input.network);
  const { count } = await client.range(start, { prefix: true, limit: 1, keysOnly: true, deadline });
  if (sets.every((set) => fewest(set) > count)) return { index: null };
  const taken = await listTaken(store, input.network);
  const index = sets.findIndex(
    (set) => !candidatesAfter(set, undefined).some(({ address }) => !taken.has(formatAddress(address))),
  );
  return { index: index < 0 ? null : index };
}

async function claimOneOf(store: Store, input: ClaimInput, wanted: Wanted): Promise<string> {
  const { set, index, requested } = wanted;
  if (requested === null) return claimFree(store, input, wanted);
  const holder = await claim(store, input, requested);
  if (!holder) return requested;
  const details = `it is leased to ${formatHolder(holder)}`;
  throw cannotLease(index, notAvailableText(requested, set), { code: CniError.TRY_AGAIN_LATER, details });
}

/** Any free address: at first by chance, then by looking which are. */
async function claimFree(store: Store, input: ClaimInput, { set, index }: Wanted): Promise<string> {
  for (let probe = 0; probe < PROBES; probe++) {
    const candidate = randomCandidate(set);
    if (!candidate) continue;
    const name = formatAddress(candidate.address);
    if (!(await claim(store, input, name))) return name;
  }
  while (performance.now() < store.deadline) {
    const candidates = freeCandidates(set, await listTaken(store, input.network));
    if (candidates.length === 0) throw noneLeft(set, index);
    for (const { address } of candidates) {
      const name = formatAddress(address);
      if (!(await claim(store, input, name))) return name;
    }
  }
  throw new StoreAwayError("others were faster at each free address; try again");
}

/** Claims the address. @returns who has it, when that is another */
async function claim(store: Store, input: ClaimInput, address: string): Promise<AddressValue | undefined> {
  const { client, keys, host, deadline } = store;
  const { network, containerId, ifname, attempt } = input;
  const content: AddressValue = { host, containerId, ifname, attempt, machine: machineId() };
  const value = encodeValue(content);
  const key = keys.address(network, address);
  const { succeeded, responses } = await client.txn(
    {
      compare: [absent(key)],
      success: [putOp(key, value), putOp(keys.holders(host, network, attachmentKey(input)) + address, value)],
      failure: [getOp(key)],
    },
    { deadline },
  );
  const found = responses[0]?.kvs[0]?.value ?? "";
  // The first of two tries may have succeeded, and its answer got lost.
  return succeeded || found === value ? undefined : holderOf(found);
}

/** A claim is a claim even where it cannot be read. */
function holderOf(text: string): AddressValue {
  const nobody = { host: "", containerId: "nobody known", ifname: "", attempt: "", machine: "" };
  return decodeValue<AddressValue>(text) ?? nobody;
}

/** Of an ADD's attempt, whoever claimed it; or of one claimAddresses() of it. */
function isOfAttempt({ value }: Claim, attempt: string): boolean {
  return value?.attempt === attempt || value?.attempt.startsWith(`${attempt}/`) === true;
}

/** What this call claimed before it failed. Where that cannot be reached any more it is for the sweep. */
async function giveBack(store: Store, input: ClaimInput): Promise<void> {
  try {
    await releaseAddresses(store, input);
  } catch {
    forgetSwept(store.settings);
  }
}

function refuseSecondClaim({ keys }: Store, claims: readonly Claim[], sets: readonly RangeSet[]): void {
  for (const [index, set] of sets.entries()) {
    const claim = claims.find(({ address }) => findRange(set, parseAddress(address)));
    if (!claim) continue;
    const where = keys.address(claim.network, claim.address);
    throw leasedBefore(index, { ...claim, where });
  }
}

async function listTaken({ client, keys, deadline }: Store, network: string): Promise<Set<string>> {
  const start = keys.addresses(network);
  const { kvs } = await client.listAll(start, { keysOnly: true, deadline });
  return new Set(kvs.map(({ key }) => key.slice(start.length)));
}

/** How many addresses the set has at least. */
function fewest(set: RangeSet): bigint {
  return set.reduce((sum, range) => sum + rangeSize(range) - RESERVED, 0n);
}

function parseSets(ranges: SetKeys): readonly RangeSet[] {
  return parseRangeSets({ cniVersion: "1.1.0", ipam: { ranges }, runtimeConfig: { ipRanges: [] } });
}
