/** The leases of host-local's, which are files: how many, and what else is there. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { isObject } from "../../lib/cni/json.ts";
import type { NetworkList } from "../runtime/network-list.ts";

const LEASES_DIR = "/var/lib/cni/networks";
const NO_LEASE = /^(lock|boot_id|last_reserved_ip\.\d+)$/;

/** Addresses that are leased; undefined where another plugin, or none, gives addresses. */
export function leasesOf(network: Pick<NetworkList, "name" | "plugins">): number | undefined {
  const directories = leaseDirectories(network);
  if (directories.length === 0) return undefined;
  return directories.flatMap(listed).filter((name) => !NO_LEASE.test(name)).length;
}

/** Where host-local keeps the network's. */
export function leaseDirectories({ name, plugins }: Pick<NetworkList, "name" | "plugins">): string[] {
  return plugins.flatMap(({ ipam }) => {
    if (!isObject(ipam) || ipam["type"] !== "host-local") return [];
    const { dataDir = LEASES_DIR } = ipam;
    return [join(String(dataDir), name)];
  });
}

function listed(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
