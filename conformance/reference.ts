/**
 * The programs that ours are compared with: the reference plugins of this Debian and of a newer one, and a
 * newer containerd. The newer ones are Debian's too: they need no more than its libc.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { UnavailableError, unpackedPackage } from "./fixtures/debian-package.ts";

const INSTALLED_PLUGINS = "/usr/lib/cni";
const NEWER_SUITES = ["forky", "sid"];

export interface Reference {
  /** Upstream's: "1.9.1". */
  version: string;
  /** Where the executables are. "" when they are missing. */
  dir: string;
  /** Why they are, or undefined: the reason to skip with. */
  missing: string | undefined;
}

/** Returns the reference plugins: those installed (1.1.1 on Debian 12), and 1.9.1. */
export async function referencePlugins(): Promise<Reference[]> {
  return [await installedPlugins(), await newestPlugins()];
}

/** Returns 1.9.1 alone, for what is compared at length and is alike in all of them. */
export function newestPlugins(): Promise<Reference> {
  return newer("containernetworking-plugins", "1.9.1", "usr/lib/cni");
}

/** Returns containerd 2.1.9 with its ctr and shim. */
export function newerContainerd(): Promise<Reference> {
  return newer("containerd", "2.1.9", "usr/bin");
}

async function installedPlugins(): Promise<Reference> {
  const dir = INSTALLED_PLUGINS;
  if (!existsSync(join(dir, "bridge"))) {
    return { version: "installed", dir: "", missing: `no reference plugins in ${dir}` };
  }
  const query = ["--show", "--showformat=${source:Upstream-Version}", "containernetworking-plugins"];
  const { stdout } = await execa("dpkg-query", query, { reject: false });
  return { version: upstream(stdout ?? "") || "installed", dir, missing: undefined };
}

async function newer(name: string, version: string, folder: string): Promise<Reference> {
  try {
    const unpacked = await unpackedPackage(name, { suites: NEWER_SUITES, version });
    return { version: upstream(unpacked.version), dir: join(unpacked.root, folder), missing: undefined };
  } catch (error) {
    if (!(error instanceof UnavailableError)) throw error;
    return { version, dir: "", missing: error.message };
  }
}

/** "1.9.1+ds1-1", "2.1.9~ds1" → "1.9.1", "2.1.9". */
function upstream(version: string): string {
  return version.replace(/[-+~].*$/, "");
}
