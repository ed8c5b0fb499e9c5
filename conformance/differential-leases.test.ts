/**
 * host-local and static on their own, call by call, through the reference plugins
 * and ours: the same answers, and after each of them the same files, byte for byte.
 */
import t from "tap";
import { unexplained } from "./differences.ts";
import { makeTwins, type Twins } from "./fixtures/twins.ts";
import { type Reference, referencePlugins } from "./reference.ts";

const TIMEOUT_MS = 300_000;
t.setTimeout(2 * TIMEOUT_MS);

const range = (subnet: string, rangeStart?: string, rangeEnd?: string) => ({ subnet, rangeStart, rangeEnd });
const host = (...ranges: object[][]) => ({ ipam: { type: "host-local", ranges } });
const inline = (keys: object) => ({ ipam: { type: "host-local", ...keys } });
const FOUR = host([range("10.1.0.0/24", "10.1.0.2", "10.1.0.5")]);
const DUAL = host([range("10.1.0.0/24")], [range("fd01::/64")]);
const ips = (...list: string[]) => ({ args: { cni: { ips: list } } });
const capability = (...list: string[]) => ({ runtimeConfig: { ips: list } });
const fixed = (...addresses: object[]) => ({ ipam: { type: "static", addresses } });
const A = { address: "10.1.0.5/24", gateway: "10.1.0.1" };
const RESOLV_CONF = `# a comment
nameserver 10.0.0.1
nameserver  fd00::1
domain a.example
search b.example c.example
options ndots:5 rotate
`;
const LEASES = "/var/lib/cni/networks/net";

/** "ADD a": command and container; further words are an interface and CNI_ARGS. Or a script, after "$ ". */
type Step = string | [step: string, keys: object];

/** One line a case: its name begins with the plugin, the keys of the configuration, what happens. */
const CASES: readonly [name: string, keys: object, steps: Step[]][] = [
  [
    "host-local: round robin",
    FOUR,
    ["ADD a", "ADD b", "ADD c", "DEL b", "ADD d", "ADD e", "ADD f", "DEL a", "ADD f", "DEL f"],
  ],
  [
    "host-local: two interfaces",
    FOUR,
    ["ADD a", "ADD a eth1", "CHECK a", "CHECK a eth1", "DEL a", "CHECK a", "CHECK a eth1", "DEL a eth1"],
  ],
  ["host-local: again", FOUR, ["ADD a", "ADD a", "DEL a", "DEL a", "ADD a"]],
  ["host-local: nothing there", FOUR, ["DEL a", "CHECK a", "ADD a"]],
  ["host-local: two families", DUAL, ["ADD a", "ADD b", "DEL a", "ADD c", "CHECK c", "DEL c", "DEL b"]],
  ["host-local: two families, 0.2.0", { cniVersion: "0.2.0", ...DUAL }, ["ADD a", "ADD b", "DEL a"]],
  [
    "host-local: two ranges in a set",
    host([range("10.1.0.0/30"), range("10.2.0.0/29", "10.2.0.4")]),
    ["ADD a", "ADD b", "ADD c", "ADD d", "ADD e", "DEL a", "ADD e"],
  ],
  [
    "host-local: three sets",
    host([range("10.1.0.0/24")], [range("10.2.0.0/24")], [range("fd01::/112", "fd01::8")]),
    ["ADD a", "ADD b", "DEL a", "ADD c"],
  ],
  [
    "host-local: a set that is full",
    host([range("10.1.0.0/24")], [range("10.2.0.0/30")]),
    ["ADD a", "ADD b", "ADD c"],
  ],
  [
    "host-local: inline",
    inline({ subnet: "10.1.0.0/24", rangeStart: "10.1.0.10", gateway: "10.1.0.12" }),
    ["ADD a", "ADD b", "ADD c"],
  ],
  [
    "host-local: inline before ranges",
    inline({ subnet: "10.1.0.0/24", ranges: [[range("10.2.0.0/24")]] }),
    ["ADD a"],
  ],
  [
    "host-local: a gateway at the end",
    host([{ subnet: "10.1.0.0/29", gateway: "10.1.0.6" }]),
    ["ADD a", "ADD b", "ADD c", "ADD d", "ADD e", "ADD f"],
  ],
  [
    "host-local: a gateway elsewhere",
    host([{ subnet: "10.1.0.0/24", gateway: "10.9.0.1" }]),
    ["ADD a", "ADD b"],
  ],
  [
    "host-local: the whole of a /29",
    host([range("10.1.0.0/29")]),
    ["ADD a", "ADD b", "ADD c", "ADD d", "ADD e", "ADD f", "DEL c", "ADD f"],
  ],
  ["host-local: a /126", host([range("fd01::/126")]), ["ADD a", "ADD b", "ADD c"]],
  [
    "host-local: ranges of the runtime",
    { ...FOUR, runtimeConfig: { ipRanges: [[range("10.8.0.0/24")]] } },
    ["ADD a", "ADD b", "DEL a"],
  ],
  [
    "host-local: routes and resolvConf",
    inline({
      subnet: "10.1.0.0/24",
      routes: [{ dst: "0.0.0.0/0" }, { dst: "10.7.0.0/16", gw: "10.1.0.9" }],
      resolvConf: "/run/resolv.conf",
    }),
    [`$ printf %s "${RESOLV_CONF}" > /run/resolv.conf`, "ADD a"],
  ],
  [
    "host-local: a folder of its own",
    inline({ subnet: "10.1.0.0/24", dataDir: "/run/cni/own" }),
    ["ADD a", "CHECK a", "DEL a"],
  ],
  [
    "host-local: requests by CNI_ARGS",
    DUAL,
    [
      "ADD a eth0 IP=10.1.0.9",
      "ADD b eth0 IP=10.1.0.9/24",
      "ADD c eth0 IP=fd01::9",
      "ADD d",
      "ADD e eth0 IP=10.1.0.1",
      "ADD g eth0 IP=10.1.0",
      "ADD f eth0 IP=10.7.0.1",
    ],
  ],
  [
    "host-local: requests by args",
    DUAL,
    [
      ["ADD a", ips("10.1.0.9", "fd01::9")],
      ["ADD b", ips("10.1.0.9")],
      ["ADD c", ips("10.1.0.10/24")],
      "ADD e",
      "DEL a",
      ["ADD f", ips("fd01::9")],
      ["ADD d", ips("10.7.0.1")],
    ],
  ],
  [
    "host-local: requests by the runtime",
    DUAL,
    [
      ["ADD a", capability("10.1.0.9")],
      ["ADD b", capability("10.1.0.9/16")],
      ["ADD c", { ...ips("10.1.0.20"), ...capability("fd01::20") }],
      ["ADD d", capability("10.1.0.1")],
      ["ADD e", capability("x")],
    ],
  ],
  [
    "host-local: requests beyond the range",
    host([range("10.1.0.0/24", "10.1.0.10", "10.1.0.20")]),
    [
      ["ADD a", ips("10.1.0.9")],
      ["ADD b", ips("10.1.0.21")],
      ["ADD c", ips("10.1.0.20")],
      "ADD d",
      ["ADD e", ips("10.1.0.0")],
      ["ADD f", ips("10.1.0.255")],
    ],
  ],
  [
    "host-local: a cursor that is none",
    FOUR,
    [
      "ADD a",
      `$ echo x > ${LEASES}/last_reserved_ip.0`,
      "ADD b",
      `$ : > ${LEASES}/last_reserved_ip.0`,
      "ADD c",
      `$ echo 10.99.0.1 > ${LEASES}/last_reserved_ip.0`,
      "ADD d",
    ],
  ],
  [
    "host-local: a cursor at the end",
    FOUR,
    ["ADD a", `$ printf 10.1.0.5 > ${LEASES}/last_reserved_ip.0`, "ADD b", "ADD c"],
  ],
  [
    "host-local: leases of older plugins",
    FOUR,
    [
      `$ mkdir -p ${LEASES}; printf a > ${LEASES}/10.1.0.2; printf 'b\\r\\neth0' > ${LEASES}/10.1.0.3`,
      "ADD c",
      "CHECK a",
      "DEL a",
      "DEL b",
      "ADD d",
    ],
  ],
  [
    "host-local: files of others",
    FOUR,
    [`$ mkdir -p ${LEASES}/folder; echo x > ${LEASES}/notes.txt`, "ADD a", "DEL a", "ADD b"],
  ],
  ["host-local: STATUS and GC with nothing to do", FOUR, ["STATUS", "GC", "ADD a", "STATUS", "GC"]],
  ["static: as it is", fixed(A, { address: "fd01::5/64" }), ["ADD a", "ADD a", "CHECK a", "DEL a", "DEL a"]],
  ["static: 0.2.0", { cniVersion: "0.2.0", ...fixed(A, { address: "fd01::5/64" }) }, ["ADD a", "DEL a"]],
  ["static: 0.4.0", { cniVersion: "0.4.0", ...fixed(A) }, ["ADD a", "CHECK a", "DEL a"]],
  [
    "static: CNI_ARGS",
    fixed(A),
    [
      "ADD a eth0 IP=10.1.0.9/24",
      "ADD b eth0 IP=10.1.0.9/24;GATEWAY=10.1.0.254",
      "ADD c eth0 IP=10.1.0.9/24,fd01::9/64;GATEWAY=10.1.0.254,fd01::1",
      "ADD d eth0 GATEWAY=10.1.0.254",
      "ADD e eth0 IP=10.1.0.9",
    ],
  ],
  [
    "static: args",
    fixed(A),
    [
      ["ADD a", ips("10.1.0.9/24")],
      ["ADD b", ips("10.1.0.9/24", "fd01::9/64")],
      ["ADD c", ips("10.1.0.9")],
    ],
  ],
  [
    "static: the runtime",
    fixed(A),
    [
      ["ADD a", capability("10.1.0.9/24")],
      ["ADD b", { ...ips("10.1.0.8/24"), ...capability("10.1.0.9/24") }],
      ["ADD c", capability()],
    ],
  ],
  [
    "static: host bits and gateways outside",
    fixed(
      { address: "10.1.0.0/24" },
      { address: "10.1.0.255/24", gateway: "10.9.0.1" },
      { address: "10.1.0.5/32" },
    ),
    ["ADD a"],
  ],
  ["static: no address", { ipam: { type: "static" } }, ["ADD a", "CHECK a", "DEL a"]],
  [
    "static: routes and dns",
    {
      ipam: {
        type: "static",
        addresses: [A],
        routes: [{ dst: "0.0.0.0/0" }, { dst: "10.7.0.0/16", gw: "10.1.0.9" }],
        dns: { nameservers: ["10.0.0.1"], domain: "a.example", search: ["b.example"], options: ["rotate"] },
      },
    },
    ["ADD a", "CHECK a"],
  ],
];

async function perform(
  twins: Twins,
  name: string,
  reference: Reference,
  keys: object,
  steps: readonly Step[],
): Promise<string[]> {
  const plugin = name.slice(0, name.indexOf(":"));
  const newest = reference.version === "1.1.1" ? "1.0.0" : "1.1.0";
  const results = new Map<string, Awaited<ReturnType<Twins["call"]>>>();
  const lines: string[] = [];
  for (const given of steps) {
    const [step, more] = typeof given === "string" ? [given, {}] : given;
    if (step.startsWith("$ ")) {
      await twins.run(step.slice(2));
      continue;
    }
    const [command = "", id = "x", ifname = "eth0", args] = step.split(" ");
    const config = { cniVersion: newest, name: "net", type: plugin, ...keys, ...more };
    if (/STATUS|GC/.test(command) && newest === "1.0.0") continue;
    const added = command === "CHECK" ? results.get(`${id} ${ifname}`) : undefined;
    const answers = await twins.call(plugin, {
      command,
      config,
      containerId: id,
      ifname,
      ...(args === undefined ? {} : { args }),
      ...(added === undefined ? {} : { prevResult: [added[0].result, added[1].result] }),
    });
    if (command === "ADD" && answers[1].result) results.set(`${id} ${ifname}`, answers);
    lines.push(...twins.compareAnswers(step, answers), ...twins.compareFiles(step));
  }
  return lines;
}

for (const reference of await referencePlugins()) {
  await t.test(`with ${reference.version}`, { jobs: 2, timeout: TIMEOUT_MS }, async (t) => {
    if (reference.missing) return t.plan(0, reference.missing);
    const done = CASES.map(([name, keys, steps]) =>
      t.test(name, { buffered: true }, async (t) => {
        const lines = await perform(await makeTwins(t, reference), name, reference, keys, steps);
        t.strictSame(unexplained(name, reference.version, lines), []);
      }),
    );
    await Promise.all(done);
  });
}
