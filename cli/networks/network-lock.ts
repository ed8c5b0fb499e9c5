/**
 * Keeps a network from being removed while a container is attached to it: who attaches holds the lock shared,
 * who removes holds it alone. Runtimes do not take it.
 */
import { existsSync } from "node:fs";
import { makeDirectory } from "../../lib/sys/file.ts";
import { acquireLock, type Lock } from "../../lib/sys/lock.ts";
import type { NetworkFile } from "../runtime/network-list.ts";

const LOCKS_DIR = "/run/weft/locks";

/** @throws LockTimeoutError; Error where the network has been removed since it was read */
export function lockNetwork({ name, file }: NetworkFile, options: { shared: boolean }): Lock {
  const lock = lockInTool(`network:${name}`, options);
  if (existsSync(file)) return lock;
  lock[Symbol.dispose]();
  throw new Error(`network "${name}" was just removed: ${file} is gone`);
}

/**
 * Held shared while a container is attached, and alone by `weft gc`, which would take for nobody's what ADD
 * makes after it has listed whose there is what.
 * @throws LockTimeoutError
 */
export function lockAttachments(options: { shared: boolean }): Lock {
  return lockInTool("attachments", options);
}

/** A lock of the tool's own. @throws LockTimeoutError */
export function lockInTool(what: string, options: { shared: boolean } = { shared: false }): Lock {
  makeDirectory(LOCKS_DIR);
  return acquireLock(`${LOCKS_DIR}/${what}`, options);
}
