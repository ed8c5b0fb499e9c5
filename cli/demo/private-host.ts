/**
 * A host to play on: namespaces of its own for network and mounts, so that the real host is not touched.
 *
 * The process in them is ended by killing its group; with it go the namespaces, and all that was made there.
 *
 * Reference: unshare(1), namespaces(7), user_namespaces(7).
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, readlinkSync } from "node:fs";
import { constants } from "node:os";
import { Failure } from "../failure.ts";

/** Tells the process in the namespaces what it must not find itself in. */
const OUTSIDE = "WEFT_DEMO_OUTSIDE";
const OWN_NAMESPACES = ["net", "mnt"] as const;

/** Where the plugins and `ip netns` keep what they make. */
const STATE_DIRS = ["/run", existsSync("/var/lib/cni") ? "/var/lib/cni" : "/var/lib"];

const REFUSED = `the kernel does not let this user make namespaces: run as root, or allow it with sysctl,
  on Debian kernel.unprivileged_userns_clone=1, on Ubuntu kernel.apparmor_restrict_unprivileged_userns=0`;

/** `unshare` with the rights that this user has or gets. @throws Error when there are none */
export function unshareCommand(): readonly string[] {
  for (const flags of process.getuid?.() === 0 ? ["-nm", "-Urnm"] : ["-Urnm"]) {
    const { status, error } = spawnSync("unshare", [flags, "true"]);
    if (error) throw new Error(`cannot run unshare: ${error.message}`);
    if (status === 0) return ["unshare", flags];
  }
  throw new Error(REFUSED);
}

/**
 * Runs the command in namespaces of its own and waits for its end. A signal to this process ends the command
 * and everything it started.
 * @returns its exit status
 * @throws Failure when a signal came
 */
export async function runPrivately(unshare: readonly string[], command: readonly string[]): Promise<number> {
  const [program = "", ...args] = [...unshare, ...command];
  const environment = { ...process.env, [OUTSIDE]: ownNamespaces().join(" ") };
  const child = spawn(program, args, { stdio: "inherit", detached: true, env: environment });
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  let caught: (typeof signals)[number] | undefined;
  for (const signal of signals) {
    process.on(signal, () => {
      caught = signal;
      killGroup(child);
    });
  }
  const status = await new Promise<number>((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (code, signal) => resolve(code ?? 128 + constants.signals[signal ?? "SIGKILL"]));
  });
  for (const signal of signals) process.removeAllListeners(signal);
  if (caught) {
    throw new Failure(
      128 + constants.signals[caught],
      "interrupted: all of it was in namespaces that are gone now",
    );
  }
  return status;
}

/** Hides the host's state. Refuses to run anywhere but in namespaces that runPrivately() made. */
export function enterPrivateHost(): void {
  const outside = (process.env[OUTSIDE] ?? "").split(" ");
  if (outside.length < OWN_NAMESPACES.length || ownNamespaces().some((own) => outside.includes(own))) {
    throw new Error("not in namespaces of its own: run weft demo");
  }
  for (const directory of STATE_DIRS) quietly("mount", "-n", "-t", "tmpfs", "weft-demo", directory);
  if (!existsSync(process.execPath)) {
    throw new Error(
      `the demonstration hides ${STATE_DIRS.join(" and ")}, and weft is in there: install it elsewhere`,
    );
  }
  quietly("ip", "link", "set", "lo", "up");
  quietly("sysctl", "-q", "-w", "net.ipv4.ip_forward=0"); // else it would be the real host's
}

function ownNamespaces(): string[] {
  return OWN_NAMESPACES.map((name) => readlinkSync(`/proc/self/ns/${name}`));
}

function killGroup({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) process.kill(-pid, "SIGKILL");
  } catch {
    // ESRCH: it has ended by itself.
  }
}

function quietly(program: string, ...args: string[]): void {
  const { status, stderr, error } = spawnSync(program, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`${[program, ...args].join(" ")}: ${error?.message ?? stderr.trim()}`);
}
