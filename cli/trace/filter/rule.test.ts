import { describe, expect, test } from "bun:test";
import { parseAddress } from "../../../lib/netaddr/address.ts";
import { type DecodedExpression, decodeExpressions } from "../../../lib/nftables/decoded-expression.ts";
import type { RulesetElement, RulesetSet } from "../../../lib/nftables/listed-ruleset.ts";
import { ConnectionTable } from "./connection.ts";
import type { Device, HookContext } from "./hook-context.ts";
import { IPTABLES_RULES } from "./iptables-rules.golden.ts";
import { NFT_RULES } from "./nft-rules.golden.ts";
import type { Packet } from "./packet.ts";
import { evaluateRule, type RuleEnd } from "./rule.ts";
import { ruleText } from "./rule-text.ts";

const NF_ACCEPT = 1;
const NF_DROP = 0;

const BR0: Device = { index: 3, name: "br0", kind: "bridge", isLoopback: false };
const ETH0: Device = { index: 2, name: "eth0", kind: "", isLoopback: false };

const PACKET: Packet = {
  source: parseAddress("10.1.0.2"),
  destination: parseAddress("10.0.0.3"),
  protocol: 6,
  sourcePort: 40_000,
  destinationPort: 80,
  isAnswer: false,
  ttl: 64,
  length: 60,
  dontFragment: true,
};
const UDP: Packet = { ...PACKET, protocol: 17, destinationPort: 53 };
const ICMP: Packet = { ...PACKET, protocol: 1, sourcePort: 1, destinationPort: 0 };
const IPV6: Packet = { ...PACKET, source: parseAddress("fd00::2"), destination: parseAddress("fd00::9") };

function context(packet: Packet, more: Partial<HookContext> = {}): HookContext {
  return {
    family: "ip",
    hook: "prerouting",
    packet,
    iif: BR0,
    frame: { source: Uint8Array.of(2, 0, 0, 0, 0, 1), destination: Uint8Array.of(2, 0, 0, 0, 0, 9) },
    mark: 0,
    tracked: new ConnectionTable().track(packet),
    routes: { addressType: () => 2, outDevice: () => BR0, sourceOn: () => undefined },
    now: new Date("2026-03-01T09:00:00Z"),
    ...more,
  };
}

/** Sets without a name of their own are not in the rule. */
const SETS: readonly RulesetSet[] = [
  setOf("__set0", 1, [[1], [6]]),
  setOf("__set1", 8, [
    [10, 0, 0, 2, 0, 80, 0, 0],
    [10, 1, 0, 2, 0, 81, 0, 0],
  ]),
  setOf("__set2", 2, [
    [0, 22],
    [0, 80],
  ]),
];

function setOf(name: string, keyBytes: number, keys: readonly number[][]): RulesetSet {
  const element = (key: number[]): RulesetElement => ({
    key: Uint8Array.from(key),
    keyEnd: undefined,
    isEnd: false,
    isCatchAll: false,
    data: undefined,
    verdict: undefined,
    comment: "",
  });
  return { name, isInterval: false, isMap: false, keyBytes, parts: [], elements: keys.map(element) };
}

function expressionsOf(text: string): DecodedExpression[] {
  const found = NFT_RULES.get(text) ?? IPTABLES_RULES.get(text);
  if (!found) throw new Error(`no recorded rule "${text}"`);
  return decodeExpressions({ expressions: { elem: [...found] } });
}

function evaluate(text: string, at: HookContext): RuleEnd {
  return evaluateRule(expressionsOf(text), at, new Map(SETS.map((set) => [set.name, set])));
}

/** In a word: what the rule does with the packet; "?" before it where it is not known whether. */
function saidOf({ holds, verdict, how }: RuleEnd): string {
  if (holds === false) return "-";
  const codes: Record<number, string> = { [NF_ACCEPT]: "accept", [NF_DROP]: "drop" };
  const what =
    how ?? (verdict ? (codes[verdict.code] ?? `${verdict.code} ${verdict.chain ?? ""}`.trim()) : "on");
  return holds === undefined ? `? ${what}` : what;
}

const at = {
  tcp: context(PACKET),
  udp: context(UDP),
  icmp: context(ICMP),
  ipv6: context(IPV6),
  answer: context({ ...PACKET, isAnswer: true }),
  sent: context(PACKET, { hook: "output", iif: undefined, oif: ETH0, frame: undefined }),
  out: context(PACKET, { hook: "forward", iif: BR0, oif: ETH0 }),
  toBridge: context(PACKET, { hook: "forward", iif: BR0, oif: BR0 }),
  marked: context(PACKET, { mark: 7 }),
  marked16: context(PACKET, { mark: 0x1f }),
  untracked: context(PACKET, { tracked: "untracked" }),
  translated: context(PACKET, { tracked: trackedWith(32) }),
  bridged: context(PACKET, { hook: "forward", bridgeIn: ETH0, bridgeOut: ETH0 }),
  noRoute: context(PACKET, {
    routes: { addressType: () => 1, outDevice: () => undefined, sourceOn: () => undefined },
  }),
} satisfies Record<string, HookContext>;
type Place = keyof typeof at;

function trackedWith(status: number): HookContext["tracked"] {
  const tracked = new ConnectionTable().track(PACKET);
  if (tracked !== "invalid") tracked.connection.status = status;
  return tracked;
}

const CASES: readonly (readonly [rule: string, said: Partial<Record<Place, string>>])[] = [
  ["tcp dport 80 accept", { tcp: "accept", udp: "-", ipv6: "accept" }],
  ["udp dport 53-60 drop", { udp: "drop", tcp: "-" }],
  ["ip saddr 10.1.0.0/16 drop", { tcp: "drop", ipv6: "-" }],
  ["ip saddr 10.1.0.0/20 drop", { tcp: "drop" }],
  ["ip daddr != 10.0.0.3 drop", { tcp: "-", ipv6: "-" }],
  ["ip6 saddr fd00::/64 drop", { ipv6: "drop", tcp: "-" }],
  ['iifname "br*" drop', { tcp: "drop", sent: "-" }],
  ['iifname "br0" oifname != "br0" drop', { out: "drop", toBridge: "-", tcp: "drop" }],
  ["meta mark 0x7 drop", { marked: "drop", tcp: "-" }],
  ["meta mark & 0xf0 == 0x10 drop", { marked16: "drop", marked: "-" }],
  ["ct state new drop", { tcp: "drop", untracked: "-" }],
  ["ct state established,related accept", { tcp: "-" }],
  ["ct status dnat accept", { translated: "accept", tcp: "-", untracked: "-" }],
  ["fib daddr type local drop", { tcp: "drop", noRoute: "-" }],
  ["fib saddr . iif oif 0 drop", { tcp: "-", noRoute: "drop" }],
  ["meta l4proto { icmp, tcp } accept", { tcp: "accept", icmp: "accept", udp: "-" }],
  ["tcp flags syn / fin,syn,rst,ack drop", { tcp: "drop", answer: "-", udp: "-" }],
  ["ip ttl < 5 drop", { tcp: "-" }],
  ["ip dscp cs1 drop", { tcp: "-" }],
  ["icmp type echo-request accept", { icmp: "accept", tcp: "-" }],
  ["th sport >= 1024 drop", { tcp: "drop", udp: "drop" }],
  ["limit rate 10/second accept", { tcp: "accept" }],
  ["limit rate over 10/second drop", { tcp: "-" }],
  ["numgen random mod 2 0 drop", { tcp: "? drop" }],
  ["ip id 7 drop", { tcp: "? drop", ipv6: "-" }],
  ["tcp option maxseg size 1400 drop", { tcp: "? drop" }],
  ["meta skuid 0 accept", { sent: "? accept", tcp: "-" }],
  ["reject with tcp reset", { tcp: "reject with tcp reset", udp: "-" }],
  ["ether saddr 02:00:00:00:00:01 drop", { tcp: "drop", sent: "-" }],
  ["ip length > 100 drop", { tcp: "-" }],
  ["meta nfproto ipv6 drop", { ipv6: "drop", tcp: "-" }],
  ['meta hour "00:00"-"12:00" accept', { tcp: "accept" }],
  ["jump other", { tcp: "-3 other" }],
  ["goto other", { tcp: "-4 other" }],
  ["return", { tcp: "-5" }],
  ["ip saddr . tcp dport { 10.0.0.2 . 80, 10.0.0.3 . 81 } accept", { tcp: "-" }],
  ["ip saddr & 0.0.0.255 == 0.0.0.2 drop", { tcp: "drop" }],
  ["ct original ip daddr 10.0.0.9 drop", { tcp: "-" }],
  ["tcp dport != { 22, 80 } drop", { tcp: "-", udp: "-" }],
  ["tcp dport 80 dnat ip to 10.0.0.9:8080", { tcp: "dnat", ipv6: "on" }],
  ["tcp dport 80 redirect to :3128", { tcp: "redirect" }],
  ["masquerade", { tcp: "masquerade" }],
  ["snat ip to 192.0.2.7", { tcp: "snat" }],
  ["iptables -A INPUT -p tcp --dport 80 -j ACCEPT", { tcp: "accept", udp: "-" }],
  ["iptables -A INPUT -p tcp -m multiport --dports 80,90:99 -j DROP", { tcp: "drop", udp: "-" }],
  ["iptables -A INPUT -m conntrack --ctstate NEW -j DROP", { tcp: "drop", untracked: "-" }],
  ["iptables -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", { tcp: "-" }],
  ["iptables -A INPUT -m conntrack ! --ctstate DNAT -j DROP", { translated: "-", tcp: "drop" }],
  ["iptables -A INPUT -m addrtype --dst-type LOCAL -j DROP", { tcp: "drop", noRoute: "-" }],
  ["iptables -A INPUT -m mark --mark 0x10/0xf0 -j DROP", { marked16: "drop", marked: "-" }],
  ["iptables -A INPUT -m iprange --src-range 10.0.0.2-10.0.0.9 -j DROP", { tcp: "-" }],
  ["iptables -A INPUT -m physdev --physdev-is-bridged -j ACCEPT", { bridged: "accept", out: "-" }],
  ['iptables -A INPUT -m comment --comment "hi there" -j ACCEPT', { tcp: "accept" }],
  ["iptables -A INPUT -p tcp --syn -j DROP", { tcp: "drop", answer: "-" }],
  ["iptables -A INPUT -p icmp --icmp-type echo-request -j DROP", { icmp: "drop", tcp: "-" }],
  ["iptables -A INPUT -m state --state NEW -j DROP", { tcp: "drop", untracked: "-" }],
  ["iptables -A INPUT -m limit --limit 5/sec -j ACCEPT", { tcp: "accept" }],
  ["iptables -A INPUT -m statistic --mode random --probability 0.5 -j DROP", { tcp: "? drop" }],
  ["iptables -A INPUT -m string --string x --algo bm -j DROP", { tcp: "? drop" }],
  ["iptables -A INPUT -m length --length 0:100 -j DROP", { tcp: "drop" }],
  ["iptables -A INPUT -m mac --mac-source 02:00:00:00:00:01 -j DROP", { tcp: "drop", sent: "-" }],
  ["iptables -A INPUT -j REJECT", { tcp: "reject" }],
  ["iptables -A INPUT -m connmark --mark 3 -j DROP", { tcp: "-" }],
  ["iptables -A INPUT -m udp -p udp --sport 53 -j DROP", { udp: "-", tcp: "-" }],
  ["iptables -t raw -A PREROUTING -j CT --notrack", { tcp: "on" }],
];

describe("evaluateRule() does what the kernel does with", () => {
  test.each(CASES)("%s", (rule, said) => {
    const places = Object.keys(said) as Place[];
    const found = places.map((place) => [place, saidOf(evaluate(rule, at[place]))]);
    expect(Object.fromEntries(found)).toEqual(said);
  });
});

test("evaluateRule() says what a NAT rule wants of the connection", () => {
  const translationOf = (text: string) => evaluate(text, at.tcp).translation;
  const there = parseAddress("10.0.0.9");
  const to = { end: "destination", address: there, port: 8080 } as const;
  expect(translationOf("tcp dport 80 dnat ip to 10.0.0.9:8080")).toEqual(to);
  const iptables = "iptables -t nat -A PREROUTING -p tcp -j DNAT --to-destination 10.0.0.9:8080";
  expect(translationOf(iptables)).toEqual(to);
  const redirect = { end: "destination", address: "here", port: 3128 } as const;
  expect(translationOf("tcp dport 80 redirect to :3128")).toEqual(redirect);
  expect(translationOf("iptables -t nat -A PREROUTING -p tcp -j REDIRECT --to-ports 3128")).toEqual(redirect);
  const source = { end: "source", address: parseAddress("192.0.2.7") } as const;
  expect(translationOf("snat ip to 192.0.2.7")).toMatchObject(source);
  expect(translationOf("iptables -t nat -A POSTROUTING -j SNAT --to-source 192.0.2.7")).toMatchObject(source);
  expect(translationOf("iptables -t nat -A POSTROUTING -j MASQUERADE")).toEqual({
    end: "source",
    address: "here",
  });
});

test("evaluateRule() sets marks as the kernel computes them", () => {
  expect(evaluate("meta mark set meta mark | 0x4 counter", context(PACKET, { mark: 3 })).mark).toBe(7);
  const iptables = "iptables -t mangle -A PREROUTING -j MARK --set-xmark 0x10/0xf0";
  expect(evaluate(iptables, context(PACKET, { mark: 0x27 })).mark).toBe(0x17);
  expect(evaluate("ct mark set 5", at.tcp).connectionMark).toBe(5);
  const connmark = "iptables -t mangle -A PREROUTING -j CONNMARK --set-xmark 0x1/0xff";
  expect(evaluate(connmark, at.tcp).connectionMark).toBe(1);
});

test("evaluateRule() says no where what is known is enough, and what is not known where it is not", () => {
  const [value] = expressionsOf("numgen random mod 2 0 drop");
  const port = expressionsOf("tcp dport 80 accept");
  if (!value) throw new Error("no expression");
  expect(evaluateRule([value, ...port], at.udp, new Map()).holds).toBe(false);
  expect(evaluate("numgen random mod 2 0 drop", at.tcp)).toMatchObject({ unknown: "numgen" });
});

test.each([
  ["tcp dport 80 accept", "meta l4proto tcp dport 80 accept"],
  ["ip saddr 10.1.0.0/16 drop", "meta nfproto ipv4 ip saddr 10.1.0.0/16 drop"],
  ["ip saddr 10.1.0.0/20 drop", "meta nfproto ipv4 ip saddr 10.1.0.0/20 drop"],
  ['iifname "br*" drop', 'iifname "br*" drop'],
  ["ct state established,related accept", "ct state established,related accept"],
  ["jump other", "jump other"],
])("ruleText() of %s", (rule, text) => {
  expect(ruleText(expressionsOf(rule))).toBe(text);
});
