/** Running the remedies of findings, each as it was printed. */
import { dirname } from "node:path";
import type { Finding } from "./finding.ts";

/** A program that waits for a terminal or a server must not hold up the others. */
const TIMEOUT_MS = 120_000;

export interface Mending {
  readonly finding: Finding;
  /** What the command said where it failed; undefined where it did not. */
  readonly failure: string | undefined;
}

/** Weft's own folder comes last: it has a plugin that is called as the program "bridge" is. */
function searchPath(): string {
  return [process.env["PATH"] ?? "", "/usr/sbin:/sbin:/usr/bin:/bin", dirname(process.execPath)].join(":");
}

/** Runs the command in a shell; `weft` in it is this executable. */
export function mend(finding: Finding): Mending {
  const child = Bun.spawnSync({
    cmd: ["/bin/sh", "-c", finding.remedy],
    env: {
      ...process.env,
      PATH: searchPath(),
    },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: TIMEOUT_MS,
  });
  if (child.exitCode === 0) return { finding, failure: undefined };
  const said = `${child.stderr}${child.stdout}`.trim();
  const end = child.exitedDueToTimeout ? `did not end in ${TIMEOUT_MS / 1000} s` : `status ${child.exitCode}`;
  return { finding, failure: said === "" ? end : said };
}
