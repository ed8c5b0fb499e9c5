/** Where this host's runtime looks for plugins, in its order, as far as the host tells. */
import { isObject } from "../../lib/cni/json.ts";
import { findTextFile } from "../../lib/sys/file.ts";
import type { Runtime } from "../runtime/plugin-request.ts";

const CONTAINERD_CONFIG = "/etc/containerd/config.toml";
/** The key of its configuration, by the version of that: 1, 2, 3. */
const CRI_PLUGINS = ["cri", "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.runtime"];
/** Where runtimes look that are left as they are, and so where `weft install` is told to go. */
export const INSTALL_DIR = "/opt/cni/bin";
/** The files of Debian's containerd, of which the second is in 1.x alone. */
const DEBIAN_PACKAGE = "/var/lib/dpkg/info/containerd.list";
const ONLY_BEFORE_2 = "/usr/bin/containerd-shim-runc-v1";
/** Where Debian's 2.x looks when its configuration names nothing. */
const DEBIAN_DIRECTORIES = ["/usr/lib/cni", INSTALL_DIR];

export interface SearchPath {
  /** "containerd", and what says so. */
  readonly whose: string;
  readonly directories: readonly string[];
  /** Where weft's may have been put that are to be found. */
  readonly places: readonly string[];
}

/** Undefined where nothing tells of another than INSTALL_DIR. */
export function findSearchPath({ path, environment }: Runtime): SearchPath | undefined {
  if (environment["CNI_PATH"]) return { whose: "CNI_PATH", directories: path, places: path };
  const directories = pluginDirectoriesOf(findTextFile(CONTAINERD_CONFIG) ?? "");
  if (directories.length > 0) return containerd(`containerd (${CONTAINERD_CONFIG})`, directories);
  const files = findTextFile(DEBIAN_PACKAGE);
  if (files === undefined || files.includes(ONLY_BEFORE_2)) return undefined;
  return containerd("containerd (as Debian has made it)", DEBIAN_DIRECTORIES);
}

function containerd(whose: string, directories: readonly string[]): SearchPath {
  return { whose, directories, places: [...directories, INSTALL_DIR] };
}

/** `bin_dirs`, or `bin_dir` as it was before containerd 2.1, of containerd's configuration; empty without. */
export function pluginDirectoriesOf(config: string): string[] {
  for (const plugin of CRI_PLUGINS) {
    const cni = valueAt(parsed(config), ["plugins", plugin, "cni"]);
    if (!isObject(cni)) continue;
    const { bin_dirs: several, bin_dir: one } = cni;
    const named = Array.isArray(several) ? several.map(String) : [String(one ?? "")];
    if (named.some(Boolean)) return named.filter(Boolean);
  }
  return [];
}

/** What is no TOML tells nothing: containerd itself refuses it. */
function parsed(config: string): unknown {
  try {
    return Bun.TOML.parse(config);
  } catch {
    return undefined;
  }
}

function valueAt(value: unknown, keys: readonly string[]): unknown {
  return keys.reduce((inner, key) => (isObject(inner) ? inner[key] : undefined), value);
}
