/**
 * host-device beside the reference plugin: the same configuration has the same effect but for what
 * DIFFERENCES explains, and either gives back what the other took.
 */
import t, { type Test } from "tap";
import { type Difference, unexplained } from "./differences.ts";
import type { NetworkConfig } from "./fixtures/attachment.ts";
import { type Container, type Host, makeHost } from "./fixtures/host.ts";
import {
  addDevice,
  claimsOf,
  DEVICE,
  deviceIn,
  deviceNetwork,
  FAR_END,
  MAKE_DEVICE,
  removeWithDevice,
} from "./fixtures/host-device.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import type { CniResult, PluginCall } from "./fixtures/plugin-call.ts";
import { silent } from "./fixtures/refusal.ts";
import { makeTwins, type Pair } from "./fixtures/twins.ts";
import { type Reference, referencePlugins } from "./reference.ts";

const TIMEOUT_MS = 120_000;
t.setTimeout(4 * TIMEOUT_MS);
const lacks = await missing("veth");
const references = await referencePlugins();

const FIXED = { type: "static", addresses: [{ address: "10.9.0.9/24" }, { address: "fd00:9::9/64" }] };
const ROUTES = [{ dst: "0.0.0.0/0", gw: "10.9.0.1" }, { dst: "10.8.0.0/16" }];
const BY_NAME = { device: DEVICE.ifname };

/** What the reference does not give back is not there. The other end had carrier once, on either host. */
const PLAIN_DEVICE = `
${MAKE_DEVICE}
for _ in $(seq 500); do ip -6 address show dev ${FAR_END} scope link | grep -q fe80 && break; sleep 0.01; done
ip address flush dev ${DEVICE.ifname}
ip link set ${DEVICE.ifname} down
ip link set ${DEVICE.ifname} alias ""
`;

/** As in differences.ts. */
const DIFFERENCES: readonly Difference[] = [
  {
    what: "Results have the MTU of interfaces.",
    why: "Version 1.1.0 of the specification has the field; 1.0.0 readers ignore it.",
    lines: [/^added: result\.interfaces\.[^:]+\.mtu: nothing \| \d+$/],
    cases: [/: (?!0\.|DPDK)/],
  },
  {
    what: "Attachment records and locks are kept under /run/weft.",
    why: "DEL and GC know what to give back after a kill at any point.",
    lines: [/: files\.\/run\/weft\/(attachments|locks)\/[^:]+.*: nothing \| /],
    cases: [/: (?!DPDK)/],
  },
  {
    what: "The second DEL succeeds.",
    why: "CNI spec 1.1 §4 DEL: what is gone is no error.",
    lines: [
      /^deleted again: exit: 1 \| 0$/,
      /^deleted again: error: \{"code":999,"msg":"failed to find .* \| nothing$/,
    ],
    cases: [/: (?!DPDK)/],
  },
  {
    what: "The container announces its addresses; those of IPv6 stay when the interface goes down.",
    why: "Neighbours that knew an address's last owner learn of the new one at once.",
    lines: [
      /^added: networks\.c1\.sysctls\.ipv[46]\/conf\/eth0\/(arp|ndisc)_notify: "0" \| "1"$/,
      /^added: networks\.c1\.sysctls\.ipv6\/conf\/eth0\/keep_addr_on_down: "0" \| "1"$/,
    ],
    cases: [/: (dual stack|routes|0\.)/],
  },
  {
    what: "IPv6 addresses are in use while the kernel looks for duplicates.",
    why: "The reference's ADD waits for it, one to two seconds. So that its link-local address is, too.",
    lines: [/^added: networks\.c1\.links\.eth0\.addr_info: .*"link-local of c1 eth0"/],
    cases: [/: (dual stack|routes|0\.)/],
  },
  {
    what: "DNS settings of the network are in the result without IPAM, too.",
    why: "The reference forgets them there.",
    lines: [/^added: result\.dns(\.nameservers)?: .*\["10\.9\.0\.53"\]/],
    cases: [/: dns$/],
  },
  {
    what: "The device does not have its old name as its alias for ever.",
    why: "It has the alias that it had. 1.9.1 takes it away as well, also where there was another before.",
    lines: [/^after: networks\.host\.links\.wan0\.ifalias: "wan0" \| nothing$/],
    cases: [/: (?!DPDK)/],
    references: ["1.1.1"],
  },
  {
    what: "Empty DNS settings are left out from version 1.0.0 on.",
    why: "1.9.1 does it, too.",
    lines: [/^added: result\.dns: \{\} \| nothing$/],
    cases: [/: (?!0\.|dns)/],
    references: ["1.1.1"],
  },
];

interface Options {
  readonly ifname?: string;
  /** A script on the host, before ADD. */
  readonly before?: string;
  readonly only?: string;
  readonly version?: string;
}

/** A line a case: what it is about, the keys, what else there is to say. */
const CASES: readonly [name: string, keys: object, options?: Options][] = [
  ["host-device: by name", BY_NAME],
  ["host-device: by MAC", { hwaddr: DEVICE.address }],
  ["host-device: dual stack", { ...BY_NAME, ipam: FIXED }],
  ["host-device: routes", { ...BY_NAME, ipam: { ...FIXED, routes: ROUTES } }],
  ["host-device: dns", { ...BY_NAME, dns: { nameservers: ["10.9.0.53"] } }],
  ["host-device: another interface name", BY_NAME, { ifname: "net1" }],
  ["host-device: its own name", BY_NAME, { ifname: DEVICE.ifname }],
  ["host-device: 0.2.0", { ...BY_NAME, ipam: FIXED }, { version: "0.2.0" }],
  ["host-device: 0.4.0", { ...BY_NAME, ipam: FIXED }, { version: "0.4.0" }],
  ["host-device: DPDKMode", { ...BY_NAME, DPDKMode: true }, { only: "1.9.1" }],
];

function newestOf({ version }: Reference): string {
  return version === "1.1.1" ? "1.0.0" : "1.1.0";
}

for (const reference of references) {
  await t.test(`${reference.version}: the same comes out`, { jobs: 4, timeout: TIMEOUT_MS }, async (t) => {
    if (lacks ?? reference.missing) return skip(t, lacks ?? reference.missing ?? "");
    const cases = CASES.filter(([, , options]) => (options?.only ?? reference.version) === reference.version);
    const done = cases.map(([name, keys, options]) =>
      t.test(name, { buffered: true }, (t) => showSame(t, reference, { name, keys, ...options })),
    );
    await Promise.all(done);
  });
}

async function showSame(
  t: Test,
  reference: Reference,
  { name, keys, ifname = "eth0", before, version }: Options & { name: string; keys: object },
): Promise<void> {
  const cniVersion = version ?? newestOf(reference);
  const call = { ifname, config: { cniVersion, name: "net", type: "host-device", ...keys } };
  const twins = await makeTwins(t, reference);
  await twins.run(PLAIN_DEVICE);
  if (before) await twins.run(before);
  const added = await twins.call("host-device", { command: "ADD", ...call });
  const lines = await twins.compare("added", added);
  const prevResult: Pair<CniResult | undefined> = [added[0].result, added[1].result];
  const known = cniVersion < "0.4.0" ? call : { ...call, prevResult };
  if (cniVersion >= "0.4.0") {
    lines.push(
      ...twins.compareAnswers("checked", await twins.call("host-device", { command: "CHECK", ...known })),
    );
  }
  for (const when of ["deleted", "deleted again"]) {
    const deleted = await twins.call("host-device", { command: "DEL", ...known });
    lines.push(...twins.compareAnswers(when, deleted));
  }
  lines.push(...(await twins.compare("after")));
  // the cable's other end: "DOWN" or "LOWERLAYERDOWN" is who was first
  const told = lines.filter((line) => !line.includes(`links.${FAR_END}.operstate`));
  t.strictSame(unexplained(name, reference.version, told, DIFFERENCES), []);
}

interface Migration {
  readonly host: Host;
  readonly container: Container;
  readonly reference: Reference;
  readonly config: NetworkConfig;
}

async function makeMigration(t: Test, reference: Reference): Promise<Migration> {
  const host = await makeHost(t);
  await addDevice(host);
  const config = deviceNetwork({ cniVersion: newestOf(reference) });
  return { host, container: await host.container("c1"), reference, config };
}

/** One call, of theirs where `dir` is given; it must succeed. */
async function call(
  t: Test,
  { host, container, config }: Migration,
  command: string,
  rest: PluginCall & { prevResult?: CniResult | undefined } = {},
): Promise<CniResult | undefined> {
  const { prevResult, ...others } = rest;
  const asked = { ...config, ...(prevResult && { prevResult }) };
  const outcome = await host.cni("host-device", { command, config: asked, container, ...others });
  t.equal(outcome.code, 0, `${command}${rest.dir ? " of the reference" : ""}: ${outcome.stdout}`);
  return outcome.result;
}

const BACK = { ifname: DEVICE.ifname, address: DEVICE.address, mtu: DEVICE.mtu };

for (const reference of references) {
  const { version, dir } = reference;
  const run = (what: string, act: (t: Test) => Promise<void>) =>
    t.test(`${version}: ${what}`, { timeout: TIMEOUT_MS }, async (t) => {
      if (lacks ?? reference.missing) return skip(t, lacks ?? reference.missing ?? "");
      await act(t);
    });

  await run("taken by the reference, given back by ours", async (t) => {
    const migration = await makeMigration(t, reference);
    const { host, container, config } = migration;
    for (const withResult of [true, false]) {
      const prevResult = await call(t, migration, "ADD", { dir });
      await call(t, migration, "CHECK", { prevResult });
      await call(t, migration, "DEL", withResult ? { prevResult } : {});
      t.match(await deviceIn(host), { ...BACK, ifalias: "", up: false }, "as the reference leaves it");
      t.strictSame(await claimsOf(host), [], "no lease");
      await call(t, migration, "DEL");
    }
    await call(t, migration, "ADD", { dir });
    const other = { ...config, name: "other", device: "wan1" };
    silent(
      t,
      await host.cni("host-device", { command: "DEL", config: other, container }),
      "DEL of another device",
    );
    t.match(await deviceIn(container, "eth0"), { address: DEVICE.address }, "takes nothing");
    const gc = { ...config, cniVersion: "1.1.0", "cni.dev/valid-attachments": [] };
    silent(t, await host.cni("host-device", { command: "GC", config: gc }), "GC");
    t.match(await deviceIn(container, "eth0"), { address: DEVICE.address }, "nor does GC");
    await removeWithDevice(container);
    silent(
      t,
      await host.cni("host-device", { command: "DEL", config, container }),
      "DEL, its container gone",
    );
    t.strictSame(await claimsOf(host), []);
  });

  await run("taken by ours, given back by the reference", async (t) => {
    const migration = await makeMigration(t, reference);
    const { host, config } = migration;
    for (const after of ["DEL", "GC"]) {
      const prevResult = await call(t, migration, "ADD");
      await call(t, migration, "CHECK", { dir, prevResult });
      await call(t, migration, "DEL", { dir, prevResult });
      t.match(await deviceIn(host), BACK, "it has its name");
      // what ours still knows
      const gc = { ...config, cniVersion: "1.1.0", "cni.dev/valid-attachments": [] };
      if (after === "GC") silent(t, await host.cni("host-device", { command: "GC", config: gc }), "GC");
      else await call(t, migration, "DEL", { prevResult });
      t.strictSame(await claimsOf(host), [], "no lease, no record");
      const left = await deviceIn(host);
      t.match(left, BACK);
      await host.exec("sh", ["-c", `ip link set ${DEVICE.ifname} alias "${DEVICE.ifalias}" up`]);
    }
  });

  await run("side by side, and in turn", async (t) => {
    const migration = await makeMigration(t, reference);
    const { host } = migration;
    for (const [first, second] of [
      [dir, undefined],
      [undefined, dir],
    ]) {
      const by = (folder: string | undefined) => (folder === undefined ? {} : { dir: folder });
      await call(t, migration, "ADD", by(first));
      const taken = { command: "ADD", config: migration.config, ...by(second) };
      const container = host.containers.get("c2") ?? (await host.container("c2"));
      t.equal((await host.cni("host-device", { ...taken, container })).code, 1, "it is in use");
      await call(t, migration, "DEL", by(second));
      await call(t, migration, "ADD", by(second));
      await call(t, migration, "DEL", by(second));
      t.match(await deviceIn(host), BACK);
    }
  });
}
