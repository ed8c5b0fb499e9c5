import { expect, test } from "bun:test";
import { parseLegacyTable } from "../../../lib/iptables/legacy-table.ts";
import { parseAddress } from "../../../lib/netaddr/address.ts";
import type { DecodedExpression } from "../../../lib/nftables/decoded-expression.ts";
import type { RulesetChain, RulesetRule, RulesetTable } from "../../../lib/nftables/listed-ruleset.ts";
import { NF_ACCEPT, NF_DROP } from "../../../lib/nftables/verdict.ts";
import { doubtText, placeText } from "../filter-hop.ts";
import { Connection, ConnectionTable, STATE, tupleOf } from "./connection.ts";
import { askHook, type Filters } from "./hook.ts";
import type { Device, HookContext } from "./hook-context.ts";
import { legacyHanging } from "./legacy.ts";
import { LEGACY_FILTER } from "./legacy-table.golden.ts";
import { answerTo, type Packet } from "./packet.ts";

const CONTAINER = parseAddress("10.1.0.2");
const OUTSIDE = parseAddress("192.0.2.9");
const HOST = parseAddress("192.0.2.1");
const BR0: Device = { index: 3, name: "br0", kind: "bridge", isLoopback: false };
const ETH0: Device = { index: 2, name: "eth0", kind: "", isLoopback: false };

const PACKET: Packet = {
  source: CONTAINER,
  destination: OUTSIDE,
  protocol: 6,
  sourcePort: 40_000,
  destinationPort: 80,
  isAnswer: false,
  ttl: 64,
  length: 60,
  dontFragment: true,
};

const NOTHING: Filters = { tables: [], legacy: () => [] };

function context(more: Partial<HookContext> = {}): HookContext {
  return {
    family: "ip",
    hook: "forward",
    packet: PACKET,
    iif: BR0,
    oif: ETH0,
    mark: 0,
    tracked: undefined,
    routes: { addressType: () => 1, outDevice: () => undefined, sourceOn: () => HOST },
    now: new Date(0),
    ...more,
  };
}

function verdict(code: number, chain?: string): DecodedExpression {
  return { kind: "verdict", verdict: { code, chain } };
}

function rule(handle: bigint, ...expressions: readonly DecodedExpression[]): RulesetRule {
  return { handle, comment: "", expressions };
}

function chain(name: string, rules: readonly RulesetRule[], base: Partial<RulesetChain> = {}): RulesetChain {
  return { name, hook: undefined, type: "filter", policy: NF_ACCEPT, rules, ...base };
}

const at = (number: number, priority = 0) => ({ hook: { number, priority, devices: [] } });

function filters(...chains: readonly RulesetChain[]): Filters {
  const table: RulesetTable = {
    family: "inet",
    name: "t",
    comment: "",
    isDormant: false,
    chains: new Map(chains.map((each) => [each.name, each])),
    sets: new Map(),
  };
  return { ...NOTHING, tables: [table] };
}

const UNKNOWN: DecodedExpression = { kind: "unknown", name: "riddle" };
const JUMP = -3;
const GOTO = -4;
const RETURN = -5;

test("askHook() follows jumps and comes back, and does not come back from a goto", () => {
  const called = chain("called", [rule(3n, verdict(RETURN)), rule(4n, verdict(NF_DROP))]);
  const jumping = chain("base", [rule(1n, verdict(JUMP, "called")), rule(2n, verdict(NF_DROP))], at(2));
  const going = chain("base", [rule(1n, verdict(GOTO, "called")), rule(2n, verdict(NF_DROP))], at(2));
  const jumped = askHook(filters(jumping, called), context(), new ConnectionTable());
  expect(jumped.steps.map(({ place }) => placeText(place))).toEqual([
    "inet t base handle 1",
    "inet t called handle 3",
    "inet t base handle 2",
  ]);
  expect(jumped.verdict.code).toBe(NF_DROP);
  expect(askHook(filters(going, called), context(), new ConnectionTable()).verdict.code).toBe(NF_ACCEPT);
});

test("askHook() asks chains by their priority, and a policy of drop is a step of its own", () => {
  const early = chain("early", [rule(1n, verdict(NF_ACCEPT))], at(2, -10));
  const late = chain("late", [], { ...at(2, 10), policy: NF_DROP });
  const end = askHook(filters(late, early), context(), new ConnectionTable());
  expect(end.steps.map(({ did }) => did)).toEqual(["accept", "policy drop"]);
  expect(end.verdict.code).toBe(NF_DROP);
});

test("askHook() asks the newest first of one priority, which is listed last", () => {
  const older = chain("older", [rule(1n, verdict(NF_ACCEPT))], at(2));
  const newer = chain("newer", [rule(2n, verdict(NF_DROP))], at(2));
  const end = askHook(filters(older, newer), context(), new ConnectionTable());
  expect(end.steps.map(({ place }) => placeText(place))).toEqual(["inet t newer handle 2"]);
});

test("askHook() asks no chain of a dormant table", () => {
  const dropping = filters(chain("base", [rule(1n, verdict(NF_DROP))], at(2)));
  const dormant = { ...dropping, tables: dropping.tables.map((table) => ({ ...table, isDormant: true })) };
  expect(askHook(dormant, context(), new ConnectionTable()).verdict.code).toBe(NF_ACCEPT);
});

test("askHook() names a rule that nobody knows, if the end hangs on it, and goes on without it", () => {
  const decisive = chain("base", [rule(7n, UNKNOWN, verdict(NF_DROP))], at(2));
  const end = askHook(filters(decisive), context(), new ConnectionTable());
  expect(end.verdict.code).toBe(NF_ACCEPT);
  expect(end.doubts.map(doubtText)).toEqual([
    "not known: expression riddle of inet t base handle 7 (riddle drop), which would drop",
  ]);
  const idle = chain("base", [rule(7n, UNKNOWN, verdict(NF_DROP)), rule(8n, verdict(NF_DROP))], at(2));
  expect(askHook(filters(idle), context(), new ConnectionTable()).doubts).toEqual([]);
});

test("askHook() translates a new connection once, and its answers back", () => {
  const nat = filters(chain("nat", [rule(1n, { kind: "masq" })], { ...at(4, 100), type: "nat" }));
  const connections = new ConnectionTable();
  const begun = askHook(nat, context({ hook: "prerouting", oif: undefined }), connections);
  const gone = askHook(nat, context({ hook: "postrouting", tracked: begun.tracked }), connections);
  expect(gone.packet.source).toEqual(HOST);
  const answer = answerTo(gone.packet);
  const back = askHook(
    nat,
    context({ hook: "prerouting", iif: ETH0, oif: undefined, packet: answer }),
    connections,
  );
  expect(back.packet.destination).toEqual(CONTAINER);
  expect(back.tracked).toMatchObject({ direction: 1, state: STATE.established });
});

test("ConnectionTable.track() takes an answer that nobody asked for as invalid, but for UDP", () => {
  const answer = answerTo(PACKET);
  expect(new ConnectionTable().track(answer)).toBe("invalid");
  expect(new ConnectionTable().track({ ...answer, protocol: 17 })).toMatchObject({ state: STATE.new });
});

test("Connection notes no translation to what was there", () => {
  const connection = new Connection(tupleOf(PACKET));
  connection.translateDestination(OUTSIDE, 80);
  expect(connection.status & 32).toBe(0);
  connection.translateDestination(OUTSIDE, 81);
  expect(connection.status & 32).toBe(32);
});

test("legacyHanging() says what iptables-legacy does: jumps, returns, a policy", () => {
  const { hooks, entries } = LEGACY_FILTER;
  const table = parseLegacyTable({ name: "filter", family: 4, hooks, entries });
  const legacy: Filters = { tables: [], legacy: (family, hook) => legacyHanging([table], family, hook) };
  const end = (more: Partial<HookContext>) => askHook(legacy, context(more), new ConnectionTable());
  const forwarded = end({ iif: ETH0 });
  expect(forwarded.steps.map(({ place, did }) => `${placeText(place)}: ${did}`)).toEqual([
    "iptables-legacy filter FORWARD rule 1: jump mine",
    'iptables-legacy filter mine rule 1 "hey": return',
    "iptables-legacy filter FORWARD rule 2: goto mine",
    'iptables-legacy filter mine rule 1 "hey": return',
    "iptables-legacy filter FORWARD, its policy: policy drop",
  ]);
  expect(forwarded.steps[0]?.place.rule?.text).toBe("-s 10.0.0.0/8 ! -i br+ -j mine");
  expect(forwarded.verdict.code).toBe(NF_DROP);
  const connections = new ConnectionTable();
  const tracked = connections.track(PACKET);
  expect(end({ hook: "input", oif: undefined, tracked }).did).toBe("reject");
  expect(end({ hook: "input", oif: undefined, tracked: "untracked" }).did).toBe("accept");
});
