/**
 * What macvlan, ipvlan, vlan and dummy refuse: with a code, in words that name the key or the parent and say
 * what to do, and before anything is changed.
 */
import t, { type Test } from "tap";
import { attach, type NetworkConfig } from "./fixtures/attachment.ts";
import type { Container, Host } from "./fixtures/host.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { Netns } from "./fixtures/netns.ts";
import { normalise } from "./fixtures/normalise.ts";
import { callPlugin, type PluginOutcome } from "./fixtures/plugin-call.ts";
import { refused, silent, unchanged } from "./fixtures/refusal.ts";
import {
  lacksFor,
  makeUnderlay,
  UNDERLAY_TYPES,
  type UnderlayType,
  underlayNetwork,
} from "./fixtures/underlay.ts";

const TIMEOUT_MS = 240_000;
t.setTimeout(8 * TIMEOUT_MS);

interface Case {
  readonly what: string;
  readonly types: readonly UnderlayType["type"][];
  readonly keys: Readonly<Record<string, unknown>>;
  readonly msg: string | RegExp;
  /** Default: 7. */
  readonly code?: number;
}

const MASTERED = ["macvlan", "ipvlan", "vlan"] as const;
const CASES: readonly Case[] = [
  { what: "a master that is not there", types: MASTERED, keys: { master: "eth7" }, msg: /eth7/ },
  { what: "loopback as the master", types: MASTERED, keys: { master: "lo" }, msg: /\blo\b/ },
  { what: "no name of an interface", types: MASTERED, keys: { master: "a/b" }, msg: /a\/b/ },
  { what: "a master of the wrong type", types: MASTERED, keys: { master: 5 }, msg: /master/ },
  {
    what: "an MTU above the master's",
    types: ["macvlan", "ipvlan"],
    keys: { mtu: 1501 },
    msg: "invalid MTU 1501, must be [0, master MTU(1500)]",
  },
  { what: "an MTU above the master's", types: ["vlan"], keys: { mtu: 1501 }, msg: /1501.*1500/ },
  { what: "an MTU below zero", types: MASTERED, keys: { mtu: -1 }, msg: /-1|mtu/i },
  { what: "an unknown mode", types: ["macvlan"], keys: { mode: "x" }, msg: 'unknown macvlan mode: "x"' },
  { what: "an unknown mode", types: ["ipvlan"], keys: { mode: "x" }, msg: 'unknown ipvlan mode: "x"' },
  { what: "the mode in capitals", types: ["macvlan"], keys: { mode: "Bridge" }, msg: /mode: "Bridge"/ },
  { what: "a VLAN above 4094", types: ["macvlan", "ipvlan"], keys: { vlan: 4095 }, msg: /vlan.*4095/i },
  { what: "a VLAN above 4094", types: ["vlan"], keys: { vlanId: 4095 }, msg: /vlan.*4095/i },
  { what: "a VLAN below zero", types: ["vlan"], keys: { vlanId: -1 }, msg: /vlan.*-1/i },
  { what: "no master", types: ["vlan"], keys: { master: undefined }, msg: /master/ },
  { what: "internal, and a master", types: ["macvlan", "ipvlan"], keys: { internal: true }, msg: /internal/ },
  { what: "no ipam", types: ["vlan"], keys: { ipam: undefined }, msg: /IPAM|ipam/ },
  {
    what: "no ipam",
    types: ["dummy"],
    keys: { ipam: undefined },
    msg: /dummy interface requires an IPAM configuration/,
  },
];

for (const underlayType of UNDERLAY_TYPES) {
  const { type, network } = underlayType;
  const lacks = await lacksFor(underlayType);
  await t.test(`what ${type} refuses`, { timeout: TIMEOUT_MS }, async (t) => {
    if (lacks) return skip(t, lacks);
    const { host } = await makeUnderlay(t);
    const container = await host.container("c1");
    const before = normalise(await host.snapshot());
    for (const { what, keys, msg, code = 7 } of CASES.filter(({ types }) => types.includes(type))) {
      const config = { ...network, ...keys };
      const outcome = await host.cni(type, { command: "ADD", container, config });
      refused(t, outcome, { code, msg, details: /|./ }, what);
    }
    await unchanged(t, host, before, "nothing has changed");
  });
}

const both = await missing("macvlan", "ipvlan");
await t.test("macvlan and ipvlan on one master", { timeout: TIMEOUT_MS }, async (t) => {
  if (both) return skip(t, both);
  const { host, outside } = await makeUnderlay(t);
  const [one, two] = [await host.container("c1"), await host.container("c2")];
  for (const [type, other] of [
    ["macvlan", "ipvlan"],
    ["ipvlan", "macvlan"],
  ] as const) {
    const first = await attach(one, underlayNetwork(type));
    await showRefused(t, { host, container: two, config: underlayNetwork(other), named: [type, "eth0"] });
    t.ok(await one.ping(outside.address4), `who has it as ${type}, goes on`);
    silent(t, await first.del(), "DEL");
  }
  const second = await attach(two, underlayNetwork("ipvlan"));
  silent(t, await second.del(), "and when nobody has it, either is welcome");
});

await t.test("a master that is a port of a bridge", { timeout: TIMEOUT_MS }, async (t) => {
  const lacks = await missing("macvlan", "bridge");
  if (lacks) return skip(t, lacks);
  const { host } = await makeUnderlay(t);
  const container = await host.container("c1");
  await host.exec("ip", ["link", "add", "br0", "type", "bridge"]);
  await host.exec("ip", ["link", "set", "eth0", "master", "br0"]);
  await showRefused(t, { host, container, config: underlayNetwork("macvlan"), named: ["eth0", "br0"] });
});

await t.test("a wireless master", { timeout: TIMEOUT_MS }, async (t) => {
  const lacks = await missing("macvlan", "mac80211_hwsim");
  if (lacks) return skip(t, lacks);
  const { host } = await makeUnderlay(t);
  const container = await host.container("c1");
  const machine = machineOf(host);
  await machine.exec("modprobe", ["mac80211_hwsim", "radios=1"]);
  await machine.exec("ip", ["link", "set", "wlan0", "up"]);
  const config = underlayNetwork("macvlan", { master: "wlan0" });
  // the radio cannot leave the machine's own namespace, whose /sys the host has not
  const under = ["unshare", "--mount", "sh", "-c", 'mount -t sysfs sysfs /sys; exec "$@"', "sh"];
  const outcome = await callPlugin(machine, "macvlan", { command: "ADD", container, config, under });
  showWords(t, outcome, { type: "macvlan", named: ["wlan0", "wireless"] });
  const { stdout } = await machine.exec("ip", ["-d", "link", "show", "type", "macvlan"]);
  t.equal(stdout, "", "no link is left");
  await machine.exec("modprobe", ["-r", "mac80211_hwsim"]);
});

/** The machine's own network namespace, where modules make their devices: only where that is a test's own. */
function machineOf(host: Host): Netns {
  const path = "/proc/1/ns/net";
  const processes = `--pid=/proc/${host.pid}/ns/pid_for_children`; // /proc is of these
  const where = ["--target", `${host.pid}`, "--mount", `--net=${path}`, processes, "--root", "--wd"];
  const enter = ["nsenter", ...where, "--"];
  return new Netns("machine", path, enter);
}

interface Refused {
  readonly host: Host;
  readonly container: Container;
  readonly config: NetworkConfig;
  /** What the message or the details must have. */
  readonly named: readonly string[];
}

async function showRefused(t: Test, { host, container, config, named }: Refused): Promise<void> {
  const before = normalise(await host.snapshot());
  const outcome = await host.cni(config.type, { command: "ADD", container, config });
  showWords(t, outcome, { type: config.type, named });
  await unchanged(t, host, before, "and nothing has changed");
}

function showWords(
  t: Test,
  outcome: PluginOutcome,
  { type, named }: { type: string; named: readonly string[] },
) {
  refused(t, outcome, { code: 7, msg: /./, details: /./ }, `${type} is refused, with advice`);
  const said = `${outcome.error?.msg} ${outcome.error?.details}`;
  for (const word of named) t.ok(said.includes(word), `it names "${word}"`, { said });
}
