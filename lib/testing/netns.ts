/** Network namespaces for tests: made by the test, gone with it, also when it is killed. */
import { test } from "bun:test";
import { type Netns, openNetns } from "../netns/netns.ts";

/**
 * Why this process cannot make namespaces; undefined when it can. Root can, and so can anybody under `unshare
 * -rn`.
 */
export const noNetnsReason: string | undefined = findNoNetnsReason();

function findNoNetnsReason(): string | undefined {
  if (!Bun.which("unshare") || !Bun.which("ip")) return "needs unshare (util-linux) and ip (iproute2)";
  const { exitCode, stderr } = Bun.spawnSync(["unshare", "--net", "true"]);
  return exitCode === 0 ? undefined : `needs root, or unshare -rn: ${stderr.toString().trim()}`;
}

/**
 * A test that needs namespaces of its own; without them it is skipped, and its name says why.
 * @param lacking what else is not there that it needs
 */
export function kernelTest(name: string, body: () => void | Promise<void>, lacking?: string): void {
  const reason = noNetnsReason ?? lacking;
  if (reason === undefined) test(name, body);
  else test.skip(`${name} [skipped: ${reason}]`, body);
}

/** Why the kernel refuses a command in an empty namespace, as a reason to skip; undefined where it obeys. */
export function lackingFor(...command: string[]): string | undefined {
  if (noNetnsReason !== undefined) return noNetnsReason;
  const { exitCode, stderr } = Bun.spawnSync(["unshare", "--net", ...command]);
  return exitCode === 0 ? undefined : `"${command.join(" ")}" failed: ${stderr.toString().trim()}`;
}

/** A namespace with nothing in it but a loopback device that is down. */
export class TestNetns implements Disposable {
  /** Keeps the namespace while its standard input is open, which ends with this process at the latest. */
  readonly #holder: Bun.Subprocess<"pipe", "pipe", "inherit">;
  readonly netns: Netns;

  private constructor(holder: Bun.Subprocess<"pipe", "pipe", "inherit">) {
    this.#holder = holder;
    this.netns = openNetns(`/proc/${holder.pid}/ns/net`);
  }

  static async make(): Promise<TestNetns> {
    const holder = Bun.spawn(["unshare", "--net", "sh", "-c", "echo there; exec cat"], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "inherit",
    });
    await holder.stdout.getReader().read(); // "there"
    return new TestNetns(holder);
  }

  get path(): string {
    return this.netns.path;
  }

  /** Runs a shell command in the namespace. @throws Error with what it wrote to standard error */
  run(command: string): string {
    const { exitCode, stdout, stderr } = Bun.spawnSync([
      "nsenter",
      `--net=${this.path}`,
      "sh",
      "-ec",
      command,
    ]);
    if (exitCode !== 0) throw new Error(`${command}: ${stderr.toString().trim()}`);
    return stdout.toString();
  }

  /** The JSON that `ip -j …` or `bridge -j …` prints; it prints nothing for an empty list. */
  // biome-ignore lint/suspicious/noExplicitAny: as iproute2 has it
  json(command: string): any {
    const text = this.run(command);
    return text.trim() === "" ? [] : JSON.parse(text);
  }

  [Symbol.dispose](): void {
    this.netns[Symbol.dispose]();
    this.#holder.kill();
  }
}
