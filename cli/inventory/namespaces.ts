/**
 * The network namespaces of this machine, each once: those that `ip netns` and the runtimes have bound to a
 * path, and those that processes are in. network_namespaces(7).
 */
import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { join } from "node:path";
import { printable } from "../terminal/printable.ts";

export interface Namespace {
  readonly inode: bigint;
  /** Where it can be opened. */
  readonly path: string;
  /** Every path that it is bound to, and that a record tells of, below /run rather than /var/run. */
  readonly paths: readonly string[];
  /** For people: "host", a name of `ip netns`, "pid 123 (nginx)". */
  readonly name: string;
  /** Of the processes in it, ascending. */
  readonly pids: readonly number[];
  /** It is the one this process is in. */
  readonly isHost: boolean;
}

/** Where namespaces are bound to names: by `ip netns`, CRI's runtimes and podman; by Docker. */
const BOUND = ["/run/netns", "/run/docker/netns"];
/** What runtimes call a namespace; it tells nobody anything. */
const MADE_UP = /^(cni|netns)-[0-9a-f-]{36}$|^[0-9a-f]{12,}$/;

/** Their parent, kthreadd, is in the namespace that the machine was started with. */
const KERNEL_THREADS = 2;

interface Found {
  readonly path: string;
  readonly paths: string[];
  readonly given: string | undefined;
  readonly pids: number[];
}

/**
 * The host's own first, then by name.
 * @param paths more places where a namespace may be, as a record tells of them
 */
export function listNamespaces(paths: readonly string[] = []): Namespace[] {
  const found = new Map<bigint, Found>();
  const own = inodeOf("/proc/self/ns/net");
  if (own !== undefined) {
    found.set(own, { path: "/proc/self/ns/net", paths: [], given: "host", pids: [] });
  }
  for (const path of [...boundPaths(), ...paths]) note(found, path);
  noteProcesses(found);
  return [...found]
    .map(([inode, { path, paths, given, pids }]) => ({
      inode,
      path,
      paths,
      name: given ?? nameOf(path, pids),
      pids,
      isHost: inode === own,
    }))
    .sort((a, b) => Number(b.isHost) - Number(a.isHost) || compareTexts(a.name, b.name));
}

function boundPaths(): string[] {
  return BOUND.flatMap((directory) =>
    listed(directory)
      .sort()
      .map((name) => join(directory, name)),
  );
}

function note(found: Map<bigint, Found>, bound: string): void {
  const inode = inodeOf(bound);
  if (inode === undefined) return;
  const path = belowRun(bound);
  const { paths } = found.getOrInsertComputed(inode, () => ({
    path,
    paths: [],
    given: givenName(path),
    pids: [],
  }));
  if (!paths.includes(path)) paths.push(path);
}

/** As /var/run is, on every system that there is. */
function belowRun(path: string): string {
  return path.replace(/^\/var\/run\//, "/run/");
}

/** Of a path of `ip netns`, where a person gave the name. */
export function givenName(path: string): string | undefined {
  const name = /^\/run\/netns\/([^/]+)$/.exec(belowRun(path))?.[1];
  return name !== undefined && MADE_UP.test(name) ? undefined : name;
}

/** A process whose namespace we may not look at is passed over. */
function noteProcesses(found: Map<bigint, Found>): void {
  const pids = listed("/proc").filter((name) => /^\d+$/.test(name));
  for (const pid of pids.map(Number).sort((a, b) => a - b)) {
    const path = `/proc/${pid}/ns/net`;
    const inode = linkedInode(path);
    if (inode === undefined) continue;
    found.getOrInsertComputed(inode, () => ({ path, paths: [], given: undefined, pids: [] })).pids.push(pid);
  }
}

function nameOf(path: string, [pid]: readonly number[]): string {
  if (pid === undefined) return path;
  const program = processName(pid);
  if (pid <= 2 && processName(KERNEL_THREADS) === "kthreadd") return "the first namespace";
  return program === undefined ? `pid ${pid}` : `pid ${pid} (${program})`;
}

/** The program's name of a process, undefined where it has ended. */
function processName(pid: number): string | undefined {
  try {
    return printable(readFileSync(`/proc/${pid}/comm`, "utf8").trim());
  } catch {
    return undefined;
  }
}

/** Of the file system nsfs alone: a file where a namespace is bound no more is none (`ip netns del`). */
function inodeOf(path: string): bigint | undefined {
  if (path === "/proc/self/ns/net") return linkedInode(path);
  try {
    const { ino, dev } = statSync(path, { bigint: true });
    return dev === nsfsDevice() ? ino : undefined;
  } catch {
    return undefined;
  }
}

let nsfs: bigint | undefined;

function nsfsDevice(): bigint {
  nsfs ??= statSync("/proc/self/ns/net", { bigint: true }).dev;
  return nsfs;
}

/** "net:[4026531840]" → 4026531840, without opening it. */
function linkedInode(path: string): bigint | undefined {
  try {
    const inode = /^net:\[(\d+)\]$/.exec(readlinkSync(path))?.[1];
    return inode === undefined ? undefined : BigInt(inode);
  } catch {
    return undefined;
  }
}

function listed(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

let collator: Intl.Collator | undefined;

/** For sort(): as people do, "web2" before "web10". */
export function compareTexts(a: string, b: string): number {
  collator ??= new Intl.Collator("en", { numeric: true });
  return collator.compare(a, b);
}
