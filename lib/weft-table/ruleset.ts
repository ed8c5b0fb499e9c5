/**
 * The ruleset: one table for what is routed, one for what is bridged, each made once.
 *
 * No rule is a container's, a port's or a network's: those are elements of sets and maps, so that a change
 * costs the same however many there are. An element is its container's own, but for those of pairs, leaving,
 * entering and isolated, which are of an interface and shared by its containers (shared-elements.ts).
 *
 * An element with an interface and an address (masq4, hairpin4) says from where the container's packets come,
 * in overlay4 by which device the other subnets of its overlay are reached (docs/overlay.md, mode routed).
 * A packet that netfilter sees while it is bridged (net.bridge.bridge-nf-call-iptables) has no such interface
 * any more when it leaves, nor has one that this host sends itself: `iif 0`.
 *
 * Rejected: subnets as keys, which containers and networks share, and which
 * the kernel refuses where two overlap; marks, which are kube-proxy's and
 * the administrator's; a rule a port, found by listing all of them.
 */
import type { TypeName } from "../nftables/datatype.ts";
import {
  ctEstablished,
  ctStatusDnat,
  daddr,
  dnatBy,
  etherSaddr,
  hasBits,
  iif,
  iifkind,
  iifname,
  inSet,
  is,
  isBytes,
  l4proto,
  masquerade,
  ofFamily,
  oifname,
  saddr,
  thDport,
  toThisHost,
  verdict,
  verdictOf,
} from "../nftables/statement.ts";
import {
  type ChainDefinition,
  type Rule,
  rule,
  type SetDefinition,
  type TableDefinition,
  type TableFamily,
} from "../nftables/table.ts";

/** Of both tables. Another number is another ruleset: ADD then makes the table anew (weft-table.ts). */
export const VERSION = 2;

/** Base chains at the places where Netfilter's own names are (linux/netfilter_ipv4.h NF_IP_PRI_*). */
const RAW = -300;
const DSTNAT = -100;
const FILTER = 0;
const SRCNAT = 100;

/** The sets of one family: where the addresses are, its own datatype is. */
function familySets(family: 4 | 6): SetDefinition[] {
  const address: TypeName = `ipv${family}_addr`;
  const port = ["inet_proto", "inet_service"] as const;
  return [
    { name: `masq${family}`, key: ["ifname", address] },
    { name: `port${family}`, key: port, data: [address, "inet_service"] },
    { name: `hostport${family}`, key: [address, ...port], data: [address, "inet_service"] },
    { name: `range${family}`, key: port, data: [address], interval: true },
    { name: `hostrange${family}`, key: [address, ...port], data: [address], interval: true },
    { name: `condition${family}`, key: port, data: "verdict" },
    { name: `hairpin${family}`, key: ["ifname", address] },
    { name: `masqall${family}`, key: [address] },
    { name: `overlay${family}`, key: ["ifname", address] },
  ];
}

const INTERFACE_SETS: readonly SetDefinition[] = [
  { name: "pairs", key: ["ifname", "ifname"], data: "verdict" },
  { name: "leaving", key: ["ifname"], data: "verdict" },
  { name: "entering", key: ["ifname"], data: "verdict" },
  { name: "isolated", key: ["ifname"] },
];

/** 127.0.0.0/8: the interface of the host to a published container is open to it (route_localnet). */
const LOOPBACK = { text: "127.0.0.0/8", first: [127], bits: 8, bytes: 4 };
const MULTICAST = {
  4: { text: "224.0.0.0/4", first: [224], bits: 4, bytes: 4 },
  6: { text: "ff00::/8", first: [0xff], bits: 8, bytes: 16 },
};
/** An address that means something on one link only. */
const LINK_LOCAL = { text: "fe80::/10", first: [0xfe, 0x80], bits: 10, bytes: 16 };

/** Ports of this host that lead to containers: one hostIP before any, one port before a range. */
function publishChain(family: 4 | 6): ChainDefinition {
  const port = [l4proto, thDport];
  const hostPort = [daddr[family], ...port];
  const localhost = { text: "::1", value: Uint8Array.fromHex("1".padStart(32, "0")) };
  const excluded: Rule[] =
    family === 4
      ? []
      : [
          rule("an answer to ::1 could not come back", isBytes(daddr[6], localhost), verdict("return")),
          rule("nor one to a link-local client", hasBits(saddr[6], prefix(LINK_LOCAL)), verdict("return")),
        ];
  return {
    name: `publish${family}`,
    rules: [
      ...excluded,
      rule("one hostIP", dnatBy(family, hostPort, `hostport${family}`, { withPort: true })),
      rule("conditions of one container", verdictOf(port, `condition${family}`)),
      rule("any hostIP", dnatBy(family, port, `port${family}`, { withPort: true })),
      rule("a range of one hostIP", dnatBy(family, hostPort, `hostrange${family}`, { withPort: false })),
      rule("a range of any hostIP", dnatBy(family, port, `range${family}`, { withPort: false })),
    ],
  };
}

function publishRules(): Rule[] {
  return ([4, 6] as const).map((family) =>
    rule(`IPv${family}`, toThisHost, ofFamily(family), verdict(`goto publish${family}`)),
  );
}

/** The server would answer the client directly, or could not answer 127.0.0.1: it must see the host. */
function masqueradeRules(family: 4 | 6): Rule[] {
  const hairpin = `hairpin${family}`;
  const fromHere = isBytes(iif, { text: "0", value: new Uint8Array(4) });
  return [
    rule("back to where it came from", ctStatusDnat, inSet([iifname, daddr[family]], hairpin), masquerade),
    rule(
      "bridged, or of this host",
      ctStatusDnat,
      fromHere,
      inSet([oifname, daddr[family]], hairpin),
      masquerade,
    ),
    rule("masqAll", ctStatusDnat, inSet([daddr[family]], `masqall${family}`), masquerade),
    rule("multicast keeps its source", hasBits(daddr[family], prefix(MULTICAST[family])), verdict("return")),
    rule(
      "so does what goes to a container",
      inSet([oifname, daddr[family]], `masq${family}`),
      verdict("return"),
    ),
    rule(
      "and what a container sends to its own overlay",
      inSet([oifname, saddr[family]], `overlay${family}`),
      verdict("return"),
    ),
    rule("ipMasq", inSet([iifname, saddr[family]], `masq${family}`), masquerade),
  ];
}

function makeChains(): ChainDefinition[] {
  return [
    { name: "user", rules: [] },
    {
      name: "isolation", // jumped to, and left for what the other network has to say
      rules: [
        rule("published ports", ctStatusDnat, verdict("return")),
        rule("no other network with a policy", inSet([oifname], "isolated"), verdict("drop")),
      ],
    },
    {
      name: "published",
      rules: [
        rule("answers", ctEstablished, verdict("return")),
        rule("published ports", ctStatusDnat, verdict("return")),
        rule("nothing else", verdict("drop")),
      ],
    },
    {
      name: "icc-off",
      rules: [
        rule("published ports", ctStatusDnat, verdict("accept")),
        rule("containers of a bridge do not reach each other", verdict("drop")),
      ],
    },
    publishChain(4),
    publishChain(6),
    {
      name: "loopback",
      rules: [
        rule("this host's own", is(iifname, "ifname", "lo"), verdict("return")),
        // a rule of its own: a network card has no kind, and what asks for it matches nothing
        rule(
          "VRFs are loopback for their own",
          isBytes(iifkind, { text: '"vrf"', value: kindBytes("vrf") }),
          verdict("return"),
        ),
        rule("127.0.0.0/8 never comes from outside", verdict("drop")),
      ],
    },
    {
      name: "guard",
      hook: { type: "filter", hook: "prerouting", priority: RAW },
      rules: [daddr[4], saddr[4]].map((selector) =>
        rule(selector.text, hasBits(selector, prefix(LOOPBACK)), verdict("jump loopback")),
      ),
    },
    {
      name: "prerouting",
      hook: { type: "nat", hook: "prerouting", priority: DSTNAT },
      rules: publishRules(),
    },
    { name: "output", hook: { type: "nat", hook: "output", priority: DSTNAT }, rules: publishRules() },
    {
      name: "forward",
      hook: { type: "filter", hook: "forward", priority: FILTER },
      rules: [
        rule("the administrator's own", verdict("jump user")),
        rule("from where to where", verdictOf([iifname, oifname], "pairs")),
        rule("from where", verdictOf([iifname], "leaving")),
        rule("to where", verdictOf([oifname], "entering")),
      ],
    },
    {
      name: "postrouting",
      hook: { type: "nat", hook: "postrouting", priority: SRCNAT },
      rules: [...masqueradeRules(4), ...masqueradeRules(6)],
    },
  ];
}

function makeBridgeChains(): ChainDefinition[] {
  return [
    {
      name: "prerouting",
      hook: { type: "filter", hook: "prerouting", priority: RAW },
      rules: [
        rule(
          "macspoofchk",
          inSet([iifname], "checked"),
          inSet([iifname, etherSaddr], "macs", { not: true }),
          verdict("drop"),
        ),
      ],
    },
  ];
}

export const WEFT_TABLE = table("inet", [...familySets(4), ...familySets(6), ...INTERFACE_SETS], makeChains);

/** macspoofchk: of a checked port only frames with the container's own MAC come in. */
export const BRIDGE_TABLE = table(
  "bridge",
  [
    { name: "checked", key: ["ifname"] },
    { name: "macs", key: ["ifname", "ether_addr"] },
  ],
  makeBridgeChains,
);

/**
 * Its chains are made when they are asked for: by the ADD that makes the table and by CHECK. For all others
 * they would be a millisecond of nothing.
 */
function table(
  family: TableFamily,
  sets: readonly SetDefinition[],
  make: () => ChainDefinition[],
): TableDefinition {
  let chains: ChainDefinition[] | undefined;
  return {
    family,
    name: "weft",
    comment: `weft ${VERSION}`,
    sets,
    get chains() {
      chains ??= make();
      return chains;
    },
  };
}

interface PrefixForm {
  readonly text: string;
  /** What is not zero of it. */
  readonly first: readonly number[];
  readonly bits: number;
  /** Of a whole address. */
  readonly bytes: number;
}

/** As bytes to compare with, and which bits of them count. */
function prefix({ text, first, bits, bytes }: PrefixForm) {
  const value = new Uint8Array(bytes);
  value.set(first);
  const mask = value.map((_, i) => (0xff00 >> Math.min(8, Math.max(0, bits - 8 * i))) & 0xff);
  return { text, mask, value };
}

/** A kind of link as the kernel compares it: 16 bytes. */
function kindBytes(kind: string): Uint8Array {
  const bytes = new Uint8Array(16);
  bytes.set(new TextEncoder().encode(kind));
  return bytes;
}
