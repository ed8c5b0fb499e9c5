/**
 * The machine as the measurements need it: a network and a mount namespace of their own,
 * so that nothing of the real host is touched, and what they say of it in the report.
 */
import { cpSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { cpus, loadavg, totalmem } from "node:os";
import { basename, join } from "node:path";

/** Runs this program again in namespaces of its own, in which /run is empty. @returns its exit status */
export function runInNamespaces(script: string, args: readonly string[]): number {
  const asRoot = process.getuid?.() === 0 ? [] : ["--user", "--map-root-user"];
  const namespaces = ["--net", "--mount", "--propagation", "private"];
  const { exitCode } = Bun.spawnSync(
    ["unshare", ...asRoot, ...namespaces, process.execPath, script, ...args],
    { stdio: ["ignore", "inherit", "inherit"] },
  );
  return exitCode;
}

/** The first thing inside. */
export function setUpHost(): void {
  run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run");
  mkdirSync("/run/netns");
  run("ip", "link", "set", "lo", "up");
}

/** Makes a network namespace. @returns its path */
export function makeNetns(name: string): string {
  run("ip", "netns", "add", name);
  return `/run/netns/${name}`;
}

/**
 * Reads the files from start to end, into a page cache that has nothing of them. Only then do two builds of
 * the same program start equally fast: a file lies there in large pieces or in small ones by how it was
 * written or first read, and mapping many small pieces takes an executable of 112 MB two milliseconds longer.
 */
export function readAnew(files: readonly string[]): void {
  for (const file of files) {
    evict(file);
    run("cat", file);
  }
}

/**
 * Copies an executable and leaves it to the first calls to bring its pages in, one by one, as after a boot.
 * @returns the copy
 */
export function copyUnread(file: string, folder: string): string {
  mkdirSync(folder, { recursive: true });
  const copy = join(folder, basename(file));
  cpSync(file, copy);
  evict(copy);
  return copy;
}

/** Drops the file from the page cache (dd(1), "nocache"). */
function evict(file: string): void {
  run("sync", file);
  run("dd", `if=${file}`, "iflag=nocache", "count=0", "status=none");
}

function run(...command: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync(command, { stdout: "ignore", stderr: "pipe" });
  if (exitCode !== 0) throw new Error(`${command.join(" ")}: ${stderr}`);
}

/** A line each: what the figures depend on. */
export function describeMachine(): string[] {
  const [cpu] = cpus();
  const governor = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor";
  return [
    `${cpus().length} × ${cpu?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB`,
    `frequency governor: ${existsSync(governor) ? readFileSync(governor, "utf8").trim() : "none (a guest)"}`,
    `Linux ${readFileSync("/proc/sys/kernel/osrelease", "utf8").trim()}`,
    `Bun ${Bun.version}`,
  ];
}

/** How busy the machine was apart from us: processes that wanted to run, on average over the last minute. */
export function load(): number {
  return loadavg()[0] ?? 0;
}

interface CpuTimes {
  readonly all: number;
  readonly stolen: number;
}

/** Ticks since boot, and those in which the hypervisor ran somebody else (proc_stat(5)). */
export function cpuTimes(): CpuTimes {
  const ticks = (readFileSync("/proc/stat", "utf8").split("\n")[0] ?? "").split(/ +/).slice(1, 9).map(Number);
  return { all: ticks.reduce((sum, each) => sum + each, 0), stolen: ticks[7] ?? 0 };
}
