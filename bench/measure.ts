/** The measurements, inside the namespaces that run.ts made. Its argument is the order, as JSON. */
import { existsSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { bridgeSteps, type Case, cases, type Suite, versionStep } from "./cases.ts";
import { chainCases, chainSuites } from "./chain-cases.ts";
import { type RowText, rowOf } from "./emulated-rows.ts";
import { copyUnread, cpuTimes, readAnew, setUpHost } from "./host.ts";
import { measureCase } from "./measure-case.ts";
import { type Memory, measureMemory } from "./memory.ts";
import type { OverlayFigures } from "./overlay/figures.ts";
import { profileSteps } from "./phases/profile.ts";
import { Program } from "./process.ts";
import { type Circumstances, formatReport, type Group, type Results, type Row } from "./report.ts";
import { type Contest, runRounds } from "./rounds.ts";
import { scaleCases, scaleSuites } from "./scale-cases.ts";
import { median } from "./statistics.ts";
import { measureThroughput } from "./throughput.ts";
import { underlayCases, underlaySuites } from "./underlay-cases.ts";

export interface Order {
  /** Ours first. */
  readonly suites: readonly Suite[];
  /**
   * On the disk, for what is made and thrown away. It holds the executables "empty" and "phased/<plugin>".
   */
  readonly folder: string;
  /** Only cases with this in their name. */
  readonly only: string;
  readonly rounds?: number | undefined;
  /** How busy the machine was before the first measurement. */
  readonly load: number;
  /** What was measured in the emulated machine. */
  readonly emulated: readonly RowText[];
  /** What was measured before, on hosts of its own. */
  readonly overlay: OverlayFigures;
  /** The file to write. */
  readonly report?: string | undefined;
}

const START_ROUNDS = 101;
const PROFILE_ROUNDS = 51;
const MEMORY_RUNS = 11;
const PLUGINS = ["bridge", "host-local", "loopback", "portmap", "firewall", "macvlan", "ptp", "tap"];

const PLUGINS_GROUP = {
  title: "One plugin at a time",
  note: "Plugins that have no part in a packet filter. The numbers are the reference plugins' versions.",
  bars: "last",
} as const;
const UNDERLAY_GROUP = {
  title: "Underlay and routed networks",
  note:
    "Each on a host of its own, with host-local and a default route; macvlan on one end of a veth pair whose other " +
    "end is in another namespace. 101 rounds of v4, 11 of v6, where the reference waits for duplicate detection.",
  bars: "last",
} as const;
const EMULATED_GROUP = {
  title: "Emulated",
  note:
    "What the kernel here does not have, on Debian's kernel in a machine that QEMU emulates: how long it takes means " +
    "nothing there, the ratio something. 11 rounds.",
  bars: "last",
} as const;
const CHAIN_GROUP = {
  title: "A chain of plugins",
  note:
    "bridge with ipMasq, portmap with one port, firewall: a process each, in their order with the result of the one " +
    "before; DEL backwards. The host has another container. The reference's firewall has iptables alone.",
  bars: "each",
} as const;
const SCALE_GROUP = {
  title: "Many and few",
  note: "weft on a host that has many, and on one that has few.",
  bars: "each",
} as const;

function measure(order: Order): Results {
  const { suites, folder, only, rounds, overlay } = order;
  const [ours] = suites;
  if (!ours) throw new RangeError("Cannot measure without our own plugins");
  setUpHost();
  readAnew(["/bin/true", join(folder, "empty"), ...suites.flatMap(({ dir }) => executablesOf(dir))]);
  const rowsOf = <S extends Suite>(some: readonly Case<S>[], contestants: readonly S[]): Row[] =>
    some
      .filter(({ name }) => name.includes(only))
      .flatMap((each) => {
        console.error(each.name);
        return measureCase(each, contestants, rounds);
      });
  const [underlay, chained, sizes] = [underlaySuites(suites), chainSuites(suites), scaleSuites(suites)];
  const groups: Group[] = [
    {
      ...PLUGINS_GROUP,
      contestants: suites.map(({ name }) => name),
      rows: rowsOf([...cases(folder), ...(only === "" ? [unreadCase(folder)] : [])], suites),
    },
    {
      ...UNDERLAY_GROUP,
      contestants: underlay.map(({ name }) => name),
      rows: rowsOf(underlayCases(underlay), underlay),
    },
    { ...EMULATED_GROUP, contestants: underlay.map(({ name }) => name), rows: order.emulated.map(rowOf) },
    { ...CHAIN_GROUP, contestants: chained.map(({ name }) => name), rows: rowsOf(chainCases(), chained) },
    { ...SCALE_GROUP, contestants: sizes.map(({ name }) => name), rows: rowsOf(scaleCases(), sizes) },
  ];
  const throughput = "throughput".includes(only) ? measureThroughput(suites) : new Map();
  const nothing = { starts: new Map(), memory: new Map(), profiles: new Map() };
  if (only !== "") return { groups, throughput, overlay, ...nothing };
  console.error("start, memory, profile");
  return {
    groups,
    throughput,
    overlay,
    starts: measureStarts(folder),
    memory: new Map(suites.map((suite) => [suite.name, medianMemory(suite)])),
    profiles: profileBridge(folder),
  };
}

/** Those that are there: 1.1.1 has no tap. */
function executablesOf(dir: string): string[] {
  return PLUGINS.map((plugin) => join(dir, plugin)).filter((file) => existsSync(file));
}

/** The start of a process whose file nobody has read since the machine started. */
function unreadCase(folder: string): Case {
  return {
    name: "bridge, as after a boot,",
    rounds: START_ROUNDS,
    prepare: ({ dir, name }) => [
      versionStep(copyUnread(join(dir, "bridge"), join(folder, `unread-${name}`))),
    ],
  };
}

/** What any process, and any that Bun made, takes for nothing. */
function measureStarts(folder: string): Contest {
  const contestants = ["/bin/true", join(folder, "empty")].map((file) => ({
    name: basename(file),
    steps: [{ name: "start", program: new Program(file), stdin: () => "" }],
  }));
  return runRounds(contestants, START_ROUNDS).get("start") ?? new Map();
}

function medianMemory(suite: Suite): Memory {
  const steps = bridgeSteps({ ...suite, name: `m-${suite.name}` }, "v4");
  const runs = Array.from({ length: MEMORY_RUNS }, () => measureMemory(steps));
  return {
    private: median(runs.map((run) => run.private)),
    peakResident: median(runs.map((run) => run.peakResident)),
  };
}

function profileBridge(folder: string) {
  const suite = { name: "phased", dir: join(folder, "phased"), index: 9 };
  readAnew([join(suite.dir, "bridge")]);
  return profileSteps(bridgeSteps(suite, "v4"), PROFILE_ROUNDS);
}

const order: Order = JSON.parse(process.argv[2] ?? "");
const before = cpuTimes();
const results = measure(order);
const after = cpuTimes();
const circumstances: Circumstances = {
  load: order.load,
  stolen: (after.stolen - before.stolen) / (after.all - before.all),
};
const report = formatReport(results, circumstances);
console.log(report);
if (order.report) writeFileSync(order.report, report);
