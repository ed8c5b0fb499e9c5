/**
 * The plugins' executables in the directory where the runtime looks for them: weft's in place of the
 * reference's, which are kept beside, and back. A call that comes meanwhile finds the one or the other.
 *
 *     /opt/cni/bin/.reference/bridge    what was /opt/cni/bin/bridge
 */
import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
} from "node:fs";
import { join } from "node:path";
import { plugins } from "../../plugins.ts";
import { makerOf } from "../doctor/executable.ts";
import { EXECUTABLE, installExecutable } from "../executables/install-executable.ts";

const KEPT = ".reference";

/** The first directory of the path that has executables of others under the names of weft's plugins. */
export function findReferenceDirectory(path: readonly string[]): string | undefined {
  return path.find((directory) => referencePlugins(directory).length > 0);
}

/** The first directory of the path in which others' executables are kept. */
export function findKeptDirectory(path: readonly string[]): string | undefined {
  return path.find((directory) => existsSync(join(directory, KEPT)));
}

/** Names of weft's plugins under which there is somebody else's executable. */
export function referencePlugins(directory: string): string[] {
  return [...plugins.keys()].filter((name) => {
    const file = join(directory, name);
    return statSync(file, { throwIfNoEntry: false })?.isFile() && makerOf(file) === "another";
  });
}

/** Keeps the reference's, and puts weft's in their place. @returns names of those that were kept */
export function replaceReference(directory: string): string[] {
  const names = referencePlugins(directory);
  mkdirSync(join(directory, KEPT), { recursive: true });
  for (const name of names) {
    const kept = join(directory, KEPT, name);
    rmSync(kept, { force: true });
    linkSync(join(directory, name), kept);
  }
  installExecutable("/proc/self/exe", directory, [...plugins.keys()]);
  return names;
}

/** Names of those that were kept. */
export function keptPlugins(directory: string): string[] {
  return readdirSync(join(directory, KEPT)).sort();
}

/** Puts the reference's back, and takes away weft's that replaced nothing; the tool itself stays. */
export function restoreReference(directory: string): string[] {
  const kept = keptPlugins(directory);
  for (const name of kept) renameSync(join(directory, KEPT, name), join(directory, name));
  rmdirSync(join(directory, KEPT));
  for (const name of plugins.keys()) {
    if (kept.includes(name) || !isLinkOfWeft(directory, name)) continue;
    rmSync(join(directory, name));
  }
  return kept;
}

function isLinkOfWeft(directory: string, name: string): boolean {
  const [file, weft] = [name, EXECUTABLE].map((each) =>
    statSync(join(directory, each), { throwIfNoEntry: false }),
  );
  return file !== undefined && file.ino === weft?.ino && file.dev === weft.dev;
}
