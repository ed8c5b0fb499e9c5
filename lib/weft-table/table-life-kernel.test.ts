/** Our tables from the first ADD to the next version of weft, beside other people's; the oracle is nft. */
import { afterEach, expect, spyOn } from "bun:test";
import { CniError } from "../cni/error.ts";
import { openNetfilterSocket } from "../netfilter/socket.ts";
import { verdict } from "../nftables/statement.ts";
import { rule } from "../nftables/table.ts";
import { Transaction } from "../nftables/transaction.ts";
import { type AttachmentRecord, removeRecord, writeRecord } from "../state/record.ts";
import { thrownBy } from "../testing/made-up-things.ts";
import { kernelTest } from "../testing/netns.ts";
import { NftHost, noNftReason } from "../testing/nft.ts";
import { type Element, type Entries, storeRule } from "./element.ts";
import { addElements, checkElements, deleteElements } from "./elements.ts";
import { BRIDGE_TABLE, VERSION, WEFT_TABLE } from "./ruleset.ts";
import { ensureTable, remakeTable } from "./table-life.ts";

const test = (name: string, body: () => Promise<void>) => kernelTest(name, body, noNftReason);

const owner = (containerId: string) => ({ network: "table-life", containerId, ifname: "eth0" });
const MASQ: Element[] = [{ set: "masq4", key: ["cni0", "10.9.0.2"] }];

const FOREIGN = "table inet weft was not made by weft; it has not its comment; rename it or delete it";

const records: AttachmentRecord<Entries>[] = [];
function record(containerId: string, details: Entries): void {
  const one = { ...owner(containerId), plugin: "test", netns: "", details };
  records.push(one);
  writeRecord(one);
}
afterEach(() => {
  for (const one of records.splice(0)) removeRecord(one);
});

/** A host with our tables as an earlier version left them. */
async function outdated(): Promise<NftHost> {
  const host = await NftHost.make();
  const transaction = new Transaction();
  const old = { ...WEFT_TABLE, comment: "weft 0" };
  transaction.createTable({
    ...old,
    sets: [...old.sets, { name: "gone", key: ["ifname"] }],
    chains: [...old.chains, { name: "gone", rules: [rule("old", verdict("drop"))] }],
  });
  transaction.commit(host.socket);
  return host;
}

function fresh(host: NftHost): unknown[] {
  host.load("flush ruleset");
  ensureTable(host.socket, WEFT_TABLE);
  return host.ruleset();
}

test("ensureTable() makes the table once, and leaves what it made alone", async () => {
  using host = await NftHost.make();
  for (const table of [WEFT_TABLE, BRIDGE_TABLE]) ensureTable(host.socket, table);
  const before = host.host.run("nft -a list ruleset");
  for (const table of [WEFT_TABLE, BRIDGE_TABLE]) ensureTable(host.socket, table);
  expect(host.host.run("nft -a list ruleset")).toBe(before);
});

test("ensureTable() refuses somebody else's table, and changes nothing", async () => {
  for (const body of [
    "",
    'comment "weft"; ',
    `comment "weft ${VERSION} of mine"; `,
    "set masq4 { type ifname . ipv4_addr; }\n",
  ]) {
    using host = await NftHost.make();
    host.load(`table inet weft { ${body}}`);
    const before = host.ruleset();
    const foreign = { code: CniError.INTERNAL, message: expect.stringContaining(FOREIGN) };
    expect(thrownBy(() => addElements(host.socket, MASQ, owner("c1")))).toMatchObject(foreign);
    expect(thrownBy(() => remakeTable(host.socket, WEFT_TABLE))).toMatchObject(foreign);
    expect(() => checkElements(host.socket, MASQ)).toThrow('table inet weft is "');
    expect(host.ruleset()).toEqual(before);
  }
});

test("ensureTable() passes by tables of our name in other families, and all others", async () => {
  using host = await NftHost.make();
  host.load(
    "table ip weft { }\ntable inet filter { chain x { type filter hook forward priority 0; policy drop; }\n}",
  );
  const before = host.ruleset();
  addElements(host.socket, MASQ, owner("c1"));
  deleteElements(host.socket, MASQ);
  host.load("delete table inet weft");
  expect(host.ruleset()).toEqual(before);
});

test("ensureTable() makes a table of another version anew, and keeps the administrator's rules", async () => {
  using host = await outdated();
  host.load(`add rule inet weft user ip saddr 10.1.0.0/16 counter drop comment "mine"
    add rule inet weft user tcp dport 22 accept`);
  ensureTable(host.socket, WEFT_TABLE);
  expect(host.text()).not.toContain("gone");
  expect(host.text()).toContain(`comment "weft ${VERSION}"`);
  const rules = host.host.run("nft -s list chain inet weft user");
  expect(
    rules
      .split("\n")
      .slice(2, 4)
      .map((line) => line.trim()),
  ).toEqual(['ip saddr 10.1.0.0/16 counter drop comment "mine"', "tcp dport 22 accept"]);
  host.load("flush chain inet weft user");
  expect(host.ruleset()).toEqual(fresh(host));
});

test("addElements() restores of a flushed table what the records say, of all attachments", async () => {
  using host = await NftHost.make();
  record("c1", { elements: MASQ });
  record("c2", {
    elements: [
      { set: "condition4", key: ["tcp", 8080], data: ["jump condition-c2"] },
      { set: "macs", key: ["veth2", "02:00:00:00:00:02"] },
    ],
    chains: [{ name: "condition-c2", rules: [storeRule({ statements: [verdict("accept")] })] }],
    shared: [{ set: "leaving", key: ["cni0"], data: ["goto isolation"] }],
  });
  // of one key: one
  record("c3", { elements: MASQ, shared: [{ set: "leaving", key: ["cni0"], data: ["drop"] }] });
  addElements(host.socket, [{ set: "masq4", key: ["cni0", "10.9.0.4"] }], owner("c4"));
  const shown = {
    masq4: ['"cni0" . 10.9.0.4 comment "table-life/c4/eth0"', expect.stringContaining('"cni0" . 10.9.0.2')],
    condition4: ['tcp . 8080 comment "table-life/c2/eth0" : jump condition-c2'],
    leaving: [expect.stringContaining('"cni0" comment "table-life" :')],
  };
  for (const [set, elements] of Object.entries(shown)) {
    expect(host.elements(set)).toEqual(expect.arrayContaining(elements));
    expect(host.elements(set)).toHaveLength(elements.length);
  }
  expect(host.host.run("nft list chain inet weft condition-c2")).toContain("accept");
  expect(host.text()).not.toContain("table bridge weft"); // nobody needed it yet
  addElements(host.socket, [{ set: "checked", key: ["veth4"] }], owner("c4"));
  expect(host.elements("macs", "bridge")).toEqual([
    '"veth2" . 02:00:00:00:00:02 comment "table-life/c2/eth0"',
  ]);
});

test("addElements() is not held up by records that are damaged, or of another version", async () => {
  using host = await NftHost.make();
  record("c1", { elements: [{ set: "another-version", key: ["x"] }, ...MASQ] });
  record("c2", {
    elements: [
      { set: "masq4", key: ["cni0"] },
      { set: "port4", key: ["tcp", 80], data: [] },
    ],
  });
  record("c3", { elements: "none" as never, shared: [{} as never], chains: 1 as never });
  addElements(host.socket, [{ set: "masqall4", key: ["10.9.0.4"] }], owner("c5"));
  expect(host.elements("masq4")).toEqual(['"cni0" . 10.9.0.2 comment "table-life/c1/eth0"']);
});

test("checkElements() names the table, the rule, or the element that is missing, or that changed", async () => {
  using host = await NftHost.make();
  const elements: Element[] = [
    ...MASQ,
    { set: "port4", key: ["tcp", 8080], data: ["10.9.0.2", 80] },
    { set: "range4", key: ["udp", "30000-30010"], data: ["10.9.0.2"] },
    { set: "checked", key: ["end*"] },
  ];
  const complaint = () => thrownBy(() => checkElements(host.socket, elements));
  const failed = (message: string) => ({ code: CniError.CHECK_FAILED, message });
  expect(complaint()).toMatchObject(failed("table inet weft not found"));
  addElements(host.socket, elements, owner("c1"));
  checkElements(host.socket, elements);
  const tamperings = {
    'delete element inet weft masq4 { "cni0" . 10.9.0.2 }':
      'element masq4 { "cni0" . 10.9.0.2 } of table inet weft not found',
    "delete element inet weft port4 { tcp . 8080 }; add element inet weft port4 { tcp . 8080 : 10.9.0.3 . 80 }":
      "element port4 { tcp . 8080 } of table inet weft leads to 10.9.0.3:80, not 10.9.0.2:80",
    "delete element inet weft range4 { udp . 30000-30010 }":
      "element range4 { udp . 30000-30010 } of table inet weft not found",
    'delete element bridge weft checked { "end\\*" }':
      'element checked { "end\\*" } of table bridge weft not found',
    "flush chain inet weft postrouting":
      'rule "back to where it came from" of chain postrouting in table inet weft not found',
    "delete table bridge weft": "table bridge weft not found",
  };
  for (const [tampering, message] of Object.entries(tamperings)) {
    host.load("flush ruleset");
    addElements(host.socket, elements, owner("c1"));
    host.load(tampering);
    expect(complaint()).toMatchObject(failed(message));
  }
});

test("ensureTable() of two processes at once: each finds its own element there, and the other's", async () => {
  for (const before of [() => NftHost.make(), outdated]) {
    using host = await before();
    const add = (id: string, element: Element) => {
      record(id, { elements: [element] });
      const program = `
        import { addElements } from "${import.meta.dir}/elements.ts";
        import { openNetfilterSocket } from "${import.meta.dir}/../netfilter/socket.ts";
        addElements(openNetfilterSocket(), ${JSON.stringify([element])}, ${JSON.stringify(owner(id))});`;
      const command = ["nsenter", `--net=${host.host.path}`, process.execPath, "-e", program];
      return Bun.spawn(command, { stderr: "inherit" }).exited;
    };
    const ids = Array.from({ length: 8 }, (_, i) => i + 1);
    const codes = await Promise.all(
      ids.map((id) => add(`c${id}`, { set: "masq4", key: ["cni0", `10.9.0.${id}`] })),
    );
    expect(codes).toEqual(ids.map(() => 0));
    expect(host.elements("masq4")).toEqual(
      ids.map((id) => `"cni0" . 10.9.0.${id} comment "table-life/c${id}/eth0"`),
    );
    expect(host.text()).toContain(`comment "weft ${VERSION}"`);
  }
});

test("ensureTable() leaves what another process made meanwhile, with what is in it", async () => {
  for (const before of [() => NftHost.make(), outdated]) {
    using host = await before();
    using other = openNetfilterSocket(host.host.netns);
    const { transact } = host.socket;
    const late = spyOn(host.socket, "transact").mockImplementationOnce((...batch) => {
      addElements(other, MASQ, owner("c1"));
      return transact.apply(host.socket, batch);
    });
    ensureTable(host.socket, WEFT_TABLE);
    late.mockRestore();
    expect(host.elements("masq4")).toEqual(['"cni0" . 10.9.0.2 comment "table-life/c1/eth0"']);
  }
});

test("ensureTable() keeps the administrator's rules with sets of their own", async () => {
  using host = await outdated();
  const rules = [
    "ip saddr { 10.1.0.1, 10.1.0.2 } drop",
    "tcp dport { 22, 80-90 } accept",
    'iifname vmap { "cni0" : accept, "cni1" : drop }',
    "tcp dport @mine jump mine",
    "ip6 saddr . tcp dport @timed accept",
    "update @seen { ip saddr }",
  ];
  host.load(`add set inet weft mine { type inet_service; }\nadd element inet weft mine { 1, 2 }
    add set inet weft timed { type ipv6_addr . inet_service; timeout 1d; }
    add element inet weft timed { fd00::1 . 80 timeout 2d }
    add set inet weft seen { type ipv4_addr; flags dynamic; timeout 1h; }
    add chain inet weft mine\nadd rule inet weft mine drop
    ${rules.map((text) => `add rule inet weft user ${text}`).join("\n")}`);
  const before = host.host.run("nft list chain inet weft user");
  ensureTable(host.socket, WEFT_TABLE);
  expect(host.host.run("nft list chain inet weft user")).toBe(before);
  expect(host.elements("mine")).toEqual(["1", "2"]);
  expect(host.elements("timed")).toEqual([expect.stringContaining("fd00::1 . 80 timeout 2d expires 1d23h")]);
  expect(host.host.run("nft list chain inet weft mine")).toContain("drop");
  ensureTable(host.socket, { ...WEFT_TABLE, comment: `weft ${VERSION + 1}` });
  expect(host.host.run("nft list chain inet weft user")).toBe(before);
});
