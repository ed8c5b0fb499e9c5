/** A server of the demonstration in a sandbox: a process that ends when its stdin does. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { wordsOf } from "./look.ts";

export interface Service {
  /** Ends it, and waits for its end. */
  stop(): Promise<void>;
}

/** How long it may take to begin, and to end. */
const TIMEOUT_MS = 10_000;

/** Starts `ip netns exec … weft demo --role …`; returns when it has said that it listens. @throws Error */
export async function startService(command: string): Promise<Service> {
  const [program = "", ...args] = wordsOf(command);
  const child: ChildProcess = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] });
  const ended = once(child, "exit");
  const stop = async () => {
    child.stdin?.end();
    const timer = setTimeout(() => child.kill("SIGKILL"), TIMEOUT_MS);
    await ended;
    clearTimeout(timer);
  };
  const timer = setTimeout(() => child.kill("SIGKILL"), TIMEOUT_MS);
  const begun = child.stdout && (await Promise.race([once(child.stdout, "data"), ended.then(() => false)]));
  clearTimeout(timer);
  if (begun) return { stop };
  throw new Error(`"${command}" has not come to listen`);
}
