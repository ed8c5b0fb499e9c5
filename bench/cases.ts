/** What is measured: commands of a plugin, one after the other, and where they are run. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeNetns } from "./host.ts";
import { Program } from "./process.ts";
import type { SimulatedHost } from "./simulated-host.ts";

/** Plugins to compare. */
export interface Suite {
  /** "weft", "1.9.1". */
  readonly name: string;
  /** The folder of its executables. */
  readonly dir: string;
  /** Tells its networks apart from those of the others. */
  readonly index: number;
}

/** One command, measured alone. */
export interface Step {
  readonly name: string;
  /** What the times of a round's steps with the same word here are summed up as. */
  readonly total?: string;
  /** Where it is run, unless that is the machine as it is. */
  readonly host?: SimulatedHost;
  readonly program: Program;
  /** What it is given, when the last step before it that answered anything answered `answer`. */
  stdin(answer: string): string;
}

export interface Case<S extends Suite = Suite> {
  readonly name: string;
  /** Runs in turns per suite. */
  readonly rounds: number;
  /** Sets up what the suite needs. @returns the commands, in their order */
  prepare(suite: S): Step[];
  /** The most that the ratio to the newest reference may be, by step. */
  readonly bars?: Readonly<Record<string, number>>;
  /** The most that a step may take whatever a reference does. Milliseconds, the median. */
  readonly limitsMs?: Readonly<Record<string, number>>;
}

const CNI_VERSION = "1.0.0"; // what every suite speaks
const FAST_ROUNDS = 201;
const ROUNDS = 101;

/** Families that a bridge case gives a container addresses of. */
export type Families = "v4" | "v4 + v6";

export function cases(diskFolder: string): Case[] {
  return [
    versionCase("loopback"),
    { ...versionCase("bridge"), bars: { VERSION: 1.7 } },
    versionCase("host-local"),
    loopbackCase(),
    bridgeCase("v4", { ADD: 0.75, DEL: 1 }),
    bridgeCase("v4 + v6"),
    hostLocalCase("no leases", 0, "/run"),
    hostLocalCase("1,000 leases", 1_000, "/run"),
    { ...hostLocalCase("8,000 leases", 8_000, "/run"), bars: { ADD: 0.15, DEL: 0.15 } },
    hostLocalCase("no leases, on disk", 0, diskFolder),
    hostLocalCase("8,000 leases, on disk", 8_000, diskFolder),
  ];
}

/** The start of a process: nothing is done but that. */
export function versionCase(plugin: string): Case {
  return {
    name: `process start, ${plugin},`,
    rounds: FAST_ROUNDS,
    prepare: ({ dir }) => [versionStep(join(dir, plugin))],
  };
}

export function versionStep(file: string): Step {
  const program = new Program(file, { CNI_COMMAND: "VERSION" });
  return { name: "VERSION", program, stdin: () => JSON.stringify({ cniVersion: CNI_VERSION }) };
}

function loopbackCase(): Case {
  const config = { cniVersion: CNI_VERSION, name: "lo", type: "loopback" };
  return {
    name: "loopback",
    rounds: FAST_ROUNDS,
    prepare: (suite) => addAndDel(suite, config, { netns: makeNetns(`lo-${suite.name}`), ifname: "lo" }),
  };
}

function bridgeCase(families: Families, bars: Readonly<Record<string, number>> = {}): Case {
  return {
    name: `bridge ${families}`,
    rounds: ROUNDS,
    bars,
    prepare: (suite) => bridgeSteps(suite, families),
  };
}

/**
 * ADD and DEL of a container on a bridge that is there already, because a host has more than one container.
 */
export function bridgeSteps(suite: Suite, families: Families): Step[] {
  const { index } = suite;
  const ranges = [[{ subnet: `10.${64 + index}.0.0/16` }], [{ subnet: `fd00:${64 + index}::/64` }]];
  const short = families.replaceAll(/\W/g, "");
  const config = {
    cniVersion: CNI_VERSION,
    name: `${short}-${suite.name}`,
    type: "bridge",
    bridge: `${short}-${suite.name}`,
    isDefaultGateway: true,
    ipam: {
      type: "host-local",
      dataDir: "/run/leases",
      ranges: families === "v4" ? ranges.slice(0, 1) : ranges,
    },
  };
  return addAndDel(suite, config, { netns: makeNetns(`${short}-${suite.name}`) });
}

function hostLocalCase(name: string, leases: number, folder: string): Case {
  return {
    name: `host-local, ${name}`,
    rounds: ROUNDS,
    prepare(suite) {
      const dataDir = join(folder, `leases-${leases}-${suite.name}`);
      fillLeases(join(dataDir, "net"), leases);
      const ipam = { type: "host-local", dataDir, ranges: [[{ subnet: "10.64.0.0/16" }]] };
      const config = { cniVersion: CNI_VERSION, name: "net", type: "host-local", ipam };
      return addAndDel(suite, config, { netns: "/run/netns/none" });
    },
  };
}

/** Files as both implementations write them, of other containers. */
export function fillLeases(folder: string, count: number): void {
  mkdirSync(folder, { recursive: true });
  for (let i = 0; i < count; i++) {
    writeFileSync(join(folder, nthAddress(i)), `${containerId(i + 1)}\r\neth0`);
  }
  if (count > 0) writeFileSync(join(folder, "last_reserved_ip.0"), nthAddress(count - 1));
}

export function nthAddress(n: number): string {
  return `10.64.${(n + 2) >> 8}.${(n + 2) & 255}`;
}

/** 64 hexadecimal digits, as a runtime's ids are. */
export function containerId(n: number): string {
  return n.toString(16).padStart(64, "0");
}

interface Attachment {
  readonly netns: string;
  readonly ifname?: string;
}

/** ADD, then DEL, which gets the result of the ADD as a runtime gives it. */
export function addAndDel(
  { dir }: Suite,
  config: { readonly type: string },
  { netns, ifname = "eth0" }: Attachment,
): Step[] {
  const file = join(dir, config.type);
  const environment = {
    CNI_CONTAINERID: containerId(0),
    CNI_NETNS: netns,
    CNI_IFNAME: ifname,
    CNI_PATH: dir,
    PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
  };
  return [
    {
      name: "ADD",
      program: new Program(file, { ...environment, CNI_COMMAND: "ADD" }),
      stdin: () => JSON.stringify(config),
    },
    {
      name: "DEL",
      program: new Program(file, { ...environment, CNI_COMMAND: "DEL" }),
      stdin: (answer) => JSON.stringify({ ...config, prevResult: JSON.parse(answer) }),
    },
  ];
}
