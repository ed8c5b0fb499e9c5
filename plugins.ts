/** The plugins of the suite, one a line. Each is loaded, with all that it imports, only when it is called. */
import type { Plugin } from "./lib/cni/plugin.ts";

type Load = () => Promise<{ readonly default: Plugin }>;

export const plugins: ReadonlyMap<string, Load> = new Map<string, Load>([
  ["bridge", () => import("./plugins/bridge/main.ts")],
  ["dummy", () => import("./plugins/dummy/main.ts")],
  ["etcd-ipam", () => import("./plugins/etcd-ipam/main.ts")],
  ["firewall", () => import("./plugins/firewall/main.ts")],
  ["host-device", () => import("./plugins/host-device/main.ts")],
  ["host-local", () => import("./plugins/host-local/main.ts")],
  ["ipvlan", () => import("./plugins/ipvlan/main.ts")],
  ["loopback", () => import("./plugins/loopback/main.ts")],
  ["macvlan", () => import("./plugins/macvlan/main.ts")],
  ["portmap", () => import("./plugins/portmap/main.ts")],
  ["ptp", () => import("./plugins/ptp/main.ts")],
  ["static", () => import("./plugins/static/main.ts")],
  ["tap", () => import("./plugins/tap/main.ts")],
  ["vlan", () => import("./plugins/vlan/main.ts")],
  ["vxlan", () => import("./plugins/vxlan/main.ts")],
]);

/** The first version of the specification that a plugin speaks, where that is not the first there is. */
export const firstVersions: ReadonlyMap<string, string> = new Map([["firewall", "0.3.0"]]);
