/**
 * The file of a network that `weft network create` has made: a list as every runtime reads it.
 *
 *     /etc/cni/net.d/weft-<name>.conflist
 *
 * The name sorts behind those that begin with a digit, so that no runtime which takes the first file for its
 * network takes this one by accident. That we wrote it is told by the name and by the key "weft" in it, which
 * runtimes pass over. It says two versions: a runtime that knows the key cniVersions runs it in the later.
 */
import { linkSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { isObject, type JsonObject } from "../../lib/cni/json.ts";
import { overwriteFile } from "../../lib/sys/file.ts";
import type { NetworkFile } from "../runtime/network-list.ts";

const MARK = "weft";
/** Of the names "weft-NAME.conflist" and of the temporary one: NAME_MAX is 255. */
export const NAME_MAX = 200;

/** What is kept of how the network was made. */
export interface Making {
  readonly driver: string;
  /** ISO 8601. */
  readonly created: string;
  readonly labels?: Readonly<Record<string, string>>;
}

export function networkPath(directory: string, name: string): string {
  return join(directory, `weft-${name}.conflist`);
}

export function networkText(name: string, plugins: readonly JsonObject[], making: Making): string {
  const list = {
    cniVersion: "1.0.0",
    cniVersions: ["1.0.0", "1.1.0"],
    name,
    [MARK]: making,
    plugins,
  };
  return `${JSON.stringify(list, null, 2)}\n`;
}

/** Writes a file that is not there yet; whoever reads sees all of it or nothing. @throws Error */
export function writeNetworkFile(directory: string, name: string, text: string): string {
  const path = networkPath(directory, name);
  const temporary = join(directory, `.${basename(path)}.${process.pid}`);
  try {
    overwriteFile(temporary, text, 0o644);
    linkSync(temporary, path);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST")
      throw new Error(`${path} is there already`);
    throw error;
  } finally {
    rmSync(temporary, { force: true });
  }
  return path;
}

/** How we made it; undefined for a file that somebody else wrote. */
export function makingOf({
  name,
  file,
  text,
}: Pick<NetworkFile, "name" | "file" | "text">): Making | undefined {
  if (basename(file) !== basename(networkPath("", name))) return undefined;
  const list: unknown = JSON.parse(text); // it was written by parseNetworkList()
  const making = isObject(list) ? list[MARK] : undefined;
  if (!isObject(making) || typeof making["driver"] !== "string") return undefined;
  return making as unknown as Making; // networkText() wrote it
}
