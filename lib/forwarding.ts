/** Forwarding between interfaces of the host. */

import { linkByIndex } from "./rtnetlink/link.ts";
import { listRoutes } from "./rtnetlink/route.ts";
import type { RouteSocket } from "./rtnetlink/route-socket.ts";
import { readSysctl, writeSysctl } from "./sysctl.ts";

/** linux/rtnetlink.h */
const RTPROT_RA = 9;

const FORWARDING = { 4: "net/ipv4/ip_forward", 6: "net/ipv6/conf/all/forwarding" } as const;

export function isForwarding(family: 4 | 6): boolean {
  return readSysctl(FORWARDING[family]) === "1";
}

/**
 * Equivalent to `sysctl -w net.ipv4.ip_forward=1`, or
 * net.ipv6.conf.all.forwarding. Stays when ADD fails: others rely on it.
 */
export function enableForwarding(host: RouteSocket, family: 4 | 6): void {
  if (isForwarding(family)) return;
  if (family === 6) keepRouterAdvertisements(host);
  writeSysctl(FORWARDING[family], "1");
}

/**
 * A forwarding host ignores router advertisements unless accept_ra is 2, and so would lose its
 * own default route when that came from one (Documentation/networking/ip-sysctl.rst, accept_ra).
 */
function keepRouterAdvertisements(host: RouteSocket): void {
  for (const { dst, oif, protocol } of listRoutes(host, { family: 6 })) {
    if (dst.length !== 0 || oif === undefined || protocol !== RTPROT_RA) continue;
    const key = `net/ipv6/conf/${linkByIndex(host, oif).name}/accept_ra`;
    if (readSysctl(key) === "1") writeSysctl(key, "2");
  }
}
