/**
 * DEL of macvlan, ipvlan, vlan and dummy by every row of what may be gone or wrong by then: it succeeds,
 * twice, and leaves neither link nor lease. A refused ADD, and the DEL that follows it, harm nobody. GC and
 * STATUS.
 */
import t, { type Test } from "tap";
import { type Attachment, attach, type NetworkConfig } from "./fixtures/attachment.ts";
import type { Container, Host } from "./fixtures/host.ts";
import { SHOWN_BEFORE, skip } from "./fixtures/kernel.ts";
import { normalise } from "./fixtures/normalise.ts";
import type { PluginCall } from "./fixtures/plugin-call.ts";
import { refused, silent, unchanged } from "./fixtures/refusal.ts";
import { remains } from "./fixtures/remains.ts";
import {
  lacksFor,
  makeUnderlay,
  UNDERLAY_TYPES,
  type UnderlayType,
  wireAddresses,
} from "./fixtures/underlay.ts";

const TIMEOUT_MS = 240_000;
t.setTimeout(10 * TIMEOUT_MS);
const MASTER = "ip link add other0 type veth peer name other1; ip link set other0 up; ip link set other1 up";

interface Row {
  readonly what: string;
  /** A shell script on the host, between ADD and DEL. */
  readonly script?: string;
  /** What DEL's configuration has instead of ADD's. */
  readonly keys?: Readonly<Record<string, unknown>>;
  /** How DEL's variables differ from ADD's. */
  readonly call?: PluginCall;
  /** Macvlan's case, on the first kernel, is enough. */
  readonly once?: true;
  /** It is about the master, which a dummy has not. */
  readonly onMaster?: true;
}

const GONE = "ip netns delete c1";
const MASTER_GONE = "ip link delete other0";
const ROWS: readonly Row[] = [
  { what: "nothing is wrong" },
  { what: "CNI_NETNS is empty", call: { netns: "" } },
  { what: "the namespace is gone", script: GONE },
  { what: "the namespace is gone, and CNI_NETNS empty", once: true, script: GONE, call: { netns: "" } },
  { what: "the master is gone", onMaster: true, script: MASTER_GONE },
  {
    what: "the master and the namespace are gone",
    once: true,
    onMaster: true,
    script: `${GONE}; ${MASTER_GONE}`,
  },
  {
    what: "the master is gone, and CNI_NETNS empty",
    once: true,
    onMaster: true,
    script: MASTER_GONE,
    call: { netns: "" },
  },
  { what: "no master is named, and there is no default route", onMaster: true, keys: { master: undefined } },
  {
    what: "no master is named, and the namespace is gone",
    onMaster: true,
    script: GONE,
    keys: { master: undefined },
  },
  { what: "the link is gone", script: "ip -n c1 link delete eth0" },
  { what: "there is no prevResult", once: true, keys: { prevResult: undefined } },
  {
    what: "the configuration is broken",
    keys: { mode: 5, mtu: "x", vlanId: "ten", vlan: -1, mac: 3, hostAccess: "yes", internal: [] },
  },
  { what: "the records are lost", script: "rm -rf /run/weft" },
  { what: "the lease is gone", once: true, script: "rm -rf /var/lib/cni/networks/net/*" },
];

for (const underlayType of UNDERLAY_TYPES) {
  const { type } = underlayType;
  // .other0 has no default route, nor has the host
  const network: NetworkConfig = { ...underlayType.network, master: "other0" };
  const lacks = await lacksFor(underlayType);
  // what is common to all types is shown there with one
  const lacksOrShown = lacks ?? (type === "ipvlan" ? undefined : SHOWN_BEFORE);

  await t.test(`DEL of ${type}`, { timeout: TIMEOUT_MS }, async (t) => {
    if (lacks) return skip(t, lacks);
    const { host } = await makeUnderlay(t);
    await host.exec("ip", ["route", "flush", "default"]);
    const container = await host.container("c1");
    await host.exec("sh", ["-c", MASTER]);
    const before = normalise(await host.snapshot());
    for (const { what, script, keys, call } of rowsOf(type)) {
      const { result: prevResult } = await attach(container, network);
      if (script) await host.exec("sh", ["-c", script]);
      const config = { ...network, prevResult, ...keys };
      const del = () => host.cni(type, { command: "DEL", container, config, ...call });
      silent(t, await del(), `${what}: DEL succeeds`);
      t.strictSame(await heldOf(host), [], "no lease, no link, no record");
      silent(t, await del(), "DEL again");
      if (script) await host.exec("sh", ["-c", `ip netns add c1; ip link delete other0; ${MASTER}`]);
    }
    t.strictSame(remains(before, await host.snapshot()), [], "nothing is left of all that");
  });

  await t.test(`a second ADD of ${type}`, { timeout: TIMEOUT_MS }, async (t) => {
    if (lacksOrShown) return skip(t, lacksOrShown);
    const { host } = await makeUnderlay(t);
    const pod = await host.container("pod");
    const first = await attach(pod, underlayType.network);
    const before = normalise(await host.snapshot());
    const msg = 'container interface "eth0" already exists in "/run/netns/pod"';
    const others: [what: string, name: string, call: PluginCall][] = [
      ["of the same container", "net", {}],
      ["of another container", "net", { containerId: "another" }],
      ["of another network", "other", {}],
    ];
    for (const [what, name, over] of others) {
      const call = { config: { ...underlayType.network, name }, container: pod, ...over };
      const outcome = await host.cni(type, { command: "ADD", ...call });
      refused(t, outcome, { code: 4, msg, details: /DEL/ }, `ADD ${what} is refused`);
      if (what === "of the same container") continue; // its DEL is the first's
      silent(t, await host.cni(type, { command: "DEL", ...call }), "and DEL after it");
    }
    await unchanged(t, host, before, "nothing has changed");
    silent(t, await first.check(), "CHECK of the first is content");
    silent(t, await first.del(), "DEL of the first");
    t.strictSame(
      (await pod.ip("link", "show")).map(({ ifname }) => ifname),
      ["lo"],
      "its link is gone",
    );
  });

  await t.test(`GC and STATUS of ${type}`, { timeout: TIMEOUT_MS }, async (t) => {
    if (lacksOrShown) return skip(t, lacksOrShown);
    const { host } = await makeUnderlay(t);
    await showGc(t, host, underlayType.network);
    await showStatus(t, host, underlayType.network);
  });
}

function rowsOf(type: UnderlayType["type"]): readonly Row[] {
  const rows = type === "dummy" ? ROWS.filter(({ onMaster }) => !onMaster) : ROWS;
  return type === "macvlan" ? rows : rows.filter(({ once }) => !once);
}

/** Leases, links in the container, and records, a line each. */
async function heldOf(host: Host): Promise<string[]> {
  const leases = "ls /var/lib/cni/networks/net | grep -E '^[0-9a-f]+[.:]'";
  const links = "ip -n c1 -br link | grep -v '^lo '";
  const script = `${leases}; ${links}; find /run/weft/attachments -type f; exit 0`;
  return (await host.exec("sh", ["-c", script])).stdout.split("\n").filter(Boolean);
}

/** Two that stay, one that goes with its namespace there, one with its namespace gone. */
async function showGc(t: Test, host: Host, network: NetworkConfig): Promise<void> {
  const { type } = network;
  // one vlanId is one device: each attachment has its own
  const configOf = (vlanId: number) => (type === "vlan" ? { ...network, vlanId } : network);
  const attached: Attachment[] = [];
  for (const [index, name] of ["kept", "stale", "gone"].entries())
    attached.push(await attach(await host.container(name), configOf(10 + index)));
  const [kept, stale, gone] = attached;
  if (!kept || !stale || !gone) throw new Error("ADD failed");
  const ipam = { type: "host-local", ranges: [[{ subnet: "198.51.100.0/24" }]] };
  const beside = { ...configOf(20), name: "apart", ipam };
  const apart = await attach(kept.container, beside, { ifname: "eth1" });
  const collect = (valid: object[] | undefined) =>
    host.cni(type, { command: "GC", config: { ...network, "cni.dev/valid-attachments": valid } });
  const before = normalise(await host.snapshot());
  silent(t, await collect(undefined), "GC without a list");
  await unchanged(t, host, before, "does nothing");
  await gone.container.remove();
  const { containerId } = kept.container;
  silent(t, await collect([{ containerID: containerId, ifname: "eth0" }]), "GC with a list of one");
  await showLinks(t, stale.container, ["lo"], "takes the other's link");
  await showLinks(t, kept.container, ["lo", "eth0", "eth1"], "but not the one that is named");
  const { stdout } = await host.exec("sh", [
    "-c",
    "cd /var/lib/cni/networks; grep -rl 0123 net apart | sort",
  ]);
  const held = [...apart.addresses.map((ip) => `apart/${ip}`), ...kept.addresses.map((ip) => `net/${ip}`)];
  t.strictSame(stdout.split("\n").filter(Boolean), held, "and the leases of those who are gone");
  silent(t, await kept.check(), "CHECK of the one that stays is content");
  silent(t, await apart.check(), "and of another network's");
  silent(t, await collect([]), "GC with an empty list");
  await showLinks(t, kept.container, ["lo", "eth1"], "takes the last, and nothing of another network");
  silent(t, await apart.del(), "DEL");
}

async function showLinks(t: Test, container: Container, names: string[], what: string): Promise<void> {
  t.strictSame((await container.ip("link", "show")).map(({ ifname }) => ifname).sort(), names.sort(), what);
}

async function showStatus(t: Test, host: Host, network: NetworkConfig): Promise<void> {
  const status = (keys: object) =>
    host.cni(network.type, { command: "STATUS", config: { ...network, ...keys } });
  silent(t, await status({}), "STATUS of a network that is ready");
  if (network.type !== "dummy") {
    refused(t, await status({ master: "eth7" }), { code: 50, msg: /eth7/, details: /|./ }, "no such master");
    await host.exec("sh", ["-c", "ip link add other0 type veth peer name other1"]);
    const down = await status({ master: "other0" });
    refused(t, down, { code: 50, msg: /other0.*down|down.*other0/, details: /|./ }, "a master that is down");
  }
  const range = { subnet: "192.0.2.0/24", rangeStart: "192.0.2.60", rangeEnd: "192.0.2.60" };
  const small = { ...wireAddresses(), ranges: [[range]] };
  const only = await attach(await host.container("only"), { ...network, ipam: small });
  refused(t, await status({ ipam: small }), { code: 50, msg: /./, details: /|./ }, "a pool that is full");
  silent(t, await only.del(), "DEL");
  silent(t, await status({ ipam: small }), "and one that is not any more");
}
