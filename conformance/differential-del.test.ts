/**
 * DEL of what is no longer whole: ours leaves nothing and says nothing. What the reference plugins do is
 * written beside it, and a case fails when that is no longer so.
 */
import t, { type Test } from "tap";
import { type Host, makeHost } from "./fixtures/host.ts";
import { type NormalSnapshot, normalise } from "./fixtures/normalise.ts";
import type { CniResult, PluginCall } from "./fixtures/plugin-call.ts";
import { silent } from "./fixtures/refusal.ts";
import { remains } from "./fixtures/remains.ts";
import { readFiles } from "./fixtures/snapshot.ts";
import { makeTwins, type Pair, type Twins } from "./fixtures/twins.ts";
import { referencePlugins } from "./reference.ts";

const TIMEOUT_MS = 300_000;
t.setTimeout(2 * TIMEOUT_MS);

const ranges = [[{ subnet: "10.1.0.0/24" }], [{ subnet: "fd01::/64" }]];
const FULL = { isGateway: true, ipam: { type: "host-local", ranges } };
const LEASES = "/var/lib/cni/networks/net";
/** The host's end of the container's veth. */
const VETH = "$(ip -o link show master cni0 | sed -n 's/^[0-9]*: \\(veth[^@]*\\)@.*/\\1/p')";

/** "cleans": exit 0, nothing left. "leaves": exit 0, something left. "fails": exit 1. */
type Fate = "cleans" | "leaves" | "fails";

interface Rest {
  /** Over the call of ADD. */
  call?: Pick<PluginCall, "netns">;
  /** Over the configuration of ADD. */
  keys?: object;
  /** No prevResult, or another one. */
  prevResult?: unknown;
  /** What the reference left in the way, on both hosts. */
  restore?: string;
}

/** What was done between ADD and DEL ("" is nothing), what the reference makes of it, what else differs. */
type Row = [what: string, script: string, reference: Fate, rest?: Rest];

const NO_NETNS = { netns: "" };
const SWEEP = `
links=$(ip -o link show type veth | sed -n 's/^[0-9]*: \\(veth[^@]*\\)@.*/\\1/p')
for link in $links; do ip link del $link; done
rm -f ${LEASES}/10.1.0.* ${LEASES}/fd01*`;

const BRIDGE: readonly Row[] = [
  ["all is there", "", "cleans"],
  ["CNI_NETNS is empty", "", "leaves", { call: NO_NETNS, restore: SWEEP }],
  ["CNI_NETNS is empty, the container is gone", "ip netns del c1", "cleans", { call: NO_NETNS }],
  ["the container is gone", "ip netns del c1", "cleans"],
  ["the container's file is no namespace any more", "umount /run/netns/c1", "fails", { restore: SWEEP }],
  ["the container's interface is gone", "ip -n c1 link del eth0", "cleans"],
  [
    "the container's interface has another name",
    "ip -n c1 link set eth0 down; ip -n c1 link set eth0 name eth9",
    "leaves",
    { restore: SWEEP },
  ],
  [
    "the container's interface was moved away",
    "ip netns add c9; ip -n c1 link set eth0 netns c9",
    "leaves",
    { restore: `${SWEEP}; ip netns del c9` },
  ],
  ["the host's end is off the bridge", `ip link set ${VETH} nomaster`, "cleans"],
  ["the host's end has no alias", `ip link set ${VETH} alias ''`, "cleans"],
  ["the bridge is gone", `ip link set ${VETH} nomaster; ip link del cni0`, "cleans"],
  ["the records are gone", "rm -rf /run/weft", "cleans"],
  ["records and container are gone", "rm -rf /run/weft; ip netns del c1", "cleans"],
  [
    "the records are gone, CNI_NETNS is empty",
    "rm -rf /run/weft",
    "leaves",
    { call: NO_NETNS, restore: SWEEP },
  ],
  ["the leases are gone", `rm ${LEASES}/10.1.0.* ${LEASES}/fd01*`, "cleans"],
  ["the lease folder is gone", `rm -r ${LEASES}`, "cleans"],
  ["one lease is empty", `: > $(ls ${LEASES}/10.1.0.* | head -1)`, "leaves", { restore: SWEEP }],
  ["no prevResult", "", "cleans", { prevResult: undefined }],
  ["an empty prevResult", "", "cleans", { prevResult: {} }],
  [
    "another's prevResult",
    "",
    "cleans",
    { prevResult: { cniVersion: "1.0.0", ips: [{ address: "10.9.9.9/24" }] } },
  ],
  [
    "the ranges are no longer configured",
    "",
    "fails",
    { keys: { ipam: { type: "host-local" } }, restore: SWEEP },
  ],
  [
    "the ranges are others now",
    "",
    "cleans",
    { keys: { ipam: { type: "host-local", ranges: [[{ subnet: "10.2.0.0/24" }]] } } },
  ],
  ["another bridge is configured", "", "cleans", { keys: { bridge: "other0" } }],
  ["another version", "", "cleans", { keys: { cniVersion: "0.3.1" }, prevResult: undefined }],
  ["a wrong vlan since", "", "fails", { keys: { vlan: 5000 }, restore: SWEEP }],
];

/** A container of its own for each row: some of them do not outlive it. */
async function renew(twins: Twins): Promise<void> {
  await twins.each(async (host) => {
    await host.exec("sh", ["-c", "ip netns del c1 2> /dev/null || rm -f /run/netns/c1"]);
    await host.container("c1");
  });
}

/** What is on the host that was not. Not in the container: it may be gone, or hold what was put there. */
async function leftOn(host: Host, before: NormalSnapshot): Promise<string[]> {
  host.containers.clear();
  return remains(before, await host.snapshot()).filter((line) => !line.endsWith("| nothing"));
}

async function tamper(
  t: Test,
  twins: Twins,
  config: object,
  clean: Pair<NormalSnapshot>,
  row: Row,
): Promise<void> {
  const [what, script, fate, { call = {}, keys = {}, restore, ...rest } = {}] = row;
  await renew(twins);
  const added = await twins.call("bridge", { command: "ADD", config });
  t.match(added, [{ code: 0 }, { code: 0 }], `${what}: ADD`);
  if (script !== "") await twins.run(script);
  // whatever it is, it goes there
  const prevResult = (
    "prevResult" in rest ? [rest.prevResult, rest.prevResult] : [added[0].result, added[1].result]
  ) as Pair<CniResult | undefined>;
  const again = { ...call, command: "DEL", config: { ...config, ...keys }, prevResult };
  const [theirs, ours] = await twins.call("bridge", again);
  silent(t, ours, `${what}: ours says nothing`);
  silent(t, (await twins.call("bridge", again))[1], `${what}: nor does it the second time`);
  const left = [await leftOn(twins.hosts[0], clean[0]), await leftOn(twins.hosts[1], clean[1])] as const;
  t.strictSame(left[1], [], `${what}: ours leaves nothing`);
  const found = theirs.code !== 0 ? "fails" : left[0].length > 0 ? "leaves" : "cleans";
  t.equal(found, fate, `${what}: the reference`);
  if (restore) await twins.run(restore);
}

for (const reference of await referencePlugins()) {
  await t.test(`bridge and ${reference.version}`, { timeout: TIMEOUT_MS }, async (t) => {
    if (reference.missing) return t.plan(0, reference.missing);
    const twins = await makeTwins(t, reference);
    const cniVersion = reference.version === "1.1.1" ? "1.0.0" : "1.1.0";
    const config = { cniVersion, name: "net", type: "bridge", ...FULL };
    // a bridge that was used and is not: both keep it
    for (const command of ["ADD", "DEL"]) await twins.call("bridge", { command, config });
    await twins.each(async (host) => host.containers.clear());
    const clean = await twins.each(async (host) => normalise(await host.snapshot()));
    for (const row of BRIDGE) await tamper(t, twins, config, clean, row);
  });

  await t.test(
    `loopback, host-local, static and ${reference.version}`,
    { timeout: TIMEOUT_MS },
    async (t) => {
      if (reference.missing) return t.plan(0, reference.missing);
      const cniVersion = reference.version === "1.1.1" ? "1.0.0" : "1.1.0";
      const twins = await makeTwins(t, reference);
      const own: Record<string, object> = {
        loopback: {},
        "host-local": { ipam: FULL.ipam },
        static: { ipam: { type: "static", addresses: [{ address: "10.1.0.5/24" }] } },
      };
      for (const [plugin, keys] of Object.entries(own)) {
        const config = { cniVersion, name: "net", type: plugin, ...keys };
        for (const [what, netns] of [
          ["all is there", "/run/netns/c1"],
          ["CNI_NETNS is empty", ""],
          ["the container is gone", "/run/netns/gone"],
          ["the container's file is no namespace", "/etc/hostname"],
        ] as const) {
          if (plugin === "loopback" && netns.startsWith("/etc")) continue; // see below
          await twins.call(plugin, { command: "ADD", config });
          const [theirs, ours] = await twins.call(plugin, { command: "DEL", config, netns });
          silent(t, ours, `${plugin}: ${what}`);
          t.equal(theirs.code, 0, `${plugin}: ${what}, the reference`);
          const leases = Object.keys(readFiles(twins.hosts[1])).filter((path) => /net\/(10|fd)/.test(path));
          t.strictSame(leases, [], `${plugin}: ${what}, no lease is left`);
        }
      }
      const lo = {
        command: "DEL",
        config: { cniVersion, name: "net", type: "loopback" },
        netns: "/etc/hostname",
      };
      const [theirs, ours] = await twins.call("loopback", lo);
      silent(t, ours, "loopback: the container's file is no namespace");
      t.equal(theirs.code, 1, "which the reference refuses");
    },
  );

  await t.test(`attached by ${reference.version}, detached by ours`, { timeout: TIMEOUT_MS }, async (t) => {
    if (reference.missing) return t.plan(0, reference.missing);
    const host = await makeHost(t);
    const cniVersion = reference.version === "1.1.1" ? "1.0.0" : "1.1.0";
    const config = { cniVersion, name: "net", type: "bridge", ...FULL };
    const first = { config, container: await host.container("c0") };
    for (const command of ["ADD", "DEL"]) await host.cni("bridge", { command, ...first });
    await first.container.remove();
    const before = normalise(await host.snapshot());
    for (const [what, script, netns] of [
      ["all is there", "true", undefined],
      ["CNI_NETNS is empty, the container is gone", "ip netns del c1", ""],
      ["the container is gone", "ip netns del c1", undefined],
    ] as const) {
      const container = await host.container("c1");
      const added = await host.cni("bridge", { command: "ADD", config, container, dir: reference.dir });
      t.match(added, { code: 0 }, `${what}: ADD`);
      if (cniVersion === "1.1.0" && netns === undefined && script === "true") {
        const checked = { ...config, prevResult: added.result };
        silent(
          t,
          await host.cni("bridge", { command: "CHECK", config: checked, container }),
          "CHECK by ours",
        );
      }
      await host.exec("sh", ["-c", script]);
      const where = netns === undefined ? {} : { netns };
      silent(t, await host.cni("bridge", { command: "DEL", config, container, ...where }), what);
      t.strictSame(await leftOn(host, before), [], `${what}: nothing is left`);
      await host.exec("sh", ["-c", "ip netns del c1 2> /dev/null || true"]);
    }
  });
}
