/** What a transaction sends, beside what nft sends for the same. */
import { expect, test } from "bun:test";
import { openNetfilterSocket } from "../netfilter/socket.ts";
import type { AttributeSet, Table } from "../netlink/attributes.ts";
import { eachMessage } from "../netlink/message.ts";
import { acknowledgeAll, FakeKernel } from "../testing/fake-kernel.ts";
import { type Differences, describeMessage, expectSameMessage, type Layout } from "../testing/golden.ts";
import * as attributes from "./attributes.ts";
import * as expressions from "./expressions.ts";
import * as ruleGolden from "./statement.golden.ts";
import {
  ctEstablished,
  daddr,
  dnatBy,
  dnatTo,
  hasBits,
  iifname,
  inSet,
  is,
  l4proto,
  masquerade,
  oifname,
  type Statement,
  saddr,
  thDport,
  toThisHost,
  verdict,
  verdictOf,
} from "./statement.ts";
import { rule, type SetDefinition, type TableDefinition } from "./table.ts";
import * as golden from "./transaction.golden.ts";
import { Transaction } from "./transaction.ts";

const DATA: Layout = {
  set: attributes.dataAttributes,
  inside: { verdict: { set: attributes.verdictAttributes } },
};
const TABLE: Layout = { structBytes: 4, set: attributes.tableAttributes };
const CHAIN: Layout = {
  structBytes: 4,
  set: attributes.chainAttributes,
  inside: { hook: { set: attributes.hookAttributes } },
};
const CONCAT: Layout = { set: attributes.fieldList, inside: { elem: { set: attributes.setField } } };
const SET: Layout = {
  structBytes: 4,
  set: attributes.setAttributes,
  inside: { desc: { set: attributes.setDescription, inside: { concat: CONCAT } } },
};
const ELEMENT: Layout = { set: attributes.setElement, inside: { key: DATA, data: DATA, keyEnd: DATA } };
const ELEMENTS: Layout = {
  structBytes: 4,
  set: attributes.setElementsAttributes,
  inside: { elements: { set: attributes.elementList, inside: { elem: ELEMENT } } },
};
const RULE: Layout = { structBytes: 4, set: attributes.ruleAttributes };
const BATCH: Layout = { structBytes: 4, set: attributes.batchAttributes };

const ISOLATED: SetDefinition = { name: "isolated", key: ["ifname"] };
const PORTS: SetDefinition = {
  name: "port4",
  key: ["inet_proto", "inet_service"],
  data: ["ipv4_addr", "inet_service"],
};
const RANGES: SetDefinition = {
  name: "range6",
  key: ["inet_proto", "inet_service"],
  data: ["ipv6_addr"],
  interval: true,
};
const PAIRS: SetDefinition = { name: "pairs", key: ["ifname", "ifname"], data: "verdict" };
const WEFT: TableDefinition = { family: "inet", name: "weft", comment: "weft 1", sets: [], chains: [] };

/** The messages of a datagram, each with its header. */
function messagesOf(datagram: Uint8Array): Uint8Array[] {
  let at = 0;
  return eachMessage(datagram).map(({ body }) => {
    const message = datagram.subarray(at, at + 16 + body.length);
    at += (message.length + 3) & ~3;
    return message;
  });
}

/** What is sent for a transaction, from the batch's beginning to its end. */
function sentFor(build: (transaction: Transaction) => void): Uint8Array[] {
  using kernel = new FakeKernel(acknowledgeAll);
  using socket = openNetfilterSocket();
  const transaction = new Transaction();
  build(transaction);
  transaction.deleteTable(WEFT); // the last is the one that is acknowledged
  transaction.commit(socket);
  return messagesOf(kernel.sent[0] ?? new Uint8Array(0));
}

/** The message at a place of the batch, whose beginning is at 0. */
function sent(build: (transaction: Transaction) => void, at = 1): Uint8Array {
  return sentFor(build)[at] ?? new Uint8Array(0);
}
const makingSet = (set: SetDefinition) => sent((it) => it.createTable({ ...WEFT, sets: [set] }), 2);

/** Ours, nft's, and what they differ in on purpose. */
const MESSAGES: Readonly<Record<string, readonly [ours: Uint8Array, Uint8Array, Layout, Differences?]>> = {
  "create table": [
    sent((it) => it.createTable(WEFT)),
    golden.TABLE,
    TABLE,
    {
      onlyOurs: ["type 2560 flags 0x601"], // CREATE, which the kernel takes for granted
      onlyTheirs: ["type 2560 flags 0x201", "NFTA_TABLE_FLAGS 00000000"],
    },
  ],
  "delete table": [sent((it) => it.deleteTable(WEFT)), golden.DELETE_TABLE, TABLE],
  "add chain": [
    sent((it) =>
      it.addChain(WEFT, { name: "prerouting", hook: { type: "nat", hook: "prerouting", priority: -100 } }),
    ),
    golden.CHAIN,
    CHAIN,
  ],
  "flush chain": [sent((it) => it.flushChain(WEFT, "forward")), golden.FLUSH_CHAIN, RULE],
  "delete chain": [sent((it) => it.deleteChain(WEFT, "forward"), 2), golden.DELETE_CHAIN, CHAIN],
  "add set": [makingSet(ISOLATED), golden.SET, SET],
  // nft keeps its own types in the userdata, which a set of known types does without.
  "add map": [
    makingSet(PORTS),
    golden.MAP,
    SET,
    {
      onlyTheirs: [userdata(golden.MAP)],
    },
  ],
  "add map of ranges": [makingSet(RANGES), golden.RANGES, SET, { onlyTheirs: [userdata(golden.RANGES)] }],
  "add map of verdicts": [
    makingSet(PAIRS),
    golden.VERDICTS,
    SET,
    {
      onlyTheirs: [userdata(golden.VERDICTS)],
    },
  ],
  // nft names a set that is there by a number as well.
  "create element": [
    sent((it) =>
      it.createElements(WEFT, PORTS, [
        { key: ["tcp", 8080], data: ["10.9.0.2", 80], comment: "net/c1/eth0" },
      ]),
    ),
    golden.ELEMENT,
    ELEMENTS,
    { onlyTheirs: ["NFTA_SET_ELEM_LIST 4 00000002"] },
  ],
  "create element that is a range": [
    sent((it) => it.createElements(WEFT, RANGES, [{ key: ["udp", "30000-30010"], data: ["fd00:9::2"] }])),
    golden.RANGE,
    ELEMENTS,
    { onlyTheirs: ["NFTA_SET_ELEM_LIST 4 00000003"] },
  ],
  "create element that leads to a verdict": [
    sent((it) =>
      it.createElements(WEFT, PAIRS, [{ key: ["cni0", "cni1"], data: ["goto isolation"], comment: "net" }]),
    ),
    golden.VERDICT,
    ELEMENTS,
    { onlyTheirs: ["NFTA_SET_ELEM_LIST 4 00000004"] },
  ],
  "delete element": [
    sent((it) => it.deleteElements(WEFT, ISOLATED, [{ key: ["cni0"], comment: "not said" }])),
    golden.DELETE_ELEMENT,
    ELEMENTS,
  ],
};

function userdata(message: Uint8Array): string {
  return describeMessage(message, SET).find((line) => line.startsWith("NFTA_SET_USERDATA")) ?? "";
}

for (const [what, [ours, theirs, layout, differences]] of Object.entries(MESSAGES)) {
  test(`Transaction.commit() says what nft says to ${what}`, () => {
    expectSameMessage(ours, theirs, layout, differences);
  });
}

test("Transaction.commit() says what nft says about a batch", () => {
  const theirs = messagesOf(golden.BATCH);
  const ours = sentFor((it) => it.createTable(WEFT));
  for (const at of [0, -1]) expectSameMessage(ours.at(at) as Uint8Array, theirs.at(at) as Uint8Array, BATCH);
});

test("Transaction.createElements() takes as many messages as the elements need", () => {
  const elements = Array.from({ length: 300 }, (_, i) => ({ key: [`cni${i}`], comment: "x".repeat(128) }));
  const messages = sentFor((it) => it.createElements(WEFT, ISOLATED, elements)).slice(1, -2);
  const counts = messages.map(
    (message) => attributes.setElementsMessage.read(message.subarray(16)).elements?.elem?.length,
  );
  expect(counts).toEqual([128, 128, 44]);
});

const TABLES_OF_EXPRESSIONS: Readonly<Record<string, AttributeSet<Table>>> = {
  meta: expressions.metaAttributes,
  payload: expressions.payloadAttributes,
  ct: expressions.ctAttributes,
  fib: expressions.fibAttributes,
  cmp: expressions.cmpAttributes,
  bitwise: expressions.bitwiseAttributes,
  lookup: expressions.lookupAttributes,
  immediate: expressions.immediateAttributes,
  nat: expressions.natAttributes,
  masq: expressions.masqAttributes,
};
const REGISTERS = ["sreg", "dreg", "regAddrMin", "regProtoMin"];

/** A rule's expressions; registers of 128 bits, 1 to 4, as the first 32 bits of them, 8 to 20. */
function expressionsOf(message: Uint8Array): unknown[] {
  return (attributes.ruleMessage.read(message.subarray(16)).expressions?.elem ?? []).map(({ name, data }) => {
    const values = TABLES_OF_EXPRESSIONS[name ?? ""]?.read(data ?? new Uint8Array(0)) ?? {};
    for (const [key, value] of Object.entries(values)) {
      if (REGISTERS.includes(key) && value >= 1 && value <= 4)
        Object.assign(values, { [key]: 4 + 4 * value });
    }
    return { name, ...values };
  });
}

const RULES: Readonly<Record<string, readonly [readonly Statement[], Uint8Array]>> = {
  post: [[inSet([iifname, saddr[4]], "masq4", { not: true }), masquerade], ruleGolden.LOOKUP],
  forward: [[verdictOf([iifname, oifname], "pairs")], ruleGolden.VMAP],
  nat: [[toThisHost, dnatBy(4, [l4proto, thDport], "port4", { withPort: true })], ruleGolden.DNAT],
  "nat to one address": [
    [is(l4proto, "inet_proto", "udp"), dnatTo(6, "fd00:9::2", 5353)],
    ruleGolden.DNAT_TO,
  ],
  "forward by prefix": [
    [
      ctEstablished,
      hasBits(daddr[4], {
        text: "10.9.0.0/17",
        mask: Uint8Array.of(255, 255, 128, 0),
        value: Uint8Array.of(10, 9, 0, 0),
      }),
      verdict("jump isolation"),
    ],
    ruleGolden.JUMP,
  ],
};

for (const [name, [statements, theirs]] of Object.entries(RULES)) {
  const text = statements.map(({ text }) => text).join(" ");
  test(`Transaction.addRule() says what nft says of ${text}`, () => {
    const chain = name.split(" ")[0] ?? "";
    const ours = sent((it) => it.addRule(WEFT, chain, rule("ipMasq", ...statements)));
    expect(expressionsOf(ours)).toEqual(expressionsOf(theirs));
    const [our, their] = [ours, theirs].map((message) => describeMessage(message, RULE));
    const isHead = (line: string) => !/EXPRESSIONS|USERDATA/.test(line);
    expect(our?.filter(isHead)).toEqual(their?.filter(isHead) as string[]);
    expect(our).toContain("NFTA_RULE_USERDATA 000769704d61737100");
  });
}
