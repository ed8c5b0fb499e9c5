/**
 * Rules by chance, in a namespace's own filter, and packets by chance: which rules a packet met is told by
 * their counters, and worked out by askHook(). The seed is in the name of the test that fails.
 */
import { expect } from "bun:test";
import { FirstPacket } from "../../../lib/first-packet.ts";
import { type Address, parseAddress } from "../../../lib/netaddr/address.ts";
import { listRuleset } from "../../../lib/nftables/listed-ruleset.ts";
import { kernelTest } from "../../../lib/testing/netns.ts";
import { NftHost, noNftReason } from "../../../lib/testing/nft.ts";
import { ConnectionTable } from "./connection.ts";
import { askHook, type Filters } from "./hook.ts";
import type { Device, HookContext } from "./hook-context.ts";
import type { Packet } from "./packet.ts";

const ADDRESSES = {
  4: ["10.9.0.1", "10.9.0.2", "10.9.1.1"],
  6: ["fd00:9::1", "fd00:9::2", "fd00:9:1::1"],
} as const;
const PORTS = [7, 80, 1000, 8080];
const RULES = 24;
const PACKETS = 12;
const SEEDS = [1, 2, 3, 4, 5, 6];
const LO: Device = { index: 1, name: "lo", kind: "", isLoopback: true };

/** Numbers from 0 to 1, of which the seed decides (mulberry32). */
function chance(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

class Choice {
  readonly #next: () => number;

  constructor(seed: number) {
    this.#next = chance(seed);
  }

  of<T>(values: readonly T[]): T {
    const value = values[Math.floor(this.#next() * values.length)];
    if (value === undefined) throw new Error("nothing to choose from");
    return value;
  }
}

/** A condition as nft takes it. */
function condition(choice: Choice): string {
  const family = choice.of([4, 6] as const);
  const ip = family === 4 ? "ip" : "ip6";
  const [address, other] = [choice.of(ADDRESSES[family]), choice.of(ADDRESSES[family])];
  const [port, further] = [choice.of(PORTS), choice.of(PORTS)];
  const bits = choice.of(family === 4 ? [8, 16, 20, 24, 31, 32] : [16, 32, 48, 60, 64, 128]);
  const not = choice.of(["", "", "!= "]);
  const side = choice.of(["saddr", "daddr"]);
  return choice.of([
    `${ip} ${side} ${not}${address}`,
    `${ip} ${side} ${not}${address}/${bits}`,
    `${ip} ${side} ${not}{ ${[...new Set([address, other])].join(", ")} }`,
    `${ip} saddr . ${ip} daddr ${not}{ ${address} . ${other} }`,
    `${ip} daddr . udp dport { ${address} . ${port} }`,
    `udp dport ${not}${port}`,
    `udp dport ${not}${Math.min(port, further)}-${Math.max(port, further) + 1}`,
    `udp dport ${not}{ ${port}, 2000-3000 }`,
    `udp dport ${choice.of(["<", "<=", ">", ">="])} ${port}`,
    `th dport & 0xff ${choice.of(["==", "!="])} ${port & 0xff}`,
    `meta l4proto ${not}udp`,
    `meta nfproto ${choice.of(["ipv4", "ipv6"])}`,
    `iifname ${not}"${choice.of(["lo", "l*", "eth0"])}"`,
    `oifname ${not}"lo"`,
    `meta mark ${not}${choice.of([0, 5, 7])}`,
    `meta mark & ${choice.of([1, 2, 4])} ${choice.of(["==", "!="])} 0`,
    `ct state ${choice.of(["new", "established", "untracked", "invalid"])}`,
    `ct status ${choice.of(["dnat", "confirmed", "assured"])}`,
    `ct direction original`,
    `ct original ${ip} daddr ${address}`,
    `fib daddr type ${choice.of(["local", "unicast"])}`,
    `ip ttl ${choice.of(["< 64", "64", "> 10"])}`,
    `meta length ${choice.of(["> 30", "< 20"])}`,
    `ip saddr @few`,
    `ip6 daddr . udp dport @some`,
    `udp dport @spans`,
  ]);
}

function statement(choice: Choice): string {
  return choice.of([
    "accept",
    "drop",
    "return",
    "jump other",
    "goto other",
    "jump last",
    "meta mark set 5",
    "meta mark set meta mark | 2",
    "ct mark set 3",
    "udp dport vmap { 7 : accept, 80 : jump last, 1000-2000 : drop }",
  ]);
}

/** Every rule counts when its condition is met; its comment is its number. */
function rulesetText(choice: Choice): string {
  let number = 0;
  const rules = (count: number, allowed: (text: string) => boolean) =>
    Array.from({ length: count }, () => {
      let does = statement(choice);
      while (!allowed(does)) does = statement(choice);
      const isCounted = !does.includes("vmap"); // it would count before it has found anything
      const counter = isCounted ? "counter " : "";
      return `    ${condition(choice)} ${counter}${does} comment "${isCounted ? "r" : "map"}${number++}"`;
    }).join("\n");
  const any = () => true;
  const noJump = (text: string) => !text.includes("other") && !text.includes("last");
  const noOther = (text: string) => !text.includes("other");
  return `
table inet t {
  set few { type ipv4_addr; flags interval; elements = { 10.9.0.0-10.9.0.1, 10.9.1.0/24 } }
  set some { type ipv6_addr . inet_service; flags interval; elements = { fd00:9::/64 . 7-80, fd00::1 . 9 } }
  set spans { type inet_service; flags interval; elements = { 0-7, 80, 8000-65535 } }
  chain last {
${rules(4, noJump)}
  }
  chain other {
${rules(6, noOther)}
  }
  chain base {
    type filter hook input priority 0; policy ${choice.of(["accept", "drop"])};
    meta l4proto { icmp, ipv6-icmp } accept # nobody listens, and the kernel says so
${rules(RULES - 10, any)}
  }
}`;
}

/** The comments of rules whose counter says that a packet met them. */
function counted(host: NftHost): string[] {
  const { nftables } = host.host.json("nft -j list ruleset");
  const met = (
    nftables as { rule?: { comment?: string; expr: { counter?: { packets: number } }[] } }[]
  ).flatMap(({ rule }) =>
    rule?.expr.some(({ counter }) => (counter?.packets ?? 0) > 0) ? [rule.comment ?? ""] : [],
  );
  return met.sort();
}

/** As the first packet of a connection arrives by the loopback. */
function worked(filters: Filters, packet: Packet): string[] {
  const connections = new ConnectionTable();
  const tracked = connections.track(packet);
  if (tracked !== "invalid") connections.confirm(tracked); // when it was sent
  const context: HookContext = {
    family: "ip",
    hook: "input",
    packet,
    iif: LO,
    mark: 0,
    tracked,
    routes: { addressType: () => 2, outDevice: () => LO, sourceOn: () => undefined },
    now: new Date(),
  };
  const { steps, doubts } = askHook(filters, context, connections);
  expect(doubts).toEqual([]);
  const names = steps.map(({ place }) => place.rule?.comment ?? "");
  return [...new Set(names.filter((name) => name.startsWith("r")))].sort();
}

/** As FirstPacket sends it. */
function firstPacket(source: Address, destination: Address, port: number): Packet {
  return {
    source,
    destination,
    protocol: 17,
    sourcePort: 40_000,
    destinationPort: port,
    isAnswer: false,
    ttl: 64,
    length: (source.family === 4 ? 28 : 48) + 11,
    dontFragment: true,
  };
}

for (const seed of SEEDS) {
  kernelTest(
    `askHook() meets the rules that the kernel does, seed ${seed}`,
    async () => {
      const choice = new Choice(seed);
      using host = await NftHost.make();
      host.host.run("ip link set lo up");
      for (const address of ADDRESSES[4]) host.host.run(`ip address add ${address}/32 dev lo`);
      for (const address of ADDRESSES[6]) host.host.run(`ip address add ${address}/128 dev lo nodad`);
      const text = rulesetText(choice);
      for (let n = 0; n < PACKETS; n++) {
        const family = choice.of([4, 6] as const);
        const [source, destination] = [0, 1].map(() => parseAddress(choice.of(ADDRESSES[family])));
        const port = choice.of(PORTS);
        if (!source || !destination) throw new Error("two addresses");
        host.load(`table inet t {}\ndelete table inet t\n${text}`); // with counters that are 0
        const tables = listRuleset(host.socket);
        using _sent = new FirstPacket(host.host.netns, { source, destination, protocol: 17, port });
        const packet = firstPacket(source, destination, port);
        const ours = worked({ tables, legacy: () => [] }, packet);
        expect([n, packet.destinationPort, ours]).toEqual([n, packet.destinationPort, counted(host)]);
      }
    },
    noNftReason,
  );
}

kernelTest(
  "askHook() asks the newest first of chains of one priority, as the kernel does",
  async () => {
    using host = await NftHost.make();
    host.host.run("ip link set lo up");
    const chain = (name: string, rule: string) => `
      chain ${name} { type filter hook input priority 0; udp dport 7 counter drop comment "${rule}"; };`;
    const [source, destination] = [parseAddress("127.0.0.1"), parseAddress("127.0.0.2")];
    const loads = [
      `table inet m { ${chain("m", "r1")} ${chain("a", "r2")} }`,
      `table ip z { ${chain("z", "r3")} }`,
      `table inet a { ${chain("a", "r4")} }`,
    ];
    const seen = loads.map((text) => {
      host.load(text);
      const tables = listRuleset(host.socket);
      const before = new Set(counted(host));
      using _sent = new FirstPacket(host.host.netns, { source, destination, protocol: 17, port: 7 });
      const met = counted(host).filter((rule) => !before.has(rule));
      return { met, ours: worked({ tables, legacy: () => [] }, firstPacket(source, destination, 7)) };
    });
    const each = ["r2", "r3", "r4"].map((rule) => ({ met: [rule], ours: [rule] }));
    expect(seen).toEqual(each);
  },
  noNftReason,
);
