/** Moments of a process, for its profile. Imports nothing, so that its first line is the first that runs. */

/** By Bun's own clock, which begins with Bun's first step. */
const moments: [phase: string, atNs: number][] = [
  ["exec", 0],
  ["runtime", Bun.nanoseconds()],
];

/** Ends the phase of that name. */
export function endOf(phase: string): void {
  moments.push([phase, Bun.nanoseconds()]);
}

/** The moments so far as JSON, in nanoseconds since 1970, when it is `nowNs` now. */
export function reportMoments(nowNs: bigint): string {
  const offsetNs = nowNs - BigInt(Bun.nanoseconds());
  return JSON.stringify(moments.map(([phase, atNs]) => [phase, String(offsetNs + BigInt(atNs))]));
}
