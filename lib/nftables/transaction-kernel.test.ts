/** Transactions and questions, on the kernel this machine runs; the oracle is nft. */
import { expect } from "bun:test";
import { NetlinkError } from "../netlink/error.ts";
import { kernelTest } from "../testing/netns.ts";
import { NftHost, noNftReason } from "../testing/nft.ts";
import { deleteRules } from "./delete-rules.ts";
import { findElement, findPolicy, findTableComment, hasChain, listElements, listRules } from "./query.ts";
import { verdict } from "./statement.ts";
import { rule, type SetDefinition, type TableDefinition } from "./table.ts";
import { type SetElement, Transaction } from "./transaction.ts";

const test = (name: string, body: () => Promise<void>) => kernelTest(name, body, noNftReason);

const NAMES: SetDefinition = { name: "names", key: ["ifname"] };
const JUMPS: SetDefinition = { name: "jumps", key: ["ifname", "ifname"], data: "verdict" };
const MACS: SetDefinition = { name: "macs", key: ["ether_addr"] };
const PORTS: SetDefinition = {
  name: "ports",
  key: ["ipv4_addr", "inet_proto", "inet_service"],
  data: ["ipv6_addr", "inet_service"],
};
const RANGES: SetDefinition = {
  name: "ranges",
  key: ["inet_proto", "inet_service"],
  data: ["ipv4_addr"],
  interval: true,
};

const TABLE: TableDefinition = {
  family: "inet",
  name: "t",
  comment: "of a test",
  sets: [NAMES, JUMPS, MACS, PORTS, RANGES],
  chains: [
    { name: "one", rules: [rule("first", verdict("jump other")), rule("second", verdict("accept"))] },
    { name: "other", rules: [rule("third", verdict("drop"))] },
    { name: "base", hook: { type: "filter", hook: "input", priority: 10 }, rules: [] },
  ],
};

/** Elements of every kind, odd ones among them. */
const ELEMENTS: readonly (readonly [SetDefinition, readonly SetElement[]])[] = [
  [NAMES, ["lo", "1-2", "fifteen-letters", "a.b@c%d&e|;{}$#", "é"].map((name) => ({ key: [name] }))],
  [
    JUMPS,
    [
      { key: ["cni0", "cni1"], data: ["accept"], comment: "net" },
      { key: ["cni0", "cni0"], data: ["goto other"] },
      { key: ["0", "in*side"], data: ["jump other"], comment: "x".repeat(128) },
      { key: ["drop", "accept"], data: ["drop"], comment: "a b, c : d" },
    ],
  ],
  [MACS, [{ key: ["02:00:00:00:00:01"], comment: "net/c1/eth0" }, { key: ["ff:ff:ff:ff:ff:ff"] }]],
  [
    PORTS,
    [
      { key: ["0.0.0.0", "sctp", 0], data: ["::", 0] },
      { key: ["127.0.0.1", "tcp", 65_535], data: ["fd00:9::2", 80], comment: "net/c1/eth0" },
    ],
  ],
  [
    RANGES,
    [
      { key: ["tcp", "8000-8010"], data: ["10.9.0.2"], comment: "net/c1/eth0" },
      { key: ["udp", "0-65535"], data: ["10.9.0.2"] },
      { key: ["tcp", 8011], data: ["10.9.0.3"] },
    ],
  ],
];

function whole(): Transaction {
  const transaction = new Transaction();
  transaction.createTable(TABLE);
  for (const [set, elements] of ELEMENTS) transaction.createElements(TABLE, set, elements);
  return transaction;
}

async function made(): Promise<NftHost> {
  const host = await NftHost.make();
  whole().commit(host.socket);
  return host;
}

function change(host: NftHost, add: (transaction: Transaction) => void): void {
  const transaction = new Transaction();
  add(transaction);
  transaction.commit(host.socket);
}

test("Transaction.toString() loaded by nft is what commit() makes, and so is what nft lists", async () => {
  using ours = await made();
  using theirs = await NftHost.make();
  theirs.load(whole().toString());
  expect(theirs.ruleset()).toEqual(ours.ruleset());
  theirs.load(`flush ruleset\n${ours.text()}`);
  expect(theirs.ruleset()).toEqual(ours.ruleset());
});

test("Transaction.toString() does not leave a name that ends with * to stand for others", async () => {
  using ours = await made();
  using theirs = await NftHost.make();
  const transaction = whole();
  // nft lists them as if they stood for others; that text it does not load
  transaction.createElements(TABLE, NAMES, [{ key: ["end*"] }, { key: ["*"] }]);
  change(ours, (it) => it.createElements(TABLE, NAMES, [{ key: ["end*"] }, { key: ["*"] }]));
  theirs.load(String(transaction));
  expect(theirs.ruleset()).toEqual(ours.ruleset());
});

test("Transaction.toString() of what is taken away leaves in nft's hands what commit() leaves", async () => {
  using ours = await made();
  using theirs = await made();
  const transaction = new Transaction();
  for (const [set, elements] of ELEMENTS) transaction.deleteElements(TABLE, set, elements.slice(1));
  transaction.flushChain(TABLE, "other");
  transaction.deleteChain(TABLE, "base");
  transaction.commit(ours.socket);
  theirs.load(transaction.toString());
  expect(theirs.ruleset()).toEqual(ours.ruleset());
  expect(ours.elements("ranges", "inet", "t")).toEqual(['tcp . 8000-8010 comment "net/c1/eth0" : 10.9.0.2']);
  change(ours, (it) => it.deleteTable(TABLE));
  expect(ours.ruleset()).toEqual([]);
});

test("listElements() and findElement() give back what was written", async () => {
  using host = await made();
  for (const [set, elements] of ELEMENTS) {
    const complete = elements.map(({ key, data, comment = "" }) => ({ key, data, comment }));
    const listed = listElements(host.socket, TABLE, set);
    const order = (a: SetElement, b: SetElement) => (String(a.key) < String(b.key) ? -1 : 1);
    expect(listed.sort(order)).toEqual(complete.sort(order) as SetElement[]);
    for (const element of complete) {
      expect(findElement(host.socket, TABLE, set, element.key)).toEqual(element as SetElement);
    }
  }
});

test("findElement(), listElements(), listRules() find nothing in what is not there", async () => {
  using host = await made();
  expect(findElement(host.socket, TABLE, NAMES, ["eth9"])).toBeUndefined();
  expect(findElement(host.socket, TABLE, RANGES, ["tcp", "9000-9001"])).toBeUndefined();
  expect(findElement(host.socket, TABLE, { ...NAMES, name: "no" }, ["lo"])).toBeUndefined();
  expect(listElements(host.socket, TABLE, { ...NAMES, name: "no" })).toEqual([]);
  const elsewhere = { family: "ip", name: "t" } as const;
  expect(listElements(host.socket, elsewhere, NAMES)).toEqual([]);
  expect(listRules(host.socket, elsewhere)).toEqual([]);
  expect(findTableComment(host.socket, elsewhere)).toBeUndefined();
  expect(hasChain(host.socket, elsewhere, "one")).toBe(false);
});

test("findElement() finds a range by its first and its last port, not by those within", async () => {
  using host = await made();
  for (const ports of ["8000-8005", "8000-8011", 8000, 8005, 8010]) {
    expect(findElement(host.socket, TABLE, RANGES, ["tcp", ports])).toBeUndefined();
  }
});

test("findTableComment(), hasChain(), findPolicy(), listRules() say what nft made", async () => {
  using host = await NftHost.make();
  host.load(`table ip6 x {
      chain in { type filter hook input priority 0; policy drop; counter accept comment "c"; drop; }
      chain user { }
    }
    table bridge y { comment "hello"; }`);
  const x = { family: "ip6", name: "x" } as const;
  expect(findTableComment(host.socket, x)).toBe("");
  expect(findTableComment(host.socket, { family: "bridge", name: "y" })).toBe("hello");
  expect(["in", "user", "no"].map((name) => hasChain(host.socket, x, name))).toEqual([true, true, false]);
  expect(["in", "user", "no"].map((name) => findPolicy(host.socket, x, name))).toEqual([
    0,
    undefined,
    undefined,
  ]);
  expect(listRules(host.socket, x, "user")).toEqual([]);
  expect(listRules(host.socket, x).map(({ chain, comment }) => [chain, comment])).toEqual([
    ["in", "c"],
    ["in", ""],
  ]);
});

test("Transaction.deleteRule() deletes by handle, addRawRule() adds what was listed", async () => {
  using host = await made();
  const before = host.ruleset();
  const [first, second] = listRules(host.socket, TABLE, "one");
  if (!first || !second) throw new Error("there were two rules");
  change(host, (it) => it.deleteRule(TABLE, "one", first.handle));
  expect(listRules(host.socket, TABLE, "one").map(({ comment }) => comment)).toEqual(["second"]);
  change(host, (it) => {
    it.deleteRule(TABLE, "one", second.handle);
    for (const each of [first, second]) it.addRawRule(TABLE, "one", { ...each, text: "" });
  });
  expect(host.ruleset()).toEqual(before);
});

test("deleteRules() deletes by comment, and then the chains, and leaves the rest", async () => {
  using host = await NftHost.make();
  host.load(`table inet x {
    chain base { accept comment "their"; }
    chain other { drop; }
  }`);
  const before = host.ruleset();
  host.load(`add chain inet x our; add rule inet x our goto other comment "not asked for"
    add rule inet x base jump our comment "our"; add rule inet x base jump our comment "our"`);
  const isOurs = (comment: string) => comment === "our";
  const x = { family: "inet", name: "x" } as const;
  for (let time = 0; time < 2; time++) deleteRules(host.socket, x, isOurs, ["our", "gone"]);
  expect(host.ruleset()).toEqual(before);
  deleteRules(host.socket, { ...x, name: "no" }, isOurs, ["our"]);
  expect(host.ruleset()).toEqual(before);
});

test("Transaction.commit() changes nothing when one of its parts is refused, and names that", async () => {
  using host = await made();
  const before = host.ruleset();
  const refusals: readonly (readonly [string, (it: Transaction) => void])[] = [
    ["EEXIST", (it) => it.createTable(TABLE)],
    ["EEXIST", (it) => it.createElements(TABLE, NAMES, [{ key: ["lo"] }])],
    ["EEXIST", (it) => it.createElements(TABLE, RANGES, [{ key: ["tcp", "8000-8010"], data: ["10.9.0.9"] }])],
    ["ENOENT", (it) => it.deleteElements(TABLE, NAMES, [{ key: ["eth9"] }])],
    ["ENOENT", (it) => it.deleteChain(TABLE, "no")],
    ["EBUSY", (it) => it.deleteChain(TABLE, "other")],
    ["ENOENT", (it) => it.addRule(TABLE, "no", rule("x", verdict("accept")))],
    ["ENOENT", (it) => it.addRule(TABLE, "one", rule("x", verdict("jump no")))],
    ["ENOENT", (it) => it.createElements(TABLE, JUMPS, [{ key: ["a", "b"], data: ["goto no"] }])],
    ["EINVAL", (it) => it.createElements(TABLE, RANGES, [{ key: ["tcp", "9-8"], data: ["10.9.0.9"] }])],
  ];
  for (const [code, add] of refusals) {
    const transaction = new Transaction();
    transaction.addChain(TABLE, { name: "new" });
    transaction.createElements(TABLE, NAMES, [{ key: ["new"] }]);
    add(transaction);
    transaction.deleteElements(TABLE, MACS, [{ key: ["ff:ff:ff:ff:ff:ff"] }]);
    expect(transaction.tryCommit(host.socket).at(-1)).toMatchObject({ code });
    expect(host.ruleset()).toEqual(before);
    expect(() => transaction.commit(host.socket)).toThrow(NetlinkError);
  }
});

test("Transaction.tryCommit() of nothing is nothing", async () => {
  using host = await NftHost.make();
  expect(new Transaction().tryCommit(host.socket)).toEqual([]);
  expect(String(new Transaction())).toBe("");
});

test("Transaction.tryCommit() gives a thousand refusals of a thousand operations", async () => {
  using host = await NftHost.make();
  const transaction = new Transaction();
  for (let i = 0; i < 1_000; i++) transaction.addChain(TABLE, { name: `chain${i}` });
  const refusals = transaction.tryCommit(host.socket);
  expect(refusals).toHaveLength(1_000);
  expect(refusals.at(-1)?.message).toStartWith(
    "Cannot add chain inet t chain999: NFT_MSG_NEWCHAIN failed with ENOENT",
  );
});

test("Transaction.createElements() takes 10,000 elements with the longest comments in one transaction", async () => {
  using host = await made();
  const elements = Array.from({ length: 10_000 }, (_, i) => ({
    key: [`10.9.${i >> 8}.${i & 255}`, "tcp", i] as const,
    data: [`fd00:9::${i.toString(16)}`, i] as const,
    comment: "x".repeat(128),
  }));
  change(host, (it) => it.createElements(TABLE, PORTS, elements));
  expect(listElements(host.socket, TABLE, PORTS)).toHaveLength(10_002);
  change(host, (it) => it.deleteElements(TABLE, PORTS, elements));
  expect(listElements(host.socket, TABLE, PORTS)).toHaveLength(2);
});
