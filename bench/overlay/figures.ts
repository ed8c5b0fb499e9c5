/** What the measurements of the overlay give: plain values, which go from process to process as JSON. */

/** Of one kind of overlay: the n-th round of weft's belongs to the n-th of that by hand. */
export interface PathFigures {
  /** "static remotes", "etcd". */
  readonly name: string;
  readonly weft: PathSeries;
  readonly byHand: PathSeries;
}

export interface PathSeries {
  /** Of one TCP connection. */
  readonly gigabits: number[];
  /** Microseconds of a ping, its answer and what ping does in between, the mean of a round. */
  readonly roundTripUs: number[];
}

export interface ReachFigures {
  /** Other hosts, each with a container that asks for the new one. */
  readonly hosts: number;
  /** How often each of them asks. Milliseconds. */
  readonly askedEveryMs: number;
  /** Milliseconds from the end of ADD until the last of them has an answer; below 0 where it was earlier. */
  readonly reachableMs: number[];
  /** What ADD itself took. Milliseconds. */
  readonly addMs: number[];
}

export interface AgentFigures {
  readonly hosts: number;
  readonly endpoints: number;
  /** From its start until the kernel has all of them. */
  readonly startMs: number;
  /** From the first written key to the kernel's last entry, of an agent that runs; and the writing alone. */
  readonly followMs: number;
  readonly writingMs: number;
  /** Seconds on processors: of that start, of that following, of a minute in which nothing changes. */
  readonly startCpuS: number;
  readonly followCpuS: number;
  readonly idleCpuS: number;
  /** In KiB: at the most, and when nothing changes. */
  readonly peakResident: number;
  readonly resident: number;
  /** From a key's put until the kernel has the entry. Milliseconds, one for each change. */
  readonly changeMs: number[];
}

/** Addresses given out over several hosts. */
export interface AddressFigures {
  /** "one after the other", "10 at a time on each host". */
  readonly name: string;
  readonly hosts: number;
  readonly addresses: number;
  /** Different ones among them. */
  readonly different: number;
  readonly seconds: number;
}

/** Each undefined where it was not asked for. */
export interface OverlayFigures {
  readonly paths?: readonly PathFigures[] | undefined;
  readonly reach?: ReachFigures | undefined;
  readonly agent?: AgentFigures | undefined;
  readonly addresses?: readonly AddressFigures[] | undefined;
}

/** What --only looks at. */
export const OVERLAY_CASES = {
  paths: "overlay, throughput and round trip",
  reach: "overlay, reachable after ADD",
  agent: "overlay, agent at scale",
  addresses: "overlay, addresses",
} as const;
