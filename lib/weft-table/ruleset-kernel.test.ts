/** The ruleset, as nft has it. */
import { test as bunTest, expect } from "bun:test";
import { listRules } from "../nftables/query.ts";
import { Transaction } from "../nftables/transaction.ts";
import { kernelTest } from "../testing/netns.ts";
import { NftHost, noNftReason } from "../testing/nft.ts";
import { elementName, TABLES } from "./element.ts";
import { checkTable } from "./table-life.ts";

const test = (name: string, body: () => Promise<void>) => kernelTest(name, body, noNftReason);

test("the printed ruleset, loaded by nft, is the one that is committed; what nft lists of it loads again", async () => {
  using ours = await NftHost.make();
  using theirs = await NftHost.make();
  const transaction = new Transaction();
  for (const table of TABLES) transaction.createTable(table);
  transaction.commit(ours.socket);
  theirs.load(transaction.toString());
  expect(theirs.ruleset()).toEqual(ours.ruleset());
  theirs.load(`flush ruleset\n${ours.text()}`);
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
