/** The report's part on the overlay. */
import { median, percentile, ratioOfMedians } from "../statistics.ts";
import { distribution, mib, round, table, verdict } from "../table.ts";
import type { AddressFigures, AgentFigures, OverlayFigures, PathFigures, ReachFigures } from "./figures.ts";

/** What weft's overlay may lose to the same one by hand. */
const LOSS_MAX = 0.03;
const CHANGE_MAX_MS = 200;
/** whereabouts' own figure for 500 pods on 100 nodes (k8snetworkplumbingwg/whereabouts#110): 4 min 34 s. */
const WHEREABOUTS_S = 274;

export function overlaySections({ paths, reach, agent, addresses }: OverlayFigures): string[] {
  return [
    ...(paths ? pathSection(paths) : []),
    ...(reach ? reachSection(reach) : []),
    ...(agent ? agentSection(agent) : []),
    ...(addresses ? addressSection(addresses) : []),
  ];
}

/** Held where it is not worse by more, or not surely so. */
function pathSection(paths: readonly PathFigures[]): string[] {
  const rows = paths.flatMap(({ name, weft, byHand }) => {
    const rate = ratioOfMedians(weft.gigabits, byHand.gigabits);
    const time = ratioOfMedians(weft.roundTripUs, byHand.roundTripUs);
    return [
      [
        `${name}, Gbit/s`,
        distribution(weft.gigabits),
        distribution(byHand.gigabits),
        `${round(rate.value)} (${round(rate.low)} – ${round(rate.high)})`,
        `≥ ${1 - LOSS_MAX}: ${rate.high >= 1 - LOSS_MAX ? "held" : "missed"}`,
      ],
      [
        `${name}, round trip, µs`,
        distribution(weft.roundTripUs),
        distribution(byHand.roundTripUs),
        `${round(time.value)} (${round(time.low)} – ${round(time.high)})`,
        `≤ ${1 + LOSS_MAX}: ${time.low <= 1 + LOSS_MAX ? "held" : "missed"}`,
      ],
    ];
  });
  const { length } = paths[0]?.weft.gigabits ?? [];
  return [
    "## Through an overlay",
    table(["", "weft", "by hand", "weft / by hand", "bar"], rows),
    "Two hosts on one switch, a container on each, VXLAN in IPv4: weft's, and the same made with `ip` and `bridge`, " +
      `between the same hosts, in turns. One TCP connection of a second by iperf3, and 20,000 pings one after the ` +
      `other, of which the mean counts, in each of ${length} rounds: **median** (least, 95th percentile). A bar is held ` +
      "where the interval in brackets reaches it: what the measurement cannot tell apart counts as the same. Mode " +
      "routed and IPv6 underlays are not measured.",
  ];
}

function reachSection({ hosts, askedEveryMs, reachableMs, addMs }: ReachFigures): string[] {
  const row = (name: string, times: readonly number[]) => {
    return [name, round(median(times)), round(percentile(times, 0.95)), round(Math.max(...times))];
  };
  return [
    "## From ADD's answer until all other hosts reach the container",
    table(
      ["ms", "median", "95th percentile", "most"],
      [row("ADD of vxlan with etcd", addMs), row(`then, until the last of ${hosts} hosts`, reachableMs)],
    ),
    `A container of each of the other hosts asks for the new one every ${askedEveryMs} ms, and by ARP as often. ` +
      `${addMs.length} rounds; below 0 they had their answers before ADD had ended.`,
  ];
}

function agentSection(figures: AgentFigures): string[] {
  const { hosts, endpoints, changeMs } = figures;
  const seconds = (ms: number) => `${round(ms / 1e3)} s`;
  const slowest = percentile(changeMs, 0.95);
  return [
    `## The agent with ${count(hosts)} hosts and ${count(endpoints)} containers`,
    table(
      ["", "time", "on processors"],
      [
        ["start, until the kernel has all", seconds(figures.startMs), `${round(figures.startCpuS)} s`],
        [
          `all of them new while it runs (${seconds(figures.writingMs)} to write them)`,
          seconds(figures.followMs),
          `${round(figures.followCpuS)} s`,
        ],
        ["a minute in which nothing changes", "60.00 s", `${round(figures.idleCpuS)} s`],
        [`one container more, ${verdict(slowest, CHANGE_MAX_MS, " ms")}`, `${distribution(changeMs)} ms`, ""],
      ],
    ),
    `Memory: ${mib(figures.resident)} resident, ${mib(figures.peakResident)} at the most, of which the executable's ` +
      "pages are shared. Whether the kernel has all is looked at every 200 ms. The other hosts are keys in a real etcd; the entries are in a real kernel. A change " +
      "is from its put until the kernel tells of the neighbour, and its bar is for the 95th percentile.",
  ];
}

function addressSection(figures: readonly AddressFigures[]): string[] {
  const rows = figures.map(({ name, addresses, different, seconds }) => [
    name,
    `${addresses}, ${addresses === different ? "none twice" : `${addresses - different} twice`}`,
    `${round(seconds)} s`,
    `${round((1e3 * seconds) / addresses)} ms`,
    `${Math.round(WHEREABOUTS_S / seconds)} times as fast`,
  ]);
  return [
    `## Addresses over ${figures[0]?.hosts} hosts`,
    table(["", "addresses", "time", "each", "whereabouts: 500 in 274 s"], rows),
    "ADD of etcd-ipam. Without an agent each is another process that connects to etcd. The published figure of whereabouts " +
      "([#110](https://github.com/k8snetworkplumbingwg/whereabouts/issues/110)) is for 500 pods to be deployed on 100 " +
      "nodes, so it holds more than the addresses: it tells the order of magnitude, no more.",
  ];
}

function count(number: number): string {
  return number.toLocaleString("en");
}
