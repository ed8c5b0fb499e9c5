/** A container as the tool knows it: a network namespace, and whose it is. */
import { readlinkSync, statSync } from "node:fs";

export interface Container {
  /** For people: "namespace/pod", a name of podman's or of `ip netns`, "pid 123 (nginx)", "host". */
  readonly name: string;
  /** What its runtime calls it: CNI_CONTAINERID of its runtime's ADD; the path where there is no runtime. */
  readonly id: string;
  /** Where its network namespace can be opened. */
  readonly netnsPath: string;
  /** Its first process, where it has one. */
  readonly pid?: number;
  readonly runtime: Runtime;
}

export type Runtime = "host" | "netns" | "pid" | "containerd" | "cri" | "podman";

/** The namespace that the tool itself is in. */
export const HOST: Container = {
  name: "host",
  id: "host",
  netnsPath: "/proc/self/ns/net",
  runtime: "host",
};

/** What tells a namespace from another, whatever the path; undefined where there is none. */
export function namespaceInode(path: string): string | undefined {
  try {
    const link = /^\/proc\/[^/]+\/ns\/net$/.test(path) ? readlinkSync(path) : "";
    const inode = /^net:\[(\d+)\]$/.exec(link)?.[1];
    if (inode !== undefined) return inode;
    const { dev, ino } = statSync(path);
    return dev === statSync("/proc/self/ns/net").dev ? String(ino) : undefined; // a file of nsfs
  } catch {
    return undefined;
  }
}
