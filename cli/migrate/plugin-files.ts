/** What a runtime finds in CNI_PATH for the plugins that change hands, and whose that is. */
import { dirname } from "node:path";
import { plugins } from "../../plugins.ts";
import { type Maker, makerOf } from "../doctor/executable.ts";
import { findPluginFile, typesOf } from "../doctor/own-plugins.ts";
import type { NetworkList } from "../runtime/network-list.ts";

/** What of a migration's plugins there has to be. */
export interface Wanted {
  /** Those that change hands. */
  readonly planned: readonly string[];
  readonly networks: readonly NetworkList[];
}

/**
 * Types that a runtime would look for in vain: of what changes hands; where that is nothing, of the networks,
 * if none at all is there.
 */
export function missingPlugins({ planned, networks }: Wanted, path: readonly string[]): string[] {
  const isMissing = (type: string) => findPluginFile(type, path) === undefined;
  if (planned.length > 0) return planned.filter(isMissing);
  const named = new Set(networks.flatMap(typesOf).filter((type) => plugins.has(type)));
  return [...named].every(isMissing) ? [...named] : [];
}

export interface Exchange {
  /** Where the executables are; undefined where none is found. */
  readonly directory: string | undefined;
  readonly types: readonly string[];
}

/** The plugins that change hands of which the runtime would still run another maker's executable, or none. */
export function unexchanged(planned: readonly string[], path: readonly string[], wanted: Maker): Exchange {
  const found = planned.map((type) => ({ type, file: findPluginFile(type, path) }));
  const wrong = found.filter(({ file }) => file === undefined || makerOf(file) !== wanted);
  const file = wrong.find((each) => each.file !== undefined)?.file;
  return { directory: file && dirname(file), types: wrong.map(({ type }) => type) };
}
