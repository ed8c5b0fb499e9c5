/** What the records say, put back; the oracle is nft. */
import { afterEach, expect } from "bun:test";
import { verdict } from "../nftables/statement.ts";
import { type AttachmentRecord, removeRecord, writeRecord } from "../state/record.ts";
import { kernelTest } from "../testing/netns.ts";
import { NftHost, noNftReason } from "../testing/nft.ts";
import { type Entries, storeRule } from "./element.ts";
import { restoreTable } from "./restore.ts";
import { BRIDGE_TABLE, WEFT_TABLE } from "./ruleset.ts";

const test = (name: string, body: () => Promise<void>) => kernelTest(name, body, noNftReason);

const records: AttachmentRecord<Entries>[] = [];
function record(containerId: string, details: Entries): void {
  const one = { network: "restore", containerId, ifname: "eth0", plugin: "test", netns: "", details };
  records.push(one);
  writeRecord(one);
}
afterEach(() => {
  for (const one of records.splice(0)) removeRecord(one);
});

/** Two containers with something of every sort. */
function recordTwo(): void {
  const condition = "condition-c1";
  record("c1", {
    elements: [
      { set: "masq4", key: ["cni0", "10.9.0.2"] },
      { set: "masq6", key: ["cni0", "fd00:9::2"] },
      { set: "port4", key: ["tcp", 8080], data: ["10.9.0.2", 80] },
      { set: "range4", key: ["udp", "30000-30010"], data: ["10.9.0.2"] },
      { set: "condition4", key: ["tcp", 81], data: [`jump ${condition}`] },
      { set: "checked", key: ["end*"] },
    ],
    chains: [{ name: condition, rules: [storeRule({ statements: [verdict("accept")] })] }],
    shared: [{ set: "leaving", key: ["cni0"], data: ["goto isolation"] }],
  });
  record("c2", { shared: [{ set: "leaving", key: ["cni0"], data: ["drop"] }] });
}

function restore(host: NftHost): string[] {
  return [WEFT_TABLE, BRIDGE_TABLE].flatMap((table) =>
    restoreTable(host.socket, table).map(({ containerId }) => containerId),
  );
}

test("restoreTable() makes nothing where no record has anything", async () => {
  using host = await NftHost.make();
  record("c1", {});
  expect(restore(host)).toEqual([]);
  expect(host.ruleset()).toEqual([]);
});

test("restoreTable() puts back just what is missing, and says of whom", async () => {
  using host = await NftHost.make();
  recordTwo();
  expect(restore(host).sort()).toEqual(["c1", "c1", "c2"]);
  host.load('add rule inet weft user ip saddr { 10.1.0.1, 10.1.0.2 } drop comment "mine"');
  // a chain that is made again is the last
  const sorted = () =>
    host
      .ruleset()
      .map((one) => JSON.stringify(one))
      .sort();
  const whole = sorted();
  expect(restore(host)).toEqual([]);
  for (const damage of [
    'delete element inet weft masq6 { "cni0" . fd00:9::2 }',
    "delete element inet weft port4 { tcp . 8080 }; add element inet weft port4 { tcp . 8080 : 10.9.0.9 . 1 }",
    "flush map inet weft range4",
    "flush chain inet weft condition-c1",
    "flush set bridge weft checked",
    "flush map inet weft condition4; delete chain inet weft condition-c1",
  ]) {
    host.load(damage);
    expect(restore(host)).toEqual(["c1"]);
    expect(sorted()).toEqual(whole);
    expect(restore(host)).toEqual([]);
  }
  host.load("flush map inet weft leaving");
  expect(restore(host).sort()).toEqual(["c1", "c2"]);
  host.load("flush chain inet weft forward");
  expect(restore(host).sort()).toEqual(["c1", "c2"]);
  expect(host.text()).toContain("10.1.0.2");
  host.load("flush ruleset");
  expect(restore(host).sort()).toEqual(["c1", "c1", "c2"]);
  expect(restore(host)).toEqual([]);
});

test("restoreTable() refuses somebody else's table, and changes nothing", async () => {
  using host = await NftHost.make();
  recordTwo();
  host.load("table inet weft { set masq4 { type ifname . ipv4_addr; }; }");
  const before = host.ruleset();
  expect(() => restoreTable(host.socket, WEFT_TABLE)).toThrow("was not made by weft");
  expect(host.ruleset()).toEqual(before);
});

test("restoreTable() mends rules and leaves what only the administrator could make again", async () => {
  using host = await NftHost.make();
  recordTwo();
  restore(host);
  host.load("add counter inet weft hits; add rule inet weft user counter name hits");
  host.load("flush chain inet weft guard");
  expect(host.text()).not.toContain("jump loopback");
  restore(host);
  expect(host.text()).toContain("jump loopback");
  expect(host.text()).toContain('counter name "hits"');
});
