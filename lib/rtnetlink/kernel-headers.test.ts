/** Every number of lib/sys and of all that speaks netlink, against the headers of the kernel. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { nfgenmsg } from "../netfilter/socket.ts";
import { type AttributeSet, encode, kernelName, type Table } from "../netlink/attributes.ts";
import type { Codec } from "../netlink/wire.ts";
import { HOOKS } from "../nftables/table.ts";
import { errnoName } from "../sys/errno.ts";
import { O_CLOEXEC } from "../sys/libc.ts";
import { constantsIn, cValues } from "../testing/c-values.ts";
import { ifaddrmsg } from "./address.ts";
import { bridgeVlanInfo, ifinfomsg } from "./link-attributes.ts";
import { IPVLAN_FLAGS, IPVLAN_MODES, MACVLAN_MODES } from "./link-kinds.ts";
import { rtgenmsg } from "./namespace-id.ts";
import { ndaCacheinfo, ndmsg } from "./neighbour.ts";
import { rtmsg } from "./route.ts";
import { fibRuleHdr } from "./rule.ts";

const HEADERS = [
  ...["errno.h", "fcntl.h", "poll.h", "sched.h", "signal.h", "string.h", "time.h"],
  ...["sys/file.h", "sys/prctl.h", "sys/socket.h", "sys/stat.h"],
  ...[
    "if.h",
    "if_addr.h",
    "if_bridge.h",
    "if_link.h",
    "fib_rules.h",
    "limits.h",
    "neighbour.h",
    "net_namespace.h",
    "netlink.h",
    "nsfs.h",
  ].map((name) => `linux/${name}`),
  ...["linux/rtnetlink.h", "linux/veth.h", "linux/netfilter.h", "linux/netfilter_bridge.h"],
  ...[
    "nf_conntrack_common.h",
    "nf_nat.h",
    "nf_tables.h",
    "nf_tables_compat.h",
    "nfnetlink.h",
    "nfnetlink_conntrack.h",
  ].map((name) => `linux/netfilter/${name}`),
];

/** What is ours in those modules, not the kernel's. */
const OURS = new Set([
  ...["ANSWER_TIMEOUT_S", "DUMP_ATTEMPTS", "RECEIVE_BYTES", "REQUESTS_IN_FLIGHT", "KERNEL_PORT"],
  ...["BUFFER_BYTES", "RETRY_MS", "SUN_PATH_MAX", "LINE_FEED"],
  ...[
    "INITIAL_BYTES",
    "MAX_BYTES",
    "SEND_BUFFER_BYTES",
    "CHUNK_BYTES",
    "PIPE_TIMEOUT_MS",
    "VLANS_PER_MESSAGE",
  ],
  ...["TIMEOUT_MS", "RETRY_MIN_MS", "RETRY_MAX_MS", "RETURN_ATTEMPTS", "OWN_NETNS", "RTNEXTHOP_BYTES"],
  ...["ENTRIES_OFFSET", "TABLE_FULLS_OFFSET", "ATTEMPTS", "REGISTER_BYTES", "FAMILY_NAMES", "TYPES"],
  ...[
    "COMMENT_MAX",
    "ELEMENTS_PER_MESSAGE",
    "ACKNOWLEDGEMENT_BYTES",
    "PATIENCE_MS",
    "HOST_BYTE_ORDER",
    "HOOKS",
    "FAMILIES",
    "MACVLAN_MODES",
    "IPVLAN_MODES",
    "IPVLAN_FLAGS",
    "MEMBERS",
    "USER_HZ",
  ],
]);

/** What the kernel calls otherwise. */
const EXPRESSIONS: Readonly<Record<string, string>> = {
  HEADER_BYTES: "sizeof(struct nlattr)",
  NLMSG_HEADER_BYTES: "sizeof(struct nlmsghdr)",
  NLA_TYPE_MASK: "NLA_TYPE_MASK & 0xffff", // of a u16
  IFNAME_MAX: "IFNAMSIZ - 1", // less the NUL
  IFALIAS_MAX: "IFALIASZ - 1",
  CT_STATE_ESTABLISHED_RELATED: "NF_CT_STATE_BIT(IP_CT_ESTABLISHED) | NF_CT_STATE_BIT(IP_CT_RELATED)",
};

interface Checked {
  readonly expression: string;
  readonly ours: number;
}

/** What is to be checked, by the name of its test; at the end of the file the compiler runs once for all. */
const checks = new Map<string, readonly Checked[]>();

const modulePaths = ["sys", "netns", "netlink", "rtnetlink", "netfilter", "nftables", "conntrack"].flatMap(
  (folder) => {
    const root = join(import.meta.dir, "..", folder);
    return [...new Bun.Glob("*.ts").scanSync(root)]
      .filter((file) => !/\.(test|golden)\.ts$/.test(file))
      .map((file) => join(root, file));
  },
);

const constants = (await Promise.all(modulePaths.map(constantsIn)))
  .flat()
  .filter(({ name }) => !OURS.has(name));

test("every constant in capitals is a number that can be checked, or is named as ours", () => {
  const unchecked = constants.flatMap(({ name, value }) => (value === undefined ? name : []));
  expect(unchecked).toEqual(["SOCK_CLOEXEC"]); // which is O_CLOEXEC: see below
});

checks.set("constants have the numbers of the headers", [
  ...constants.flatMap(({ name, value }) =>
    value === undefined ? [] : { expression: EXPRESSIONS[name] ?? name, ours: value },
  ),
  { expression: "SOCK_CLOEXEC", ours: O_CLOEXEC },
]);

/** nft's names of the hooks, and the kernel's. */
const HOOK_NAMES = {
  prerouting: "PRE_ROUTING",
  input: "LOCAL_IN",
  forward: "FORWARD",
  output: "LOCAL_OUT",
  postrouting: "POST_ROUTING",
} as const;
checks.set(
  "HOOKS has the numbers of the headers, of both kinds of tables",
  (Object.keys(HOOKS) as (keyof typeof HOOKS)[]).flatMap((hook) =>
    ["NF_INET", "NF_BR"].map((start) => ({
      expression: `${start}_${HOOK_NAMES[hook]}`,
      ours: HOOKS[hook],
    })),
  ),
);

/** Modes by name: what the kernel's names begin with, and ours; the flag "bridge" is that there is none. */
const { bridge: noFlag, ...ipvlanFlags } = IPVLAN_FLAGS;
const NUMBERS_BY_NAME: readonly (readonly [prefix: string, Readonly<Record<string, number>>])[] = [
  ["MACVLAN_MODE_", MACVLAN_MODES],
  ["IPVLAN_MODE_", IPVLAN_MODES],
  ["IPVLAN_F_", ipvlanFlags],
];
checks.set("the modes and flags of macvlan and ipvlan have the numbers of the headers", [
  ...NUMBERS_BY_NAME.flatMap(([prefix, numbers]) =>
    Object.entries(numbers).map(([name, ours]) => ({ expression: prefix + name.toUpperCase(), ours })),
  ),
  { expression: "0", ours: noFlag },
]);

const sets: AttributeSet<Table>[] = [];
for (const path of modulePaths) {
  const exports: Record<string, unknown> = await import(path);
  const found = Object.values(exports).filter(isAttributeSet);
  const stated = [...readFileSync(path, "utf8").matchAll(/(?<!function )\battributes\(/g)].length;
  const file = path.split("/").slice(-2).join("/");
  test(`${file} exports every table of attributes, so that it is checked`, () => {
    expect(found.length).toBe(stated);
  });
  sets.push(...found);
}

function isAttributeSet(value: unknown): value is AttributeSet<Table> {
  return typeof value === "object" && value !== null && "prefix" in value && "table" in value;
}

for (const set of sets) {
  const name = `${set.prefix}_*: the attributes have the numbers of the headers`;
  const lines = Object.entries(set.table).map(([name, [number]]) => ({
    expression: kernelName(set.prefix, name),
    ours: number,
  }));
  checks.set(name, [...(checks.get(name) ?? []), ...lines]);
}

// Our struct, the kernel's, what its members begin with, and the members whose names are not that and ours.
const STRUCTS: readonly (readonly [
  codec: Codec<object>,
  name: string,
  prefix: string,
  Record<string, string>?,
])[] = [
  [ifinfomsg, "ifinfomsg", "ifi_"],
  [ifaddrmsg, "ifaddrmsg", "ifa_"],
  [rtmsg, "rtmsg", "rtm_", { dstLen: "dst_len", srcLen: "src_len" }],
  [fibRuleHdr, "fib_rule_hdr", "", { dstLen: "dst_len", srcLen: "src_len" }],
  [rtgenmsg, "rtgenmsg", "rtgen_"],
  [ndmsg, "ndmsg", "ndm_", { index: "ifindex" }],
  [ndaCacheinfo, "nda_cacheinfo", "ndm_"],
  [bridgeVlanInfo, "bridge_vlan_info", ""],
  [nfgenmsg, "nfgenmsg", "", { family: "nfgen_family", resId: "res_id" }],
];

for (const [codec, name, prefix, renamed = {}] of STRUCTS) {
  const members = Object.keys(codec.read(new Uint8Array(codec.size ?? 0)));
  checks.set(`struct ${name} has the size and the members of the headers, where they are`, [
    { expression: `sizeof(struct ${name})`, ours: codec.size ?? 0 },
    ...members.flatMap((member) => {
      const { offset, size } = placeOf(codec, member);
      const theirs = `${prefix}${renamed[member] ?? member}`;
      return [
        { expression: `offsetof(struct ${name}, ${theirs})`, ours: offset },
        { expression: `sizeof(((struct ${name} *)0)->${theirs})`, ours: size },
      ];
    }),
  ]);
}

/** Where a member is written: where the bytes are that all bits set in it makes. */
function placeOf(codec: Codec<object>, member: string): { offset: number; size: number } {
  for (const allBits of [-1, 0xffff_ffff, 0xffff, 0xff]) {
    try {
      const hex = encode(codec, { [member]: allBits }).toHex();
      return { offset: hex.indexOf("f") / 2, size: hex.replace(/[^f]/g, "").length / 2 };
    } catch {
      // Too much for this member: the next is smaller.
    }
  }
  throw new Error(`${member} takes no number`);
}

const EHWPOISON = 133;
const errnos = Array.from({ length: EHWPOISON }, (_, index) => index + 1);

checks.set("errnoName() gives the headers' names", [
  ...errnos.flatMap((errno) => {
    const name = errnoName(errno);
    return name.startsWith("errno ") ? [] : { expression: name, ours: errno };
  }),
  { expression: "EHWPOISON", ours: EHWPOISON },
]);

checks.set(
  "errnoName() has a name for every number that has one",
  // strerrorname_np() is the C library's own list of them (glibc 2.32).
  errnos.map((errno) => ({
    expression: `strerrorname_np(${errno}) != NULL`,
    ours: Number(errnoName(errno) !== `errno ${errno}`),
  })),
);

const { values, skipped } = cValues(
  HEADERS,
  [...checks.values()].flat().map(({ expression }) => expression),
);
for (const [name, checked] of checks) {
  if (skipped !== undefined) {
    test.skip(`${name} [skipped: ${skipped}]`, () => {});
    continue;
  }
  test(name, () => {
    const theirs = checked.map(({ expression }) => `${expression} = ${values.get(expression)}`);
    expect(checked.length).toBeGreaterThan(0);
    expect(checked.map(({ expression, ours }) => `${expression} = ${ours}`)).toEqual(theirs);
  });
}
