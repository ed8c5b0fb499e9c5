/** Each kind of statement: nft shows it as it was printed, and makes the same expressions of the text. */
import { expect, test } from "bun:test";
import { kernelTest } from "../testing/netns.ts";
import { NftHost, noNftReason } from "../testing/nft.ts";
import { listRules } from "./query.ts";
import {
  ctEstablished,
  ctStatusDnat,
  daddr,
  dnatBy,
  dnatTo,
  hasBits,
  iif,
  iifkind,
  iifname,
  inRange,
  inSet,
  is,
  isBytes,
  l4proto,
  mark,
  masquerade,
  ofFamily,
  oifname,
  type Statement,
  saddr,
  thDport,
  thSport,
  toThisHost,
  verdict,
  verdictData,
  verdictOf,
  verdictText,
} from "./statement.ts";
import { rule, type TableDefinition } from "./table.ts";
import { Transaction } from "./transaction.ts";

const TABLE: TableDefinition = {
  family: "inet",
  name: "odd",
  comment: "weft tests",
  sets: [
    { name: "names", key: ["ifname"] },
    { name: "sources4", key: ["ifname", "ipv4_addr"] },
    { name: "sources6", key: ["ifname", "ipv6_addr"] },
    { name: "verdicts", key: ["inet_proto", "inet_service"], data: "verdict" },
    { name: "ports4", key: ["inet_proto", "inet_service"], data: ["ipv4_addr", "inet_service"] },
    { name: "ports6", key: ["ipv6_addr", "inet_proto", "inet_service"], data: ["ipv6_addr", "inet_service"] },
    { name: "ranges6", key: ["inet_proto", "inet_service"], data: ["ipv6_addr"], interval: true },
  ],
  chains: [
    { name: "other", rules: [] },
    { name: "nat", hook: { type: "nat", hook: "prerouting", priority: -100 }, rules: [] },
    { name: "src", hook: { type: "nat", hook: "postrouting", priority: 100 }, rules: [] },
    { name: "filter", hook: { type: "filter", hook: "forward", priority: -5 }, rules: [] },
  ],
};

const u32 = (value: number) => new Uint8Array(new Uint32Array([value]).buffer);
const kind = (text: string) => {
  const value = new Uint8Array(16);
  value.set(new TextEncoder().encode(text));
  return { text: `"${text}"`, value };
};
const prefix4 = (text: string, mask: number[], value: number[]) => ({
  text,
  mask: Uint8Array.from(mask),
  value: Uint8Array.from(value),
});
const of = (chain: string, ...statements: Statement[]) => ({ chain, statements });

/** Where nft's expressions are others that say the same, and what they are. */
const SAME_OTHERWISE: Readonly<Record<string, string>> = {
  "ip daddr 127.0.0.0/8 accept": "it compares the first byte, without a mask",
  "dnat ip6 to meta l4proto . th dport map @ranges6": "it turns the one byte of the protocol round",
  "meta l4proto tcp dnat ip to 10.9.0.2:80": "the port's register is the first of the next four",
};
const CASES = [
  of("filter", is(iifname, "ifname", "cni0"), verdict("accept")),
  of("filter", is(iifname, "ifname", "fifteen-letters"), verdict("drop")),
  of("filter", is(oifname, "ifname", "lo", { not: true }), verdict("return")),
  of("filter", is(iifname, "ifname", "a.b@c%d&e|;{}$#"), verdict("accept")),
  of("filter", is(iifname, "ifname", "é-ß"), verdict("accept")),
  of("filter", is(iifname, "ifname", "star*"), verdict("accept")),
  of("filter", is(iifname, "ifname", "*"), verdict("accept")),
  of("filter", is(iifname, "ifname", "in*side"), verdict("accept")),
  of("filter", is(saddr[4], "ipv4_addr", "10.9.0.2"), verdict("jump other")),
  of("filter", is(daddr[6], "ipv6_addr", "fd00:9::2", { not: true }), verdict("goto other")),
  of("filter", is(l4proto, "inet_proto", "tcp"), is(thDport, "inet_service", 80), verdict("accept")),
  of("filter", is(l4proto, "inet_proto", "sctp"), is(thSport, "inet_service", 0), verdict("accept")),
  of("filter", is(l4proto, "inet_proto", "udp"), is(thDport, "inet_service", 65_535), verdict("accept")),
  of("filter", is(l4proto, "inet_proto", 253), verdict("accept")),
  of("filter", isBytes(iif, { text: "0", value: u32(0) }), verdict("accept")),
  of("filter", isBytes(iif, { text: '"lo"', value: u32(1) }, { not: true }), verdict("accept")),
  of("filter", isBytes(iifkind, kind("vrf"), { not: true }), verdict("accept")),
  of("filter", isBytes(mark, { text: "0x00002000", value: u32(0x2000) }), verdict("accept")),
  of(
    "filter",
    hasBits(mark, { text: "and 0x00002000 == 0x00002000", mask: u32(0x2000), value: u32(0x2000) }),
    verdict("accept"),
  ),
  of("filter", hasBits(daddr[4], prefix4("127.0.0.0/8", [255, 0, 0, 0], [127, 0, 0, 0])), verdict("accept")),
  of(
    "filter",
    hasBits(saddr[4], prefix4("10.9.0.0/17", [255, 255, 128, 0], [10, 9, 0, 0]), { not: true }),
    verdict("accept"),
  ),
  of("filter", inSet([iifname], "names"), verdict("accept")),
  of("filter", inSet([iifname, saddr[4]], "sources4", { not: true }), verdict("accept")),
  of("filter", inSet([oifname, daddr[6]], "sources6"), verdict("accept")),
  of("filter", verdictOf([l4proto, thDport], "verdicts")),
  of("filter", ctStatusDnat, verdict("accept")),
  of("filter", ctEstablished, verdict("accept")),
  of("filter", toThisHost, ofFamily(4), verdict("accept")),
  of("filter", ofFamily(6), verdict("accept")),
  of("nat", dnatBy(4, [l4proto, thDport], "ports4", { withPort: true })),
  of("nat", dnatBy(6, [daddr[6], l4proto, thDport], "ports6", { withPort: true })),
  of("nat", dnatBy(6, [l4proto, thDport], "ranges6", { withPort: false })),
  of("nat", is(l4proto, "inet_proto", "tcp"), dnatTo(4, "10.9.0.2", 80)),
  of("nat", is(l4proto, "inet_proto", "udp"), dnatTo(6, "fd00:9::2", 65_535)),
  of("src", masquerade),
  of("nat", dnatTo(4, "10.9.0.2")),
  of("nat", dnatTo(6, "fd00:9::2")),
  of(
    "filter",
    is(l4proto, "inet_proto", "tcp"),
    inRange(thSport, "inet_service", [0, 65_535]),
    verdict("accept"),
  ),
  of(
    "filter",
    is(l4proto, "inet_proto", "udp"),
    inRange(thDport, "inet_service", [8000, 8010]),
    verdict("drop"),
  ),
  of("filter", isBytes(iifname, { text: '"cni*"', value: new TextEncoder().encode("cni") }), verdict("drop")),
];
const textOf = (statements: readonly Statement[]) => statements.map(({ text }) => text).join(" ");

for (const { chain, statements } of CASES) {
  kernelTest(
    `rule(${textOf(statements)}) is what nft makes of its text, and what nft lists loads again`,
    async () => {
      using ours = await NftHost.make();
      using theirs = await NftHost.make();
      const transaction = new Transaction();
      transaction.createTable(TABLE);
      transaction.addRule(TABLE, chain, rule("as it is", ...statements));
      transaction.commit(ours.socket);
      theirs.load(transaction.toString());
      expect(ours.ruleset()).toEqual(theirs.ruleset());
      const [our, their] = [ours, theirs].map(({ socket }) =>
        JSON.stringify(listRules(socket, TABLE).map(({ expressions }) => expressions)),
      );
      expect(our === their).toBe(SAME_OTHERWISE[textOf(statements)] === undefined);
      theirs.load(`flush ruleset\n${ours.text()}`);
      expect(theirs.ruleset()).toEqual(ours.ruleset());
    },
    noNftReason,
  );
}

test("verdictData() refuses what is no verdict, and verdictText() gives the words back", () => {
  for (const text of ["accept", "drop", "return", "jump x", "goto some-chain"]) {
    expect(verdictText(verdictData(text))).toBe(text);
  }
  expect(() => verdictData("reject")).toThrow(new SyntaxError('Cannot parse "reject" as a verdict'));
  expect(() => verdictData("")).toThrow(SyntaxError);
});
