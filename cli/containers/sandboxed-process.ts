/**
 * A process in a network namespace: in a new one, which ends with it, or in one that is there.
 *
 * It has a mount namespace of its own as well, so that /sys shows its network and /etc/resolv.conf may be
 * another. It waits before its program begins, until the network is made. When we are killed it is killed
 * too: nobody would take its network back.
 *
 * Reference: unshare(1), nsenter(1), setpriv(1), ip-netns(8).
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { constants } from "node:os";
import type { Duplex } from "node:stream";
import { type Netns, openNetns } from "../../lib/netns/netns.ts";
import type { PassedSignals } from "./passed-signals.ts";

/** Says that it is there, waits for the file of its resolv.conf, if any, and becomes the program. */
const BEGIN = `
mount -t sysfs sysfs /sys 2> /dev/null
echo there >&3
read -r resolv <&3 || exit 1
[ -z "$resolv" ] || { mount --bind "$resolv" /etc/resolv.conf && rm "$resolv"; }
exec 3<&-
exec "$@"
`;

const DIES_WITH_US = ["setpriv", "--pdeathsig", "KILL"];

/** A process that waits for its network; its namespace lives until this is disposed of and it has ended. */
export class SandboxedProcess implements Disposable {
  readonly netns: Netns;
  readonly #child: ChildProcess;
  readonly #signals: PassedSignals;

  private constructor(child: ChildProcess, netns: Netns, signals: PassedSignals) {
    this.#child = child;
    this.netns = netns;
    this.#signals = signals;
  }

  /**
   * @param path of a namespace that is there; a new one is made unless given
   * @throws Error where the kernel refuses; what setpriv, unshare or nsenter said is on stderr by then
   */
  static async start(
    command: readonly string[],
    { path, signals }: { path?: string | undefined; signals: PassedSignals },
  ): Promise<SandboxedProcess> {
    const into = path === undefined ? ["unshare", "--net"] : ["nsenter", `--net=${path}`, "unshare"];
    const begun = ["sh", "-c", BEGIN, "sh", ...command];
    const words = [...DIES_WITH_US, ...into, "--mount", "--propagation", "slave", ...begun];
    const [file = "", ...rest] = words;
    const child = spawn(file, rest, { stdio: ["inherit", "inherit", "inherit", "pipe"] });
    const isThere = await Promise.race([
      once(lineTo(child), "data").then(() => true),
      once(child, "exit").then(() => false),
    ]);
    if (!isThere) throw new Error("cannot start a process in a network namespace: run as root");
    return new SandboxedProcess(child, openNetns(`/proc/${child.pid}/ns/net`), signals);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Where the namespace is to be found while the process lives: who looks later sees that it is gone. */
  get netnsPath(): string {
    return this.netns.path;
  }

  /** Where it is to be found while we live, though the process has left others in it. */
  get lastingPath(): string {
    return `/proc/${process.pid}/fd/${this.netns.fd}`;
  }

  /**
   * Lets the program begin, and waits for its end.
   * @param resolvConf a file that is its /etc/resolv.conf
   * @returns its exit code, as a shell has it
   */
  async run(resolvConf = ""): Promise<number> {
    const { received } = this.#signals;
    if (received !== undefined) return codeOfSignal(received);
    this.#signals.passTo(this.#child);
    lineTo(this.#child).write(`${resolvConf}\n`);
    return exitCodeOf(this.#child);
  }

  /** Ends it, where it has not ended. */
  [Symbol.dispose](): void {
    this.#child.kill("SIGKILL");
    this.netns[Symbol.dispose]();
  }
}

/** Runs a program where we are, as run() does. */
export function runHere(command: readonly string[], signals: PassedSignals): Promise<number> {
  const [file = "", ...rest] = command;
  const child = spawn(file, rest, { stdio: "inherit" });
  signals.passTo(child);
  return exitCodeOf(child);
}

async function exitCodeOf(child: ChildProcess): Promise<number> {
  try {
    const [code, signal] = (await once(child, "exit")) as [number | null, NodeJS.Signals | null]; // its event
    return signal ? codeOfSignal(signal) : (code ?? 1);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException; // the event "error": it could not be started
    console.error(`weft: ${message}`);
    return code === "ENOENT" ? 127 : 126; // as a shell has it
  }
}

function codeOfSignal(signal: NodeJS.Signals): number {
  const SIGNALLED = 128; // as a shell has it
  return SIGNALLED + constants.signals[signal];
}

/** The pipe that BEGIN knows as 3; a socket, so both ways. */
function lineTo(child: ChildProcess): Duplex {
  return child.stdio[3] as Duplex; // start() asked for it
}
