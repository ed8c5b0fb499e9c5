/**
 * What a process takes of memory when its work is done: it is stopped as it
 * prints its answer, because the pipe it prints to is full, and looked at there.
 */
import { readdirSync, readFileSync } from "node:fs";
import type { Step } from "./cases.ts";

/** write(2) (asm/unistd_64.h, asm-generic/unistd.h). */
const WRITE = process.arch === "arm64" ? 64 : 1;
const STOP_TIMEOUT_MS = 10_000;

/** In KiB. */
export interface Memory {
  /** Its own: pages that no file backs, and pages of files that it changed. */
  readonly private: number;
  /** Pages in memory at the most, those of the executable included, which all processes share. */
  readonly peakResident: number;
}

/** Runs the first step up to its answer, then all steps to their end. */
export function measureMemory([first, ...others]: readonly Step[]): Memory {
  if (!first) throw new RangeError("Cannot measure no steps");
  const running = first.program.start(first.stdin(""), { blocked: true });
  awaitAnswer(running.pid);
  const memory = memoryOf(running.pid);
  let answer = running.finish().stdout;
  for (const { program, stdin } of others) answer = program.run(stdin(answer)).stdout;
  return memory;
}

/** Looks until one of its threads is in write(1, …). */
function awaitAnswer(pid: number): void {
  const deadline = performance.now() + STOP_TIMEOUT_MS;
  while (!isAnswering(pid)) {
    if (performance.now() > deadline) throw new Error(`Process ${pid} does not answer`);
  }
}

function isAnswering(pid: number): boolean {
  const tasks = `/proc/${pid}/task`;
  return readdirSync(tasks).some((task) => {
    try {
      return readFileSync(`${tasks}/${task}/syscall`, "utf8").startsWith(`${WRITE} 0x1 `);
    } catch {
      return false; // A thread that has ended.
    }
  });
}

/** proc_pid_smaps(5), proc_pid_status(5). */
function memoryOf(pid: number): Memory {
  const kib = (file: string, key: string) => {
    const text = readFileSync(`/proc/${pid}/${file}`, "utf8");
    return Number(new RegExp(`^${key}:\\s*(\\d+) kB`, "m").exec(text)?.[1]);
  };
  return { private: kib("smaps_rollup", "Private_Dirty"), peakResident: kib("status", "VmHWM") };
}
