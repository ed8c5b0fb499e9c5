/** Namespaces of `ip netns`: made and deleted by it, so that they are what it expects (ip-netns(8)). */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";

const DIRECTORY = "/run/netns";

/** @throws Error where there is one of that name */
export function addNamedNamespace(name: string): void {
  if (existsSync(`${DIRECTORY}/${name}`)) {
    throw new Error(
      `there is a namespace "${name}" already: choose another --name, or, where nobody needs it,\nip netns delete ${name} and then weft gc`,
    );
  }
  ip("add", name);
}

export function deleteNamedNamespace(name: string): void {
  ip("delete", name);
}

function ip(verb: string, name: string): void {
  const { status, stderr, error } = spawnSync("ip", ["netns", verb, name], { encoding: "utf8" });
  if (error) throw new Error(`ip netns ${verb} ${name}: ${error.message}`);
  if (status !== 0) throw new Error(`ip netns ${verb} ${name}: ${stderr.trim()}`);
}
