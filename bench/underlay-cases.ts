/**
 * Plugins that connect a container without a bridge of the host: to the network of its interface (macvlan,
 * ipvlan), by a route (ptp), or by a program that opens its interface (tap).
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { addAndDel, type Case, type Step, type Suite } from "./cases.ts";
import { makeNetns } from "./host.ts";
import { run, type SimulatedHost, simulateHost } from "./simulated-host.ts";

type UnderlayPlugin = "macvlan" | "ptp" | "tap" | "ipvlan";
type Family = "v4" | "v6";

const CNI_VERSION = "1.0.0"; // what every suite speaks
/** Of v6 fewer: the reference takes one to two seconds an ADD. */
const ROUNDS: Readonly<Record<Family, number>> = { v4: 101, v6: 11 };
/** A process there takes half a second. */
const EMULATED_ROUNDS = 11;
/** The most that a v6 ADD may take. */
const V6_ADD_MAX_MS = 15;
const MASTER = "eth0";
const SUBNETS = { v4: "10.60.0.0/16", v6: "fd00:60::/64" } as const;
const DEFAULT_ROUTES = { v4: "0.0.0.0/0", v6: "::/0" } as const;

/** Ours and the newest reference. */
export function underlaySuites([ours, ...references]: readonly Suite[]): Suite[] {
  return [ours, references.at(-1)].filter((suite) => suite !== undefined);
}

/** Those of plugins that all the suites have: an old reference has no tap. */
export function underlayCases(suites: readonly Suite[]): Case[] {
  const isInAll = (plugin: UnderlayPlugin) => suites.every(({ dir }) => existsSync(join(dir, plugin)));
  return (["macvlan", "ptp", "tap"] as const).filter(isInAll).flatMap((plugin) => [
    { ...underlayCase("underlay", plugin, "v4"), bars: { ADD: 0.8, DEL: 1 } },
    { ...underlayCase("underlay", plugin, "v6"), bars: { DEL: 1 }, limitsMs: { ADD: V6_ADD_MAX_MS } },
  ]);
}

/** For a kernel that has ipvlan. */
export function emulatedCases(): Case[] {
  return (["v4", "v6"] as const).map((family) => ({
    ...underlayCase("emulated", "ipvlan", family),
    rounds: EMULATED_ROUNDS,
    bars: family === "v4" ? { ADD: 0.8, DEL: 1 } : { DEL: 1 },
  }));
}

function underlayCase(where: string, plugin: UnderlayPlugin, family: Family): Case {
  return {
    name: `${where}, ${plugin} ${family}`,
    rounds: ROUNDS[family],
    prepare(suite) {
      const name = `${plugin}-${family}-${suite.index}`;
      const host = simulateHost(name);
      if (hasMaster(plugin)) connect(host, `${name}-wire`);
      return underlaySteps(suite, host, { plugin, family, name });
    },
  };
}

function hasMaster(plugin: UnderlayPlugin): boolean {
  return plugin === "macvlan" || plugin === "ipvlan";
}

/** Gives the host an interface on a wire, whose other end is in a namespace of its own. */
function connect(host: SimulatedHost, wire: string): void {
  makeNetns(wire);
  const ends = [MASTER, "up", "type", "veth", "peer", "name", "port0", "netns", wire];
  host.on(() => run("ip", "link", "add", ...ends));
  run("ip", "-n", wire, "link", "set", "port0", "up");
}

function underlaySteps(
  suite: Suite,
  host: SimulatedHost,
  { plugin, family, name }: { plugin: UnderlayPlugin; family: Family; name: string },
): Step[] {
  const config = {
    cniVersion: CNI_VERSION,
    name: "underlay",
    type: plugin,
    ...(hasMaster(plugin) ? { master: MASTER } : {}),
    ipam: {
      type: "host-local",
      dataDir: `/run/${name}-leases`,
      ranges: [[{ subnet: SUBNETS[family] }]],
      routes: [{ dst: DEFAULT_ROUTES[family] }],
    },
  };
  return addAndDel(suite, config, { netns: makeNetns(`${name}-own`) }).map((step) => ({ ...step, host }));
}
