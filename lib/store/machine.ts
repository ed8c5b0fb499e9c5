/** Which machine this is: two of them with one host name must not take each other's for their own. */
import { findTextFile } from "../sys/file.ts";

/** machine-id(5); "" where there is none. */
export function machineId(): string {
  return findTextFile("/etc/machine-id")?.trim() ?? "";
}
