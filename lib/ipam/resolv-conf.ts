/** DNS settings in a file of the form of /etc/resolv.conf (resolv.conf(5)). */
import { invalidConfig } from "../cni/error.ts";
import type { Dns } from "../cni/result.ts";
import { isErrno } from "../sys/errno.ts";
import { readTextFile } from "../sys/file.ts";

/** Those of the file that `ipam.resolvConf` names; undefined where it names none. @throws CniError 7 */
export function readDns(path: string): Dns | undefined {
  if (path === "") return undefined;
  try {
    return parseResolvConf(readTextFile(path));
  } catch (error) {
    if (!isErrno(error)) throw error;
    throw invalidConfig(error.message, 'set "ipam.resolvConf" to a file in the form of /etc/resolv.conf');
  }
}

/** Lists add up, the last domain counts, and what else is there is skipped. */
export function parseResolvConf(text: string): Dns {
  const lines = text.split("\n").map((line) => line.trim().split(/\s+/));
  const valuesOf = (keyword: string) =>
    lines.filter(([word, ...values]) => word === keyword && values.length > 0);
  return {
    nameservers: valuesOf("nameserver").map(([, server = ""]) => server),
    domain: valuesOf("domain").at(-1)?.[1],
    search: valuesOf("search").flatMap(([, ...domains]) => domains),
    options: valuesOf("options").flatMap(([, ...options]) => options),
  };
}
