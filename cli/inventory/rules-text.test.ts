import { expect, test } from "bun:test";
import type { Element } from "../../lib/weft-table/element.ts";
import { ownerComment } from "../../lib/weft-table/element.ts";
import { ATTACHMENTS } from "./attachments.golden.ts";
import type { FilterView } from "./filter.ts";
import { rulesOf } from "./rules.ts";
import { formatRules } from "./rules-text.ts";

const [WEB, , PRINTER, GONE] = ATTACHMENTS;
if (!WEB || !PRINTER || !GONE) throw new Error("no attachments");

const OWN: readonly Element[] = [
  { set: "masq4", key: ["docker0", "172.17.0.2"] },
  { set: "masq6", key: ["docker0", "fd00:17::2"] },
  { set: "port4", key: ["tcp", 8080], data: ["172.17.0.2", 80] },
];
const SHARED: readonly Element[] = [{ set: "pairs", key: ["docker0", "docker0"], data: ["accept"] }];

const record = (plugin: string, details: object) => ({
  network: "blue",
  containerId: WEB.containerId,
  ifname: "eth0",
  plugin,
  netns: WEB.netns,
  details: { ...details },
});

const filterWith = (elements: readonly (Element & { comment: string })[]): FilterView => ({
  tables: [
    { name: "inet weft", state: "there" },
    { name: "bridge weft", state: "absent" },
  ],
  elements,
  userRules: 2,
});

const owned = (elements: readonly Element[]) =>
  elements.map((element) => ({ ...element, comment: ownerComment(WEB) }));

test("rulesOf() tells what records and comments say, each sentence once, and what is missing", () => {
  const records = [
    record("masquerade", { backend: "nftables", elements: OWN.slice(0, 2) }),
    record("firewall", { backend: "nftables", shared: SHARED, port: "veth1a2b3c4d" }),
  ];
  const filter = filterWith([...owned(OWN.slice(1)), { ...(SHARED[0] as Element), comment: "blue" }]);
  const rules = rulesOf({ ...WEB, records }, filter);
  expect(
    rules.map(({ topic, by, elements }) => [topic, by, ...elements.map(({ isMissing }) => isMissing)]),
  ).toEqual([
    ["masquerade", "nftables", true, false],
    ["ports", "nftables", false],
    ["isolation", "nftables", false],
    ["isolation", "bridge"],
  ]);
});

test("rulesOf() has the verdict that is in force, which may be another attachment's", () => {
  const records = [record("firewall", { backend: "nftables", shared: SHARED })];
  const strict = { set: "pairs", key: ["docker0", "docker0"], data: ["goto icc-off"], comment: "blue" };
  expect(rulesOf({ ...WEB, records }, filterWith([strict]))[0]?.says).toContain("icc off");
});

test("rulesOf() tells of iptables what our table would have, and of firewalld the zone", () => {
  const policy = {
    via: "docker0",
    ingressPolicy: "same-bridge",
    internal: false,
    icc: true,
    permittedInterfaces: [],
    adminChain: "CNI-ADMIN",
  };
  const records = [
    record("masquerade", { backend: "iptables", via: "docker0", addresses: ["172.17.0.2/16"] }),
    record("firewall", { backend: "iptables", addresses: ["172.17.0.2"], policy, zone: "trusted" }),
  ];
  const rules = rulesOf({ ...WEB, records }, filterWith([]));
  expect(rules.map(({ by, elements }) => [by, elements.length])).toEqual([
    ["iptables", 0],
    ["iptables", 0],
    ["iptables", 0],
    ["firewalld", 0],
  ]);
});

test("rulesOf() tells of ports that follow one another in one sentence", () => {
  const ports = [9000, 9001, 9002, 9004].flatMap((port): Element[] => [
    { set: "port4", key: ["tcp", port], data: ["172.17.0.2", port + 100] },
    { set: "port6", key: ["tcp", port], data: ["fd00:17::2", port + 100] },
    { set: "hostport4", key: ["192.0.2.1", "udp", port], data: ["172.17.0.2", 53] },
  ]);
  const rules = rulesOf(
    { ...WEB, records: [record("portmap", { backend: "nftables", elements: ports })] },
    filterWith([]),
  );
  expect(rules.map(({ says, elements }) => [says, elements.length])).toEqual([
    ["TCP ports 9000-9002 of this host lead to its ports 9100-9102.", 6],
    ...[9000, 9001, 9002].map((port) => [
      `UDP port ${port} of the host's address 192.0.2.1 leads to its port 53.`,
      1,
    ]),
    ["TCP port 9004 of this host leads to its port 9104.", 2],
    ["UDP port 9004 of the host's address 192.0.2.1 leads to its port 53.", 1],
  ]);
});

const EXPLAINED = [
  {
    attachment: WEB,
    rules: rulesOf(
      {
        ...WEB,
        records: [
          record("masquerade", { backend: "nftables", elements: OWN.slice(0, 2) }),
          record("firewall", { backend: "nftables", shared: SHARED, port: "veth1a2b3c4d" }),
        ],
      },
      filterWith(owned(OWN.slice(1))),
    ),
  },
  { attachment: PRINTER, rules: [] },
  { attachment: GONE, rules: [] },
];

test("formatRules() in 80 columns", () => {
  expect(formatRules(filterWith([]), EXPLAINED, 80)).toEqual([
    'The administrator\'s chain "user" of table inet weft has 2 rules, asked first.',
    "",
    "web  blue eth0  172.17.0.2/16, fd00:17::2/64",
    "  What comes from it by docker0 and leaves this host has the host's address",
    "    (masquerade); what goes to other containers keeps its own.",
    '      missing: masq4 { "docker0" . 172.17.0.2 }',
    '      masq6 { "docker0" . fd00:17::2 }',
    "  TCP port 8080 of this host leads to its port 80.",
    "      port4 { tcp . 8080 : 172.17.0.2 . 80 }",
    "  Containers of docker0 reach each other.",
    '      missing: pairs { "docker0" . "docker0" : accept }',
    "  Other isolated ports of its bridge do not reach veth1a2b3c4d.",
    "      (a flag of the bridge's port)",
    "",
    "printer  lan eth0  192.0.2.100/24",
    "  No rules: its packets pass this host's filter by.",
    "",
    "cnitool-add51f7279f19f5d1fc9  routed eth0",
    "  Made by other plugins than weft's: nft list ruleset shows what rules it has.",
  ]);
});

test("formatRules() in 160 columns", () => {
  expect(formatRules(filterWith([]), EXPLAINED, 160)).toEqual([
    'The administrator\'s chain "user" of table inet weft has 2 rules, asked first.',
    "",
    "web  blue eth0  172.17.0.2/16, fd00:17::2/64",
    "  What comes from it by docker0 and leaves this host has the host's address (masquerade); what goes to other containers keeps its own.",
    '      missing: masq4 { "docker0" . 172.17.0.2 }',
    '      masq6 { "docker0" . fd00:17::2 }',
    "  TCP port 8080 of this host leads to its port 80.",
    "      port4 { tcp . 8080 : 172.17.0.2 . 80 }",
    "  Containers of docker0 reach each other.",
    '      missing: pairs { "docker0" . "docker0" : accept }',
    "  Other isolated ports of its bridge do not reach veth1a2b3c4d.",
    "      (a flag of the bridge's port)",
    "",
    "printer  lan eth0  192.0.2.100/24",
    "  No rules: its packets pass this host's filter by.",
    "",
    "cnitool-add51f7279f19f5d1fc9  routed eth0",
    "  Made by other plugins than weft's: nft list ruleset shows what rules it has.",
  ]);
});

test("formatRules() says what is wrong with a table, and that nobody is attached", () => {
  const filter: FilterView = {
    tables: [
      { name: "inet weft", state: "dormant" },
      { name: "bridge weft", state: "foreign" },
    ],
    elements: [],
    userRules: 0,
  };
  expect(formatRules(filter, [], 80)).toEqual([
    "Table inet weft is dormant: nothing of it is in force.",
    "Table bridge weft is somebody else's: weft's plugins refuse it.",
    "no container is attached",
  ]);
});

test("formatRules() claims nothing of rules that cannot be read", () => {
  const filter: FilterView = {
    tables: [{ name: "inet weft", state: "unreadable" }],
    elements: [],
    userRules: 0,
  };
  const lines = formatRules(filter, [{ attachment: WEB, rules: [] }], 80);
  expect([lines.at(0), lines.at(-1)]).toEqual([
    "Table inet weft cannot be read: run as root.",
    "  What rules it has cannot be told.",
  ]);
});
