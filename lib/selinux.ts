/**
 * Running a program under another SELinux context, as runcon(1) does. setexeccon(3), selinux(8).
 *
 * The kernel lets a process of several threads, which this is, change its own context only to one that is
 * bounded by it (selinux_setprocattr()); the context of the next program it may choose.
 */
import { CniError } from "./cni/error.ts";
import { isErrno } from "./sys/errno.ts";
import { readTextFile, writeFile } from "./sys/file.ts";

const EXEC_CONTEXT = "/proc/thread-self/attr/exec";
/** What takes the choice back: text that begins with a line's end or a NUL. */
const NO_CONTEXT = "\n";

/**
 * Whether the kernel was booted with SELinux. Other security modules have an attr/exec too, and AppArmor
 * understands some texts in it.
 */
export function hasSelinux(): boolean {
  return /\tselinuxfs$/m.test(readTextFile("/proc/filesystems"));
}

/** @throws CniError 7 that names the `key` of the configuration which asks for a context */
export function requireSelinux(key: string): void {
  if (hasSelinux()) return;
  throw new CniError(CniError.INVALID_NETWORK_CONFIG, `cannot apply "${key}": SELinux is not enabled`, {
    details: `boot with selinux=1 security=selinux, or leave "${key}" out`,
  });
}

/**
 * Runs `spawn`, in which the program of a child process starts in `context`.
 * @throws CniError 7 that names the `key`, where the policy has no such context
 */
export function inExecContext<T>({ key, context }: { key: string; context: string }, spawn: () => T): T {
  requireSelinux(key);
  try {
    writeFile(EXEC_CONTEXT, context);
  } catch (error) {
    if (!isErrno(error, "EINVAL")) throw error;
    throw new CniError(CniError.INVALID_NETWORK_CONFIG, `invalid "${key}": ${JSON.stringify(context)}`, {
      details: "the SELinux policy has no such context",
    });
  }
  try {
    return spawn();
  } finally {
    writeFile(EXEC_CONTEXT, NO_CONTEXT);
  }
}
