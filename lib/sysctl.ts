/** Kernel settings under /proc/sys, of the namespace the thread is in. */
import { isErrno } from "./sys/errno.ts";
import { findTextFile, writeFile } from "./sys/file.ts";

/**
 * Equivalent to `sysctl -n KEY`, with slashes in the key.
 * @returns undefined where this kernel has no such setting
 */
export function readSysctl(key: string): string | undefined {
  return findTextFile(`/proc/sys/${key}`)?.trim();
}

/** Equivalent to `sysctl -w KEY=VALUE`, with slashes in the key. */
export function writeSysctl(key: string, value: string): void {
  writeFile(`/proc/sys/${key}`, value);
}

/** The same where the kernel has the setting; without IPv6 there are none of net/ipv6. */
export function writeSysctlIfPresent(key: string, value: string): void {
  try {
    writeSysctl(key, value);
  } catch (error) {
    if (!isErrno(error, "ENOENT", "ENOTDIR")) throw error;
  }
}
