/** DNS settings in a file of the form of /etc/resolv.conf (resolv.conf(5)). */
import type { Dns } from "../../lib/cni/result.ts";

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
