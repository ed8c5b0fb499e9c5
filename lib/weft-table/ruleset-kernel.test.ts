/** The ruleset, as nft has it. */
import { test as bunTest, expect } from "bun:test";
import type { TypeName, Word } from "../nftables/datatype.ts";
import { listRules } from "../nftables/query.ts";
import type { SetDefinition } from "../nftables/table.ts";
import { type SetElement, Transaction } from "../nftables/transaction.ts";
import { kernelTest } from "../testing/netns.ts";
import { NftHost, noNftReason } from "../testing/nft.ts";
import { elementName, TABLES } from "./element.ts";
import { checkTable } from "./table-life.ts";

const test = (name: string, body: () => Promise<void>) => kernelTest(name, body, noNftReason);

const WORDS: Readonly<Record<TypeName, Word>> = {
  ipv4_addr: "10.9.0.2",
  ipv6_addr: "fd00:9::2",
  ether_addr: "02:00:00:00:00:01",
  inet_proto: "sctp",
  inet_service: 8080,
  ifname: "end.of-1*",
};

/** An element of any set. */
function elementOf({ key, data, interval }: SetDefinition): SetElement {
  const words = key.map((type) => (interval && type === "inet_service" ? "8000-8010" : WORDS[type]));
  const value = data === "verdict" ? ["goto isolation"] : data?.map((type) => WORDS[type]);
  return { key: words, data: value, comment: "net/c1/eth0" };
}

test("the printed ruleset with its elements, loaded by nft, is the one that is committed", async () => {
  using ours = await NftHost.make();
  using theirs = await NftHost.make();
  const transaction = new Transaction();
  for (const table of TABLES) {
    transaction.createTable(table);
    for (const set of table.sets) transaction.createElements(table, set, [elementOf(set)]);
  }
  transaction.commit(ours.socket);
  theirs.load(transaction.toString());
  expect(theirs.ruleset()).toEqual(ours.ruleset());
  expect(theirs.text().match(/net\/c1\/eth0/g)).toHaveLength(TABLES.flatMap(({ sets }) => sets).length);
});

test("the ruleset as nft lists it loads again", async () => {
  using ours = await NftHost.make();
  using theirs = await NftHost.make();
  const transaction = new Transaction();
  for (const table of TABLES) transaction.createTable(table);
  transaction.commit(ours.socket);
  theirs.load(ours.text());
  expect(theirs.ruleset()).toEqual(ours.ruleset());
});

test("checkTable() misses each of the rules", async () => {
  using host = await NftHost.make();
  const transaction = new Transaction();
  for (const table of TABLES) transaction.createTable(table);
  transaction.commit(host.socket);
  for (const table of TABLES) {
    checkTable(host.socket, table);
    for (const listed of listRules(host.socket, table)) {
      const [without, again] = [new Transaction(), new Transaction()];
      without.deleteRule(table, listed.chain, listed.handle);
      without.commit(host.socket);
      const missing = `rule "${listed.comment}" of chain ${listed.chain} in table`;
      expect(() => checkTable(host.socket, table)).toThrow(missing);
      again.addRawRule(table, listed.chain, listed);
      again.commit(host.socket);
    }
    checkTable(host.socket, table);
  }
});

bunTest("no two sets have one name, and elementName() is one that nft understands", () => {
  const sets = TABLES.flatMap(({ sets }) => sets);
  expect(new Set(sets.map(({ name }) => name)).size).toBe(sets.length);
  expect(elementName({ set: "masq4", key: ["end*", "10.9.0.2"] })).toBe('masq4 { "end\\*" . 10.9.0.2 }');
  expect(elementName({ set: "range6", key: ["tcp", "8000-8010"] })).toBe("range6 { tcp . 8000-8010 }");
});
