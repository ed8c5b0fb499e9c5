import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { openNetfilterSocket } from "../netfilter/socket.ts";
import { verdict } from "../nftables/statement.ts";
import { rule, type TableDefinition } from "../nftables/table.ts";
import { Transaction } from "../nftables/transaction.ts";
import { kernelTest, lackingFor, noNetnsReason, TestNetns } from "../testing/netns.ts";
import { parseConditions } from "./conditions.ts";

const lacking = Bun.which("nft") ? lackingFor("nft", "list", "ruleset") : "needs nft (nftables)";

/** What our parser makes of them, and what nft prints of the rules that the kernel has then. */
const CASES: readonly (readonly [family: 4 | 6, words: string, ...rules: string[]])[] = [
  [4, "ip saddr 10.0.0.0/8", "ip saddr 10.0.0.0/8"],
  [4, "ip daddr != 192.0.2.1", "ip daddr != 192.0.2.1"],
  [4, "ip saddr != 10.0.0.0/9", "ip saddr != 10.0.0.0/9"],
  [6, "ip6 saddr 2001:db8::/33", "ip6 saddr 2001:db8::/33"],
  [6, "ip6 daddr fd00::1", "ip6 daddr fd00::1"],
  [4, 'iifname "eth0"', 'iifname "eth0"'],
  [4, "oifname != eth1", 'oifname != "eth1"'],
  [4, 'meta iifname "veth*"', 'iifname "veth*"'],
  [4, "iif != lo", 'iifname != "lo"'],
  [4, "meta mark 5", "meta mark 0x00000005"],
  [4, "meta mark and 0xff00 != 0x100", "meta mark & 0x0000ff00 != 0x00000100"],
  [4, "tcp sport 1024-65535", "tcp sport 1024-65535"],
  [4, "udp sport 53", "udp sport 53"],
  [4, "sctp sport != 10-20", "sctp sport != 10-20"],
  [4, "tcp sport != { 1, 2-3 }", "tcp sport != 1 tcp sport != 2-3"],
  [4, "ip saddr { 10.0.0.1, 10.1.0.0/16 }", "ip saddr 10.0.0.1", "ip saddr 10.1.0.0/16"],
  [4, "ip saddr != { 10.0.0.1,10.1.0.0/16 }", "ip saddr != 10.0.0.1 ip saddr != 10.1.0.0/16"],
  [
    4,
    'iifname { "a", "b" } tcp sport { 1, 2 }',
    'iifname "a" tcp sport 1',
    'iifname "a" tcp sport 2',
    'iifname "b" tcp sport 1',
    'iifname "b" tcp sport 2',
  ],
  [4, 'ip saddr 10.0.0.0/8 iifname "eth0" mark 1', 'ip saddr 10.0.0.0/8 iifname "eth0" meta mark 0x00000001'],
];

describe("parseConditions()", () => {
  let netns: TestNetns;
  beforeAll(async () => {
    if ((noNetnsReason ?? lacking) === undefined) netns = await TestNetns.make();
  });
  afterAll(() => netns?.[Symbol.dispose]());

  for (const [family, words, ...rules] of CASES) {
    const body = () => {
      const table: TableDefinition = {
        family: "inet",
        name: "t",
        comment: "",
        sets: [],
        chains: [
          {
            name: "c",
            rules: parseConditions(words.split(" "), family).map((condition) =>
              rule("x", ...condition, verdict("accept")),
            ),
          },
        ],
      };
      using socket = openNetfilterSocket(netns.netns);
      const transaction = new Transaction();
      transaction.createTable(table);
      transaction.commit(socket);
      const shown = netns.run("nft list chain inet t c; nft delete table inet t").trim().split("\n");
      expect(shown.slice(2, -2).map((line) => line.trim())).toEqual(
        rules.map((text) => `${text} accept comment "x"`),
      );
    };
    kernelTest(`parseConditions() makes of "${words}" what nft shows`, body, lacking);
  }

  test.each([
    [4, "ct state new", '"ct" is not known here'],
    [4, "ip6 saddr ::1", '"ip6" is not known here'],
    [6, "ip saddr 10.0.0.1", '"ip" is not known here'],
    [4, "ip ttl 5", '"ip ttl" is not known here'],
    [4, "meta cgroup 1", '"meta cgroup" is not known here'],
    [4, "tcp dport 80", '"tcp dport" is not known here'],
    [4, "ip saddr", 'ends after "saddr"'],
    [4, "ip saddr { 10.0.0.1,", 'ends after ","'],
    [4, "ip saddr nope", 'Cannot parse "nope" as an address'],
    [4, "ip saddr fd00::1", '"fd00::1" is not of IPv4'],
    [4, "iifname abcdefghijklmnop", '"abcdefghijklmnop" is not an interface\'s name'],
    [4, "iifname *", '"*" is not an interface\'s name'],
    [4, "meta mark x", '"x" is not a number of 32 bits'],
    [4, "meta mark and x 1", '"x" is not a number of 32 bits'],
    [4, "tcp sport 70000", '"70000" is not a port'],
    [4, "tcp sport 9-8", '"9-8" is no range of ports'],
    [4, "tcp sport 8-9-10", '"8-9-10" is no range of ports'],
    [4, "tcp sport { }", "{ } holds no value"],
    [4, `iifname { ${names(17)} } oifname { ${names(17)} }`, "more than 256 combinations"],
  ] as const)("parseConditions() refuses what it does not know (%d, %s)", (family, words, reason) => {
    expect(() => parseConditions(words.split(" "), family)).toThrow(
      `invalid "conditionsV${family}": ${reason}`,
    );
  });
});

/** "a0,a1,…" */
function names(count: number): string {
  return Array.from({ length: count }, (_, i) => `a${i}`).join(",");
}
