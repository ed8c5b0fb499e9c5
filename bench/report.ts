/** The report: tables of medians and ratios, what was to be reached, and the machine they are of. */
import { describeMachine } from "./host.ts";
import type { Memory } from "./memory.ts";
import type { OverlayFigures } from "./overlay/figures.ts";
import { overlaySections } from "./overlay/report.ts";
import { PHASES, type Profile } from "./phases/profile.ts";
import type { Contest } from "./rounds.ts";
import { median, ratioOfMedians } from "./statistics.ts";
import { distribution, mib, round, table, verdict } from "./table.ts";
import type { Throughput } from "./throughput.ts";

export interface Row {
  readonly name: string;
  readonly contest: Contest;
  /** Milliseconds of the same netlink messages from a warm process. */
  readonly floor?: readonly number[] | undefined;
  /** The most that the ratio to the last of the others may be, or to each of them. */
  readonly bar?: number | undefined;
  /** The most milliseconds that ours may take. */
  readonly limitMs?: number | undefined;
}

/** Rows of the same contestants. */
export interface Group {
  readonly title: string;
  readonly note: string;
  /** Ours first, or what is held against the others. */
  readonly contestants: readonly string[];
  /** Which ratios a bar is for. */
  readonly bars: "last" | "each";
  readonly rows: readonly Row[];
}

export interface Results {
  readonly groups: readonly Group[];
  readonly throughput: Throughput;
  readonly overlay: OverlayFigures;
  /** Processes that do nothing. */
  readonly starts: Contest;
  readonly memory: ReadonlyMap<string, Memory>;
  readonly profiles: ReadonlyMap<string, Profile>;
}

export interface Circumstances {
  /** Processes that wanted to run before we began. */
  readonly load: number;
  /** Share of the time in which the hypervisor ran somebody else. */
  readonly stolen: number;
}

const PRIVATE_KIB_MAX = 5 * 1_024;
const PEAK_RESIDENT_KIB_MAX = 32 * 1_024;

export function formatReport(results: Results, circumstances: Circumstances): string {
  const { load, stolen } = circumstances;
  const sections = [
    "# Measurements",
    "Written by `./build.sh bench`. Wall time in milliseconds from posix_spawn to the end of the process: " +
      "**median** (least, 95th percentile). In each round every contestant does ADD and then DEL, in an order of " +
      "chance. A ratio is that of the medians, with its 95 % interval (bootstrap over rounds); below 1 weft is " +
      "the faster. The floor is the same netlink messages from one warm process. Leases are on tmpfs where it " +
      "does not say otherwise; every executable was read into the page cache from start to end before.",
    ...results.groups.flatMap(groupSection),
    ...(results.throughput.size > 0 ? throughputSection(results.throughput) : []),
    ...overlaySections(results.overlay),
    ...(results.starts.size > 0 ? startSection(results.starts) : []),
    ...(results.memory.size > 0 ? memorySection(results.memory) : []),
    ...[...results.profiles].flatMap(([step, profile]) => profileSection(step, profile)),
    "## Machine",
    [
      ...describeMachine(),
      `load before: ${load.toFixed(2)}; time taken by other guests: ${(100 * stolen).toFixed(1)} %`,
    ]
      .map((line) => `- ${line}`)
      .join("\n"),
  ];
  return `${sections.join("\n\n")}\n`;
}

function groupSection(group: Group): string[] {
  const { title, note, contestants, rows } = group;
  if (rows.length === 0) return [];
  const [ours = "", ...others] = contestants;
  const head = ["", ...contestants, ...others.map((other) => `${ours} / ${other}`), "bar"];
  const hasFloor = rows.some(({ floor }) => floor);
  return [
    `## ${title}`,
    note,
    table(
      hasFloor ? [...head, "floor"] : head,
      rows.map((row) => cells(row, group, { hasFloor })),
    ),
    ...cpuSection(group),
  ];
}

function cells(
  { name, contest, floor, bar, limitMs }: Row,
  { contestants, bars }: Group,
  { hasFloor }: { hasFloor: boolean },
): string[] {
  const of = (contestant: string) => contest.get(contestant)?.wall ?? [];
  const [ours = "", ...others] = contestants;
  const ratios = others.map((other) => ratioOfMedians(of(ours), of(other)));
  const counted = (bars === "last" ? ratios.slice(-1) : ratios).map(({ value }) => value);
  return [
    name,
    ...contestants.map((contestant) => distribution(of(contestant))),
    ...ratios.map(({ value, low, high }) => `${round(value)} (${round(low)} – ${round(high)})`),
    [
      ...(bar === undefined ? [] : [verdict(Math.max(...counted), bar)]),
      ...(limitMs === undefined ? [] : [verdict(median(of(ours)), limitMs, " ms")]),
    ].join(", "),
    ...(hasFloor ? [floor ? distribution(floor) : ""] : []),
  ];
}

function cpuSection({ title, contestants, rows }: Group): string[] {
  const [ours = "", ...references] = contestants;
  const cpuCells = ({ name, contest }: Row) => {
    const of = (suite: string) => median(contest.get(suite)?.cpu ?? []);
    return [
      name,
      ...contestants.map((each) => round(of(each))),
      ...references.map((each) => round(of(ours) / of(each))),
    ];
  };
  const ratios = references.map((version) => `${ours} / ${version}`);
  return [
    `### Time on processors: ${title}`,
    table(["", ...contestants, ...ratios], rows.map(cpuCells)),
    "Median milliseconds of all threads and of the programs that a plugin ran. Waiting does not count, and a busy " +
      "machine changes it little.",
  ];
}

/** Held where it is not lower, or not surely so. */
function throughputSection(throughput: Throughput): string[] {
  const [[ours, own = []] = [], ...others] = [...throughput];
  const rows = others.map(([name, rates]) => {
    const { value, low, high } = ratioOfMedians(own, rates);
    const isHeld = high >= 1;
    return [
      name,
      distribution(rates),
      `${round(value)} (${round(low)} – ${round(high)})`,
      `≥ 1: ${isHeld ? "held" : "missed"}`,
    ];
  });
  return [
    "## Through a published port",
    table(["", "Gbit/s", `${ours} / it`, "bar"], [[ours ?? "", distribution(own), "", ""], ...rows]),
    "iperf3, one TCP connection from a client that the host routes for to a container behind a chain's rules: " +
      "**median** (least, 95th percentile). More is better.",
  ];
}

function startSection(starts: Results["starts"]): string[] {
  const rows = [...starts].map(([name, { wall, cpu }]) => [name, distribution(wall), round(median(cpu))]);
  return [
    "## What a process takes that does nothing",
    table(["", "ms", "on processors"], rows),
    "`empty` is an executable that Bun made of an empty file.",
  ];
}

function memorySection(memory: Results["memory"]): string[] {
  const [[, ours] = []] = memory;
  const rows = [...memory].map(([name, each]) => [name, mib(each.private), mib(each.peakResident)]);
  const bars = ours
    ? [
        `≤ ${mib(PRIVATE_KIB_MAX)}: ${ours.private <= PRIVATE_KIB_MAX ? "held" : "missed"}`,
        `≤ ${mib(PEAK_RESIDENT_KIB_MAX)}: ${ours.peakResident <= PEAK_RESIDENT_KIB_MAX ? "held" : "missed"}`,
      ]
    : [];
  return [
    "## Memory",
    table(["bridge v4 ADD", "private", "peak resident"], [...rows, ["bar", ...bars]]),
    "As the process prints its result. Private is what it alone has (Private_Dirty of smaps_rollup); " +
      "resident (VmHWM) counts the pages of the executable, which every process of it shares.",
  ];
}

function profileSection(step: string, profile: Profile): string[] {
  const total = [...profile.values()].reduce((sum, ms) => sum + ms, 0);
  const rows = [...profile].map(([phase, ms]) => [
    phase,
    round(ms),
    `${Math.round((100 * ms) / total)} %`,
    PHASES[phase] ?? "",
  ]);
  return [
    `## Where the time of a bridge v4 ${step} goes`,
    table(["phase", "ms", "", ""], [...rows, ["sum", round(total), "", ""]]),
    "Medians, of an executable with marks between the phases.",
  ];
}
