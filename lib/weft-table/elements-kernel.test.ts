/** Elements of attachments in our tables, on the kernel this machine runs; the oracle is nft. */
import { expect } from "bun:test";
import type { GcCall } from "../cni/plugin.ts";
import { is, l4proto, verdict } from "../nftables/statement.ts";
import { kernelTest } from "../testing/netns.ts";
import { NftHost, noNftReason } from "../testing/nft.ts";
import { type Element, type OwnChain, storeRule } from "./element.ts";
import {
  addElements,
  checkElements,
  deleteElements,
  deleteOwned,
  deleteStale,
  listOwned,
} from "./elements.ts";

const test = (name: string, body: () => Promise<void>) => kernelTest(name, body, noNftReason);

const owner = (containerId: string, network = "net") => ({ network, containerId, ifname: "eth0" });
const one = (set: string, key: (string | number)[], data?: (string | number)[]): Element => ({
  set,
  key,
  data,
});

const CHAINS: OwnChain[] = [
  {
    name: "condition-c1",
    rules: [storeRule({ statements: [is(l4proto, "inet_proto", "tcp"), verdict("return")] })],
  },
];
/** One of each of our sets. */
const ELEMENTS: Element[] = [
  one("masq4", ["cni0", "10.9.0.2"]),
  one("masq6", ["cni0", "fd00:9::2"]),
  one("port4", ["tcp", 8080], ["10.9.0.2", 80]),
  one("port6", ["udp", 8080], ["fd00:9::2", 80]),
  one("hostport4", ["127.0.0.1", "sctp", 9], ["10.9.0.2", 9]),
  one("hostport6", ["fd00::1", "tcp", 9], ["fd00:9::2", 9]),
  one("range4", ["udp", "30000-30010"], ["10.9.0.2"]),
  one("range6", ["tcp", "30000-65535"], ["fd00:9::2"]),
  one("hostrange4", ["10.0.0.1", "udp", "30000-30010"], ["10.9.0.2"]),
  one("hostrange6", ["fd00::1", "udp", "30000-30010"], ["fd00:9::2"]),
  one("condition4", ["tcp", 81], ["jump condition-c1"]),
  one("condition6", ["tcp", 81], ["jump condition-c1"]),
  one("hairpin4", ["cni0", "10.9.0.2"]),
  one("hairpin6", ["cni0", "fd00:9::2"]),
  one("masqall4", ["10.9.0.2"]),
  one("masqall6", ["fd00:9::2"]),
  one("checked", ["veth-c1"]),
  one("macs", ["veth-c1", "02:00:00:00:00:01"]),
];

/** All elements as nft shows them. */
function shown(host: NftHost): string[] {
  return host.ruleset().flatMap((object) => {
    const { name, elem = [] } = object.set ?? object.map ?? {};
    return elem.map((each: unknown) => `${name} ${JSON.stringify(each)}`);
  });
}

function gc(network: string, ...valid: string[]): GcCall {
  const validAttachments = valid.map((containerID) => ({ containerID, ifname: "eth0" }));
  return { config: { name: network }, validAttachments } as unknown as GcCall; // deleteStale() reads no more
}

test("addElements(), twice, leaves each element once, under its owner's name; deleteElements(), twice, nothing", async () => {
  using host = await NftHost.make();
  for (let time = 0; time < 2; time++) addElements(host.socket, ELEMENTS, owner("c1"), CHAINS);
  expect(shown(host)).toHaveLength(ELEMENTS.length);
  for (const line of shown(host)) expect(line).toContain('"comment":"net/c1/eth0"');
  expect(host.elements("port4")).toEqual(['tcp . 8080 comment "net/c1/eth0" : 10.9.0.2 . 80']);
  expect(host.elements("condition4")).toEqual(['tcp . 81 comment "net/c1/eth0" : jump condition-c1']);
  expect(host.host.run("nft list chain inet weft condition-c1")).toContain("\t\tmeta l4proto tcp return\n");
  checkElements(host.socket, ELEMENTS);
  for (let time = 0; time < 2; time++) deleteElements(host.socket, ELEMENTS);
  expect(shown(host)).toEqual([]);
  expect(host.text()).not.toContain("condition-c1");
});

test("addElements() leaves what nft can load again as it lists it", async () => {
  using ours = await NftHost.make();
  using theirs = await NftHost.make();
  addElements(ours.socket, ELEMENTS, owner("c1"), CHAINS);
  theirs.load(ours.text());
  expect(theirs.ruleset()).toEqual(ours.ruleset());
});

test("addElements() replaces what another attachment has under the same key, and leaves its other things", async () => {
  using host = await NftHost.make();
  const mine = one("port4", ["tcp", 8080], ["10.9.0.3", 80]);
  addElements(host.socket, ELEMENTS, owner("c1"), CHAINS);
  addElements(host.socket, [mine, one("masq4", ["cni0", "10.9.0.2"])], owner("c2"));
  expect(host.elements("port4")).toEqual(['tcp . 8080 comment "net/c2/eth0" : 10.9.0.3 . 80']);
  expect(host.elements("masq4")).toEqual(['"cni0" . 10.9.0.2 comment "net/c2/eth0"']);
  expect(shown(host)).toHaveLength(ELEMENTS.length);
});

test("addElements() replaces a range of the same ports, and refuses one that overlaps", async () => {
  using host = await NftHost.make();
  addElements(host.socket, [one("range4", ["tcp", "8000-8010"], ["10.9.0.2"])], owner("c1"));
  addElements(host.socket, [one("range4", ["tcp", "8000-8010"], ["10.9.0.3"])], owner("c2"));
  const left = ['tcp . 8000-8010 comment "net/c2/eth0" : 10.9.0.3'];
  expect(host.elements("range4")).toEqual(left);
  // one that encloses it the kernel takes: port claims see to that
  for (const ports of ["8000-8005", "8005-8006", "7990-8000", "8010-8020"]) {
    const overlapping = [one("range4", ["tcp", ports], ["10.9.0.4"])];
    expect(() => addElements(host.socket, overlapping, owner("c3"))).toThrow(
      "NFT_MSG_NEWSETELEM failed with E",
    );
    deleteElements(host.socket, overlapping);
    expect(host.elements("range4")).toEqual(left);
  }
});

test("addElements() takes names of interfaces with odd characters", async () => {
  using host = await NftHost.make();
  const names = ["1-2", "a.b@c%d&e", "end*", "é", "{;}#$", "fifteen-letters", "\\", "'", "100", 'qu"ote'];
  const odd = names.flatMap((name) => [one("masq4", [name, "10.9.0.2"]), one("checked", [name])]);
  for (let time = 0; time < 2; time++) addElements(host.socket, odd, owner("c1"));
  checkElements(host.socket, odd);
  const keys = host.ruleset().flatMap(({ set }) => (set?.name === "checked" ? set.elem : []));
  expect(keys.map(({ elem }: { elem: { val: string } }) => elem.val).sort()).toEqual(names.sort());
  deleteElements(host.socket, odd);
  expect(shown(host)).toEqual([]);
});

test("addElements() refuses, and changes nothing, when one of the elements is wrong", async () => {
  using host = await NftHost.make();
  addElements(host.socket, [one("masq4", ["cni0", "10.9.0.9"]), one("checked", ["veth9"])], owner("c9"));
  const before = host.ruleset();
  const wrong: Element[] = [
    one("condition4", ["tcp", 81], ["jump nowhere"]),
    one("pairs", ["cni0", "cni1"], ["reject"]),
    one("port4", ["tcp", 80]),
    one("port4", ["tcp", 80], ["fd00::1", 80]),
    one("masq4", ["sixteen-letters-", "10.9.0.2"]),
    one("masq5", ["cni0", "10.9.0.2"]),
    one("range4", ["tcp", "9-8"], ["10.9.0.2"]),
  ];
  for (const element of wrong) {
    expect(() => addElements(host.socket, [...ELEMENTS, element], owner("c1"), CHAINS)).toThrow();
    expect(() => addElements(host.socket, [element, ...ELEMENTS], owner("c1"), CHAINS)).toThrow();
    expect(host.ruleset()).toEqual(before);
  }
});

test("addElements() of a network and an id that are too long for a comment is found by deleteOwned()", async () => {
  using host = await NftHost.make();
  const long = owner("c".repeat(200), "n".repeat(250));
  for (const each of [long, { ...long, network: "net" }, { ...long, containerId: "c1" }]) {
    addElements(host.socket, ELEMENTS, each, CHAINS);
    expect(host.elements("masqall4")).toEqual([
      expect.stringMatching(/^10\.9\.0\.2 comment "[^"]{30,128}"$/),
    ]);
    host.load(`flush ruleset\n${host.text()}`); // nft takes it
    deleteOwned(host.socket, { ...each, ifname: "eth1" });
    expect(shown(host)).toHaveLength(ELEMENTS.length);
    deleteOwned(host.socket, each);
    expect(shown(host)).toEqual([]);
  }
});

test("deleteElements() deletes what is left of them, in whichever table", async () => {
  for (const gone of [
    "flush map inet weft port4",
    "delete element inet weft range4 { udp . 30000-30010 }",
    "delete table bridge weft",
    "delete table inet weft",
    "flush map inet weft condition4; flush map inet weft condition6; delete chain inet weft condition-c1",
    "flush ruleset",
  ]) {
    using host = await NftHost.make();
    addElements(host.socket, ELEMENTS, owner("c1"), CHAINS);
    addElements(host.socket, [one("masq4", ["cni0", "10.9.0.3"])], owner("c2"));
    host.load(gone);
    const others = shown(host).filter((line) => line.includes("net/c2"));
    deleteElements(host.socket, ELEMENTS);
    expect(shown(host)).toEqual(others);
    expect(host.text()).not.toContain("condition-c1");
  }
});

test("deleteOwned() deletes what carries the attachment's name, and its chains", async () => {
  using host = await NftHost.make();
  addElements(host.socket, ELEMENTS, owner("c1"), CHAINS);
  addElements(host.socket, [one("masq4", ["cni0", "10.9.0.3"])], owner("c1", "net2"));
  addElements(host.socket, [one("masq4", ["cni0", "10.9.0.4"])], owner("c11"));
  for (let time = 0; time < 2; time++) deleteOwned(host.socket, owner("c1"));
  expect(
    listOwned(host.socket)
      .map(({ comment }) => comment)
      .sort(),
  ).toEqual(["net/c11/eth0", "net2/c1/eth0"]);
  expect(host.text()).not.toContain("condition-c1");
});

test("deleteStale() deletes what is the network's and not valid, also of what nft was given", async () => {
  using host = await NftHost.make();
  addElements(host.socket, ELEMENTS, owner("c1"), CHAINS);
  addElements(host.socket, [one("masq4", ["cni0", "10.9.0.3"])], owner("c2"));
  addElements(host.socket, [one("masq4", ["cni0", "10.9.0.4"])], owner("c1", "net2"));
  host.load(`add element inet weft masqall4 { 10.1.1.1, 10.1.1.2 comment "mine" }
    add element inet weft leaving { "cni0" comment "net" : drop }`);
  deleteStale(gc("net", "c1", "c2"), host.socket);
  expect(shown(host)).toHaveLength(ELEMENTS.length + 5);
  deleteStale(gc("net", "c2"), host.socket);
  expect(host.elements("masq4")).toEqual([
    '"cni0" . 10.9.0.3 comment "net/c2/eth0"',
    '"cni0" . 10.9.0.4 comment "net2/c1/eth0"',
  ]);
  expect(shown(host)).toHaveLength(5);
  deleteStale(gc("net2"), host.socket);
  deleteStale(gc("ne"), host.socket);
  expect(shown(host)).toHaveLength(4);
});

test("deleteElements(), deleteOwned(), deleteStale() leave somebody else's table, and none, alone", async () => {
  using host = await NftHost.make();
  for (const table of [
    "",
    'table inet weft { set masq4 { type ifname . ipv4_addr; elements = { "cni0" . 10.9.0.2 comment "net/c1/eth0" }; }; }',
  ]) {
    host.load(`flush ruleset\n${table}`);
    const before = host.ruleset();
    deleteOwned(host.socket, owner("c1"));
    deleteStale(gc("net"), host.socket);
    deleteElements(host.socket, ELEMENTS);
    expect(host.ruleset()).toEqual(before);
  }
});

test("addElements() and deleteElements() take 10,000 elements", async () => {
  using host = await NftHost.make();
  const many = Array.from({ length: 10_000 }, (_, i) =>
    one("port4", ["tcp", i + 1], [`10.9.${i >> 8}.${i & 255}`, i + 1]),
  );
  addElements(host.socket, many, owner("c1"));
  expect(host.elements("port4")).toHaveLength(10_000);
  addElements(host.socket, many, owner("c2")); // each is replaced
  deleteElements(host.socket, many);
  expect(shown(host)).toEqual([]);
});
