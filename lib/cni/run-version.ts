/**
 * One process of a plugin that is asked for its versions: done without the plugin, which takes three times as
 * long to load as this.
 */
import { exitWith, print, readStdin } from "./stdio.ts";
import { ALL_VERSIONS, replyVersion, versionAnswer, versionsFrom } from "./version.ts";

/** Answers VERSION and exits. CNI spec 1.1 §2 "VERSION". */
export function runVersion(supported: readonly string[]): never {
  let stdin = "";
  try {
    stdin = readStdin({ optional: true });
    print(1, `${JSON.stringify(versionAnswer(stdin, supported))}\n`);
  } catch (error) {
    exitWith(error, replyVersion(stdin, supported));
  }
  process.exit(0);
}

/** The same for a plugin of which only the first version is known that it speaks: of all, without. */
export function runVersionFrom(first: string | undefined): never {
  runVersion(first === undefined ? ALL_VERSIONS : versionsFrom(first));
}
