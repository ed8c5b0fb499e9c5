/** What the kernel says of rules and packets, spoilt, and rules of that asked about a packet all the same. */
import { parseLegacyTable } from "../../../lib/iptables/legacy-table.ts";
import { parseAddress } from "../../../lib/netaddr/address.ts";
import { decodeExpressions } from "../../../lib/nftables/decoded-expression.ts";
import { readTraceEvent } from "../../../lib/nftables/trace-event.ts";
import { fuzzTest } from "../../../lib/testing/fuzz.ts";
import { ConnectionTable } from "./connection.ts";
import type { HookContext } from "./hook-context.ts";
import { IPTABLES_RULES } from "./iptables-rules.golden.ts";
import { LEGACY_FILTER } from "./legacy-table.golden.ts";
import { NFT_RULES } from "./nft-rules.golden.ts";
import type { Packet } from "./packet.ts";
import { evaluateRule } from "./rule.ts";
import { ruleText } from "./rule-text.ts";

const CASES = 1_000;

const packet: Packet = {
  source: parseAddress("10.1.0.2"),
  destination: parseAddress("10.0.0.3"),
  protocol: 6,
  sourcePort: 40_000,
  destinationPort: 80,
  isAnswer: false,
  ttl: 64,
  length: 60,
  dontFragment: true,
};
const context: HookContext = {
  family: "ip",
  hook: "prerouting",
  packet,
  mark: 0,
  tracked: new ConnectionTable().track(packet),
  routes: { addressType: () => 2, outDevice: () => undefined, sourceOn: () => undefined },
  now: new Date(0),
};

/** Expressions in one run of bytes, so that what is spoilt may be any of them: name, NUL, length, data. */
const rules = [...NFT_RULES.values(), ...IPTABLES_RULES.values()];
const samples = rules.map((expressions) =>
  Uint8Array.from(
    expressions.flatMap(({ name, data }) => [
      ...new TextEncoder().encode(name),
      0,
      data.length & 255,
      data.length >> 8,
      ...data,
    ]),
  ),
);

function expressionsIn(bytes: Uint8Array): { name: string; data: Uint8Array }[] {
  const expressions: { name: string; data: Uint8Array }[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = bytes.indexOf(0, at);
    if (end < 0) break;
    const length = (bytes[end + 1] ?? 0) + 256 * (bytes[end + 2] ?? 0);
    const name = new TextDecoder().decode(bytes.slice(at, end));
    expressions.push({ name, data: bytes.slice(end + 3, end + 3 + length) });
    at = end + 3 + length;
  }
  return expressions;
}

function evaluated(bytes: Uint8Array): unknown {
  const expressions = decodeExpressions({ expressions: { elem: expressionsIn(bytes) } });
  const { holds } = evaluateRule(expressions, context, new Map());
  return `${ruleText(expressions)} ${holds}`;
}

fuzzTest({ name: "evaluateRule()", decode: evaluated, samples, refusals: [RangeError] }, CASES);

const legacy = (entries: Uint8Array) =>
  parseLegacyTable({ name: "filter", family: 4, hooks: LEGACY_FILTER.hooks, entries });
const legacySamples = [LEGACY_FILTER.entries];
fuzzTest(
  { name: "parseLegacyTable()", decode: legacy, samples: legacySamples, refusals: [RangeError] },
  CASES,
);

const event = Uint8Array.fromHex(
  "020000000900010074657374000000000800020063000000080004000000000308000600000000ff0800100000000001",
);
const events = { samples: [event], refusals: [RangeError] };
fuzzTest({ name: "readTraceEvent()", decode: (bytes) => readTraceEvent(bytes) ?? null, ...events }, CASES);
