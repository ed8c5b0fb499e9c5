/** Versions of the specification: which share a result type, and which have which command. */
import type { Command } from "./environment.ts";
import { CniError } from "./error.ts";

/** A version's result can be given as the prevResult of another of the same family. */
const FAMILIES: readonly (readonly string[])[] = [
  ["0.1.0", "0.2.0"],
  ["0.3.0", "0.3.1", "0.4.0"],
  ["1.0.0", "1.1.0"],
];

/** Every version there is, ascending. */
export const ALL_VERSIONS: readonly string[] = FAMILIES.flat();

/** What is spoken where nobody asked for a version. */
const LATEST_VERSION = "1.1.0";

/** The versions in which commands came that were not always there. */
const SINCE: Partial<Record<Command, string>> = { CHECK: "0.4.0", GC: "1.1.0", STATUS: "1.1.0" };

/** The versions from `first` on, for a plugin whose feature needs it. */
export function versionsFrom(first: string): readonly string[] {
  return ALL_VERSIONS.filter((version) => atLeast(version, first));
}

/** The versions whose results look as this one's do; none when there is no such version. */
export function familyOf(version: string): readonly string[] {
  return FAMILIES.find((family) => family.includes(version)) ?? [];
}

export function sameFamily(a: string, b: string): boolean {
  return familyOf(a).includes(b);
}

/** Whether `version` is `bound` or later; false for what is not a version. */
export function atLeast(version: string, bound: string): boolean {
  const [a, b] = [version.split(".").map(Number), bound.split(".").map(Number)];
  for (let i = 0; i < 3; i++) {
    const [left = 0, right = 0] = [a[i], b[i]];
    if (left !== right) return left > right;
  }
  return true;
}

/** Refuses a configuration of a version that the plugin, or the command, does not have. @throws CniError */
export function checkVersion(command: Command, configVersion: string, supported: readonly string[]): void {
  const since = SINCE[command];
  if (since && !atLeast(configVersion, since)) {
    throw incompatible(
      `config version does not allow ${command}`,
      `config is ${JSON.stringify(configVersion)}, ${command} came with ${since}`,
    );
  }
  const list = supported.map((version) => JSON.stringify(version)).join(" ");
  const details = `config is ${JSON.stringify(configVersion)}, plugin supports [${list}]`;
  if (since && !supported.some((version) => atLeast(version, configVersion))) {
    throw incompatible(`plugin version does not allow ${command}`, details);
  }
  if (!supported.includes(configVersion)) throw incompatible("incompatible CNI versions", details);
}

/** What VERSION answers. */
export function versionAnswer(stdin: string, supported: readonly string[]) {
  return { cniVersion: askedVersion(stdin), supportedVersions: supported };
}

/** The version to answer in: that of the configuration where it has one we speak. */
export function replyVersion(stdin: string, supported: readonly string[]): string {
  const asked = askedVersion(stdin);
  return supported.includes(asked) ? asked : LATEST_VERSION;
}

/**
 * The version of the configuration, as VERSION returns it,
 * also one that we do not speak. CNI spec 1.1 §4 VERSION.
 */
export function askedVersion(stdin: string): string {
  try {
    const { cniVersion } = JSON.parse(stdin);
    if (typeof cniVersion === "string" && cniVersion !== "") return cniVersion;
  } catch {
    // No configuration, or none that can be read.
  }
  return LATEST_VERSION;
}

function incompatible(msg: string, details: string): CniError {
  return new CniError(CniError.INCOMPATIBLE_VERSION, msg, { details });
}
