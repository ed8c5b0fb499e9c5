/**
 * The plugins of a new network: what each driver means as a list of CNI plugins.
 *
 * The lists are such that the reference plugins read them as well; what those do not know (internal, icc,
 * isolation "published", host-access, a parent that is made) they leave out.
 */
import type { JsonObject } from "../../lib/cni/json.ts";
import type { RangeKeys } from "../../lib/ipam/ranges.ts";
import type { Driver, DriverOptions } from "./driver-options.ts";

/** What a network is to be, all of it decided. */
export interface NetworkPlan {
  readonly name: string;
  readonly driver: Driver;
  readonly options: DriverOptions;
  readonly internal: boolean;
  /** One for each family. */
  readonly ranges: readonly (readonly RangeKeys[])[];
  readonly dns: { nameservers?: readonly string[]; search?: readonly string[]; options?: readonly string[] };
  /** Of the host, where the driver has one. */
  readonly bridge: string | undefined;
}

export function pluginList(plan: NetworkPlan): JsonObject[] {
  switch (plan.driver) {
    case "bridge":
      return bridged(plan, { type: "bridge", bridge: plan.bridge });
    case "vxlan":
      return bridged(plan, { type: "vxlan", ...overlayKeys(plan) });
    case "ptp":
      return [
        main(plan, {
          type: "ptp",
          ipMasq: plan.options.masquerade ?? true,
          ipam: { ...hostLocal(plan), routes: defaultRoutes(plan) },
        }),
        portmap(),
        { type: "firewall" },
      ];
    case "macvlan":
    case "ipvlan":
      return [main(plan, underlayKeys(plan))];
  }
}

function bridged(plan: NetworkPlan, keys: JsonObject): JsonObject[] {
  const { internal, options } = plan;
  const { isolation = "same-bridge", icc, masquerade = true, hairpin } = options;
  const bridge = main(plan, {
    ...keys,
    isGateway: true, // podman takes a network without it for an internal one
    ...(!internal && { isDefaultGateway: true, ipMasq: masquerade }),
    ...(hairpin && { hairpinMode: true }),
    ipam: keys["ipam"] ?? hostLocal(plan),
  });
  const firewall = {
    type: "firewall",
    ...(isolation !== "open" && { ingressPolicy: isolation }),
    ...(icc === false && { icc }),
    ...(internal && { internal }),
  };
  return internal ? [bridge, firewall] : [bridge, portmap(), firewall];
}

function overlayKeys({ options, bridge, ranges }: NetworkPlan): JsonObject {
  const { vni, port, dev, local, remotes, group, etcd, mode, hostLength } = options;
  const isRouted = mode === "routed";
  return {
    vni,
    ...(port !== undefined && { port }),
    ...(dev !== undefined && { dev }),
    ...(local !== undefined && { local }),
    ...(remotes && { remotes }),
    ...(group !== undefined && { group }),
    ...(etcd && { etcd: etcd.length > 0 ? { endpoints: etcd } : {} }),
    ...(bridge !== undefined && { bridge }),
    ...(isRouted && {
      mode,
      subnets: ranges.flatMap((set) => set.map(({ subnet }) => ({ subnet, hostLength }))),
      ipam: { type: "host-local" }, // each host's own subnets come from the store
    }),
    ...(etcd &&
      !isRouted && { ipam: { type: "etcd-ipam", etcd: etcd.length > 0 ? { endpoints: etcd } : {}, ranges } }),
  };
}

function underlayKeys(plan: NetworkPlan): JsonObject {
  const { driver, options, internal, ranges } = plan;
  const { parent, vlan, mode, flag, hostAccess } = options;
  return {
    type: driver,
    ...(internal && { internal }),
    ...(parent !== undefined && { master: parent }),
    ...(vlan !== undefined && { vlan }),
    ...(mode !== undefined && { mode }),
    ...(flag !== undefined && { flag }),
    ...(hostAccess && { hostAccess }),
    ipam: { ...hostLocal({ ranges }), ...(!internal && { routes: defaultRoutes(plan) }) },
  };
}

/** The plugin that connects, with what all such take. */
function main({ options: { mtu }, dns, driver }: NetworkPlan, keys: JsonObject): JsonObject {
  const hasMac = driver !== "ipvlan"; // which has its parent's
  return {
    ...keys,
    ...(mtu !== undefined && { mtu }),
    ...(Object.keys(dns).length > 0 && { dns }),
    capabilities: { ips: true, ...(hasMac && { mac: true }) },
  };
}

function portmap(): JsonObject {
  return { type: "portmap", capabilities: { portMappings: true } };
}

function hostLocal({ ranges }: Pick<NetworkPlan, "ranges">): JsonObject {
  return { type: "host-local", ranges };
}

function defaultRoutes({ ranges }: NetworkPlan): { dst: string }[] {
  return ranges.map(([range]) => ({ dst: range?.subnet.includes(":") ? "::/0" : "0.0.0.0/0" }));
}
