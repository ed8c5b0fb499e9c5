/**
 * tap beside the reference plugin: the same configuration through both, and taps that one made and the other
 * deletes, checks and uses.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { type Host, makeHost } from "./fixtures/host.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { normalise } from "./fixtures/normalise.ts";
import { BUILT_PLUGINS } from "./fixtures/project.ts";
import { silent } from "./fixtures/refusal.ts";
import { remains } from "./fixtures/remains.ts";
import { openTap, PEER_ADDRESSES } from "./fixtures/tap-peer.ts";
import { makeTwins, type Twins } from "./fixtures/twins.ts";
import { referencePlugins } from "./reference.ts";

const TIMEOUT_MS = 300_000;
t.setTimeout(2 * TIMEOUT_MS);
const lacks = await missing("tun", "bridge");
if (lacks) {
  skip(t, lacks);
  process.exit();
}

const leased = (...subnets: string[]) => ({
  ipam: { type: "host-local", ranges: subnets.map((subnet) => [{ subnet }]) },
});
const V4 = leased("10.9.0.0/24");
const DUAL = leased("10.9.0.0/24", "fd00:9::/64");
const MAC = (last: number) => `02:00:00:00:00:0${last}`;
const BOTH = { owner: 54_321, group: 54_322 };
const DNS = { nameservers: ["10.9.0.1"] };
const fixed = (keys: object) => ({
  ipam: { type: "static", addresses: [{ address: "10.9.0.5/24", gateway: "10.9.0.1" }], ...keys },
});
const ROUTES = { routes: [{ dst: "0.0.0.0/0" }, { dst: "10.7.0.0/16", gw: "10.9.0.9" }] };

const CASES: readonly [name: string, keys: object, args?: string][] = [
  ["nothing but the tap", {}],
  ["IPv4", V4],
  ["dual stack", DUAL],
  ["several queues", { multiQueue: true, ...V4 }],
  ["owner", { owner: 54_321, ...V4 }],
  ["group", { group: 54_322, ...V4 }],
  ["owner and group", { ...BOTH, ...V4 }],
  ["owner, group and several queues", { ...BOTH, multiQueue: true }],
  ["mac and mtu", { mac: MAC(1), mtu: 1400, ...V4 }],
  ["mac and mtu with owner and group", { mac: MAC(1), mtu: 1400, ...BOTH }],
  ["MAC of the runtime", { mac: MAC(1), runtimeConfig: { mac: MAC(2) } }, `MAC=${MAC(3)}`],
  ["MAC of CNI_ARGS", { mac: MAC(1) }, `MAC=${MAC(3)}`],
  ["bridge", { bridge: "br0" }],
  ["routes", fixed(ROUTES)],
  ["dns of the network", { dns: DNS, ...V4 }],
  ["dns of IPAM", fixed({ dns: DNS })],
];

interface Difference {
  what: string;
  why: string;
  lines: readonly RegExp[];
  /** The cases it must occur in: any of these. */
  cases: RegExp;
}

const DIFFERENCES: readonly Difference[] = [
  {
    what: "The tap has an alias that names container, interface and network.",
    why: "Plain `ip link` tells whose it is.",
    lines: [/^added: networks\.c1\.links\.eth0\.ifalias: nothing \| "weft:net\//],
    cases: /./,
  },
  {
    what: "The result has the interface's MTU.",
    why: "Version 1.1.0 of the specification has the field.",
    lines: [/^added: result\.interfaces\.eth0\.mtu: nothing \| \d+$/],
    cases: /./,
  },
  {
    what: "A record, locks and an index of leases are kept under /run/weft, and the boot's id beside the leases.",
    why: "DEL and GC know what to undo after a kill; leases of an earlier boot are given back.",
    lines: [
      /: files\.\/run\/weft\/[^:]+.*: nothing \| /,
      /: files\.\/var\/lib\/cni\/networks\/net\/boot_id: /,
    ],
    cases: /./,
  },
  {
    what: "mac and mtu are applied with owner and group.",
    why: "The reference assigns them to a copy.",
    lines: [
      /^added: (networks\.c1\.links\.eth0\.(address|mtu)|result\.interfaces\.eth0\.mac): /,
      /^added: networks\.c1\.links\.eth0\.(permaddr|addrgenmode)/,
    ],
    cases: /^mac and mtu with owner and group$/,
  },
  {
    what: "Packet information and virtio headers are off.",
    why: "As `ip tuntap` has it, also with owner and group; who opens the tap says anew what it is to have.",
    lines: [/^added: networks\.c1\.links\.eth0\.linkinfo\.info_data\.(pi|vnet_hdr): /],
    cases: /owner and group$|owner, group/,
  },
  {
    what: "DNS settings of IPAM are kept where the network has none.",
    why: "The reference overwrites them with nothing.",
    lines: [/^added: result\.dns: nothing \| /],
    cases: /^dns of IPAM$/,
  },
  {
    what: "IPv6 addresses are added without duplicate detection, and announced.",
    why: "There is no carrier to detect by before the tap is opened.",
    lines: [
      /^added: networks\.c1\.links\.eth0\.addr_info: .*fd00:9::/,
      /^added: networks\.c1\.routes6: /,
      /^added: networks\.c1\.sysctls\.ipv6\/conf\/eth0\/ndisc_notify: "0" \| "1"$/,
    ],
    cases: /^dual stack$/,
  },
  {
    what: "The interface has accept_dad off.",
    why: "As above, for the link-local address too.",
    lines: [/^added: networks\.c1\.sysctls\.ipv6\/conf\/eth0\/accept_dad: "1" \| "0"$/],
    cases: /^(IPv4|dual|several|owner$|group$|owner and|mac and mtu$|routes|dns)/,
  },
];

/** The lines that no difference explains, and the differences that occur no more. */
function unexplained(name: string, lines: readonly string[]): string[] {
  const expected = DIFFERENCES.filter(({ cases }) => cases.test(name));
  const explains = (difference: Difference, line: string) => difference.lines.some((it) => it.test(line));
  const gone = expected.filter((each) => !lines.some((line) => explains(each, line)));
  return [
    ...lines.filter((line) => !expected.some((each) => explains(each, line))),
    ...gone.map(({ what }) => `occurs no more: ${what}`),
  ];
}

async function compare(twins: Twins, keys: object, args: string | undefined): Promise<string[]> {
  const config = { cniVersion: "1.1.0", name: "net", type: "tap", ...keys };
  const call = { config, ...(args === undefined ? {} : { args }) };
  await twins.run("ip -n c1 link add br0 address 02:00:00:00:00:0b type bridge");
  const added = await twins.call("tap", { command: "ADD", ...call });
  const lines = await twins.compare("added", added);
  const prevResult = [added[0].result, added[1].result] as const;
  const checked = await twins.call("tap", { command: "CHECK", ...call, prevResult });
  lines.push(...twins.compareAnswers("checked", checked));
  for (const when of ["deleted", "deleted again"]) {
    const deleted = await twins.call("tap", { command: "DEL", ...call, prevResult });
    lines.push(...twins.compareAnswers(when, deleted));
  }
  return [...lines, ...(await twins.compare("after"))];
}

/** Attached by one, checked and deleted by the other. */
const MIGRATED: readonly [what: string, keys: object][] = [
  ["a plain tap", DUAL],
  ["owner and group", { ...BOTH, ...V4 }],
  ["several queues", { multiQueue: true }],
  ["mac, mtu and bridge", { mac: MAC(1), mtu: 1400, bridge: "br0", ...V4 }],
];

async function migrate(host: Host, keys: object, [from, to]: readonly [from: string, to: string]) {
  const container = host.containers.get("c1") ?? (await host.container("c1"));
  const config = { cniVersion: "1.1.0", name: "net", type: "tap", ...keys };
  const added = await host.cni("tap", { command: "ADD", config, container, dir: from });
  const known = { config: { ...config, prevResult: added.result }, container, dir: to };
  const checked = await host.cni("tap", { command: "CHECK", ...known });
  const peer = await openTap(container, "eth0", { flags: "multiQueue" in keys ? 0x1102 : 0x1002 });
  const reached = "ipam" in keys && !("bridge" in keys) ? await container.ping(PEER_ADDRESSES[0]) : true;
  await peer.stop();
  const deleted = await host.cni("tap", { command: "DEL", ...known });
  return { added, checked, deleted, attached: peer.attached, reached };
}

for (const reference of await referencePlugins()) {
  const { version, dir } = reference;
  if (!reference.missing && !existsSync(join(dir, "tap"))) continue; // 1.1.1 has none
  await t.test(`the same configuration, with ${version}`, { jobs: 4, timeout: TIMEOUT_MS }, async (t) => {
    if (reference.missing) return t.plan(0, reference.missing);
    const done = CASES.map(([name, keys, args]) =>
      t.test(name, { buffered: true }, async (t) => {
        const lines = await compare(await makeTwins(t, reference), keys, args);
        t.strictSame(unexplained(name, lines), []);
      }),
    );
    await Promise.all(done);
  });

  await t.test(`upgraded from ${version}, and back`, { timeout: TIMEOUT_MS }, async (t) => {
    if (reference.missing) return t.plan(0, reference.missing);
    const host = await makeHost(t);
    const container = await host.container("c1");
    await container.exec("ip", ["link", "add", "br0", "address", MAC(9), "type", "bridge"]);
    const before = normalise(await host.snapshot());
    for (const [what, keys] of MIGRATED) {
      for (const [way, ...dirs] of [
        ["theirs, then ours", dir, BUILT_PLUGINS],
        ["ours, then theirs", BUILT_PLUGINS, dir],
      ] as const) {
        const { added, checked, deleted, attached, reached } = await migrate(host, keys, dirs);
        t.equal(added.code, 0, `${what}: ${way}: ADD`);
        silent(t, checked, `${what}: ${way}: CHECK`);
        t.strictSame([attached, reached], ["attached", true], `${what}: ${way}: it is used`);
        silent(t, deleted, `${what}: ${way}: DEL`);
        const links = (await container.ip("link")).map(({ ifname }) => ifname);
        t.strictSame(links, ["lo", "br0"], `${what}: ${way}: and the tap is gone`);
      }
      const gc = { ...DUAL, cniVersion: "1.1.0", name: "net", type: "tap", "cni.dev/valid-attachments": [] };
      silent(t, await host.cni("tap", { command: "GC", config: gc }), `${what}: GC`); // of our record
    }
    const left = remains(before, await host.snapshot());
    t.strictSame(
      left.filter((line) => !line.includes(".br0.tso_max")),
      [],
      "nothing is left",
    );
  });
}
