/** Containers of podman, by its own command: its state is in a data base of its own (podman-inspect(1)). */
import { spawnSync } from "node:child_process";
import { isObject } from "../../lib/cni/json.ts";
import type { Container } from "./container.ts";

const TIMEOUT_MS = 10_000;

export interface PodmanContainer extends Container {
  readonly runtime: "podman";
}

/** By its name or its id, or the beginning of it, as podman takes them; undefined where it knows none. */
export function findPodmanContainer(text: string): PodmanContainer | undefined {
  const [found] = ask(["inspect", "--type", "container", text]);
  if (!isObject(found)) return undefined;
  const { Id: id, Name: name, State: state, NetworkSettings: settings } = found;
  const pid = isObject(state) ? Number(state["Pid"]) : 0;
  const sandbox = isObject(settings) ? settings["SandboxKey"] : undefined;
  if (typeof id !== "string" || typeof name !== "string") return undefined;
  if (!pid) throw new Error(`podman's container ${name} does not run: podman start ${name}`);
  const netnsPath = typeof sandbox === "string" && sandbox !== "" ? sandbox : `/proc/${pid}/ns/net`;
  return { name, id, netnsPath, pid, runtime: "podman" };
}

/** Names of those that run. */
export function listPodmanNames(): string[] {
  return ask(["ps", "--format", "json"]).flatMap((each) => {
    const names = isObject(each) ? each["Names"] : undefined;
    return Array.isArray(names) ? names.slice(0, 1).map(String) : [];
  });
}

/** A list; empty where there is no podman, or where it knows nothing of the kind. */
function ask(words: readonly string[]): unknown[] {
  const { status, stdout } = spawnSync("podman", words, { encoding: "utf8", timeout: TIMEOUT_MS });
  if (status !== 0) return [];
  try {
    const json: unknown = JSON.parse(stdout);
    return Array.isArray(json) ? json : [];
  } catch {
    return [];
  }
}
