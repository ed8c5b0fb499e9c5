/**
 * conditionsV4 and conditionsV6 in words of nft, as the statements of a rule.
 *
 *     ip saddr 10.0.0.0/8 iifname != { "eth1", "wg*" } meta mark and 0xff == 1 tcp sport 1024-65535
 *
 * The words that a condition on a published port needs: addresses, interfaces, the mark, source ports. One
 * that is not among them is refused by name. A set makes several rules, of which any may match.
 */
import { CniError } from "../cni/error.ts";
import { addressBits, addressBytes, type Family, formatAddress, parseAddress } from "../netaddr/address.ts";
import { firstAddress, formatPrefix, networkOf, type Prefix, parsePrefix } from "../netaddr/prefix.ts";
import {
  daddr,
  hasBits,
  iifname,
  inRange,
  is,
  isBytes,
  l4proto,
  mark,
  oifname,
  type Selector,
  type Statement,
  saddr,
  thSport,
} from "../nftables/statement.ts";

/** The statements of one rule. */
export type Condition = readonly Statement[];

/** That a value holds; with `not`, that it does not. */
type Matcher = (value: string, options: { readonly not: boolean }) => Condition;

const PORT_MAX = 65_535;
/** Of the ways in which a container's words can hold: each is a rule for each of its ports. */
const CONDITIONS_MAX = 256;

/** What fulfils the words: any of the conditions. @throws CniError 7 that names the word it does not know */
export function parseConditions(words: readonly string[], family: Family): Condition[] {
  const key = `conditionsV${family}`;
  const tokens = tokenize(words.join(" "));
  let at = 0;
  const next = (): string => {
    const token = tokens[at++];
    if (token === undefined) throw refuse(key, `ends after "${tokens.at(-1)}"`);
    return token;
  };
  const accept = (...wanted: string[]): boolean => {
    const found = wanted.includes(tokens[at] ?? "");
    if (found) at++;
    return found;
  };
  const values = (): string[] => {
    const found = [next()];
    if (found[0] !== "{") return found;
    for (found.length = 0; !accept("}"); accept(",")) found.push(next());
    return found;
  };

  let conditions: Condition[] = [[]];
  while (at < tokens.length) {
    const start = at;
    const match = matcherOf({ next, accept }, family);
    if (!match) throw refuse(key, `"${tokens.slice(start, at).join(" ")}" is not known here`);
    const not = accept("!=");
    if (!not) accept("==");
    conditions = both(conditions, alternatives(values(), match, { not, key }));
    if (conditions.length === 0) throw refuse(key, "{ } holds no value");
    if (conditions.length > CONDITIONS_MAX) throw refuse(key, `more than ${CONDITIONS_MAX} combinations`);
  }
  return conditions;
}

interface Tokens {
  next(): string;
  accept(...wanted: string[]): boolean;
}

/** What the next words look at; undefined where they are not known. */
function matcherOf({ next, accept }: Tokens, family: Family): Matcher | undefined {
  const word = next();
  const ip = family === 4 ? "ip" : "ip6";
  if (word === ip) {
    const field = next();
    if (field === "saddr") return matchAddress(saddr[family], family);
    if (field === "daddr") return matchAddress(daddr[family], family);
    return undefined;
  }
  if (word === "tcp" || word === "udp" || word === "sctp") {
    return next() === "sport" ? matchPort(is(l4proto, "inet_proto", word)) : undefined;
  }
  const field = word === "meta" ? next() : word;
  if (field === "iifname" || field === "iif") return matchInterface(iifname);
  if (field === "oifname" || field === "oif") return matchInterface(oifname);
  if (field !== "mark") return undefined;
  return matchMark(accept("and", "&") ? next() : "0xffffffff");
}

/** Of several values any must hold, or, with `not`, none. */
function alternatives(
  values: readonly string[],
  match: Matcher,
  { not, key }: { not: boolean; key: string },
): Condition[] {
  try {
    const found = values.map((value) => match(value, { not }));
    return not && found.length > 0 ? [found.flat()] : found;
  } catch (error) {
    throw refuse(key, error instanceof Error ? error.message : String(error));
  }
}

/** What fulfils one of each. */
function both(some: readonly Condition[], others: readonly Condition[]): Condition[] {
  return some.flatMap((one) => others.map((other) => [...one, ...other]));
}

function matchAddress(selector: Selector, family: Family): Matcher {
  return (value, { not }) => {
    const prefix = prefixOf(value);
    if (prefix.address.family !== family) throw new SyntaxError(`"${value}" is not of IPv${family}`);
    if (prefix.length === addressBits(family)) {
      return [is(selector, `ipv${family}_addr`, formatAddress(prefix.address), { not })];
    }
    const bits = { text: formatPrefix(networkOf(prefix)), ...bytesOf(prefix) };
    return [hasBits(selector, bits, { not })];
  };
}

function prefixOf(value: string): Prefix {
  if (value.includes("/")) return parsePrefix(value);
  const address = parseAddress(value);
  return { address, length: addressBits(address.family) };
}

function bytesOf(prefix: Prefix): { mask: Uint8Array; value: Uint8Array } {
  const { family } = prefix.address;
  const all = { address: { family, value: (1n << BigInt(addressBits(family))) - 1n }, length: prefix.length };
  return { mask: addressBytes(firstAddress(all)), value: addressBytes(firstAddress(prefix)) };
}

/** A name, or the beginning of one: "eth*". */
function matchInterface(selector: Selector): Matcher {
  return (value, { not }) => {
    const name = value.endsWith("*") ? value.slice(0, -1) : value;
    const bytes = new TextEncoder().encode(name);
    if (bytes.length === 0 || bytes.length >= selector.bytes) {
      throw new SyntaxError(`"${value}" is not an interface's name`);
    }
    if (name === value) return [is(selector, "ifname", value, { not })];
    return [isBytes(selector, { text: `"${value}"`, value: bytes }, { not })];
  };
}

function matchMark(mask: string): Matcher {
  return (value, { not }) => {
    const bits = { text: value, mask: hostBytes(parseNumber(mask)), value: hostBytes(parseNumber(value)) };
    const text = `${mark.text} and ${mask} ${not ? "!=" : "=="} ${value}`;
    return [{ ...hasBits(mark, bits, { not }), text }];
  };
}

function matchPort(protocol: Statement): Matcher {
  return (value, { not }) => {
    const [first = 0, last = first, ...others] = value.split("-").map(parsePort);
    if (first > last || others.length > 0) throw new SyntaxError(`"${value}" is no range of ports`);
    if (first === last) return [protocol, is(thSport, "inet_service", first, { not })];
    return [protocol, inRange(thSport, "inet_service", [first, last], { not })];
  };
}

function parsePort(text: string): number {
  const port = parseNumber(text);
  if (port > PORT_MAX) throw new SyntaxError(`"${text}" is not a port`);
  return port;
}

/** Decimal, or hexadecimal after 0x, of 32 bits. */
function parseNumber(text: string): number {
  const number = text === "" ? Number.NaN : Number(text);
  if (Number.isInteger(number) && number >= 0 && number <= 0xffff_ffff) return number;
  throw new SyntaxError(`"${text}" is not a number of 32 bits`);
}

/** As the kernel keeps what it counts itself. */
function hostBytes(value: number): Uint8Array {
  return new Uint8Array(new Uint32Array([value]).buffer);
}

function tokenize(text: string): string[] {
  let spaced = text;
  for (const sign of ["{", "}", ","]) spaced = spaced.replaceAll(sign, ` ${sign} `);
  return spaced
    .replaceAll('"', "")
    .split(" ")
    .filter((token) => token !== "");
}

function refuse(key: string, reason: string): CniError {
  return new CniError(CniError.INVALID_NETWORK_CONFIG, `invalid "${key}": ${reason}`, {
    details:
      "nftables' words here are ip|ip6 saddr|daddr, iifname, oifname, meta mark and tcp|udp|sctp sport; " +
      'with "backend": "iptables" the conditions are iptables\' words',
  });
}
