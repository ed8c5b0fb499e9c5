/** What nft puts into our tables beside what we do. */
import { expect } from "bun:test";
import { kernelTest } from "../testing/netns.ts";
import { NftHost, noNftReason } from "../testing/nft.ts";
import { BRIDGE_TABLE, WEFT_TABLE } from "./ruleset.ts";
import { findStrangers } from "./strangers.ts";
import { ensureTable } from "./table-life.ts";

const test = (name: string, body: () => Promise<void>) => kernelTest(name, body, noNftReason);

test("findStrangers() finds rules, chains and policies of others, and what is the administrator's it does not", async () => {
  using host = await NftHost.make();
  for (const table of [WEFT_TABLE, BRIDGE_TABLE]) ensureTable(host.socket, table);
  const found = () => [WEFT_TABLE, BRIDGE_TABLE].flatMap((table) => findStrangers(host.socket, table));
  expect(found()).toEqual([]);
  host.load(`add chain inet weft mine
    add rule inet weft mine drop
    add rule inet weft user ip saddr 10.1.0.1 jump mine
    insert rule inet weft forward counter
    insert rule inet weft forward ip saddr 10.1.0.0/16 tcp dport { 80, 443 } log
    add chain inet weft idle { type filter hook input priority 0; }
    add rule inet weft idle counter
    table inet other { chain forward { type filter hook forward priority 0; policy drop; }; }`);
  expect(found()).toEqual([]);
  host.load(`insert rule inet weft forward drop
    add rule inet weft postrouting meta mark set 1
    add rule bridge weft prerouting ether saddr 02:00:00:00:00:01 accept
    chain inet weft guard { policy drop; }
    add chain inet weft stray { type filter hook input priority 0; policy drop; }`);
  expect(found()).toMatchObject([
    { kind: "rule", chain: "forward", expressions: [{ kind: "verdict", verdict: { code: 0 } }] },
    { kind: "rule", chain: "postrouting" },
    { kind: "policy", chain: "guard" },
    { kind: "chain", chain: "stray" },
    { kind: "rule", chain: "prerouting" },
  ]);
});
