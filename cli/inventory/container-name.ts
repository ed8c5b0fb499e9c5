/** What people call a container: the pod's name, the name that podman or nerdctl gave it, or what there is. */
import { readdirSync, readFileSync } from "node:fs";
import { isObject } from "../../lib/cni/json.ts";
import type { Namespace } from "./namespaces.ts";

/** Where containerd's shims keep what they run: <namespace>/<id>/config.json. */
const CONTAINERD_TASKS = "/run/containerd/io.containerd.runtime.v2.task";
/** Where podman's storage lists its containers, with their names. */
const PODMAN_CONTAINERS = "/var/lib/containers/storage/overlay-containers/containers.json";
/** Of an id, as every runtime shortens it. */
const ID_SHOWN = 12;
const HEX_ID = /^[0-9a-f]{32,}$/;

interface Named {
  readonly containerId: string;
  /** CNI_ARGS of the ADD. */
  readonly args: readonly (readonly [string, string])[];
  readonly namespace: Namespace | undefined;
}

/** "default/web-5d4f", "web", "1a2b3c4d5e6f", "blue", "pid 123 (nginx)" */
export function containerName({ containerId, args, namespace }: Named): string {
  const id = containerId.replace(/^.+-(?=[0-9a-f]{64}$)/, ""); // nerdctl puts the namespace before it
  const isNamed =
    namespace !== undefined && !namespace.name.startsWith("/") && !/^pid \d/.test(namespace.name);
  return (
    podName(args) ??
    podmanNames().get(id) ??
    nerdctlName(id) ??
    (HEX_ID.test(id) ? id.slice(0, ID_SHOWN) : undefined) ??
    (isNamed ? namespace.name : undefined) ??
    (containerId.startsWith("cnitool-") ? namespace?.name : undefined) ??
    containerId
  );
}

/** As the kubelet's runtimes say it to the plugins. */
function podName(args: Named["args"]): string | undefined {
  const { K8S_POD_NAMESPACE: namespace, K8S_POD_NAME: name } = Object.fromEntries(args);
  return namespace && name ? `${namespace}/${name}` : undefined;
}

let podman: ReadonlyMap<string, string> | undefined;

function podmanNames(): ReadonlyMap<string, string> {
  podman ??= readPodmanNames();
  return podman;
}

function readPodmanNames(): Map<string, string> {
  const containers = readJson(PODMAN_CONTAINERS);
  if (!Array.isArray(containers)) return new Map();
  return new Map(
    containers.flatMap(({ id, names }) =>
      typeof id === "string" && Array.isArray(names) && typeof names[0] === "string" ? [[id, names[0]]] : [],
    ),
  );
}

/** nerdctl writes its name into the configuration of the container. */
function nerdctlName(id: string): string | undefined {
  if (!HEX_ID.test(id)) return undefined;
  for (const namespace of namesIn(CONTAINERD_TASKS)) {
    const config = readJson(`${CONTAINERD_TASKS}/${namespace}/${id}/config.json`);
    const annotations = isObject(config) ? config["annotations"] : undefined;
    const name = isObject(annotations) ? annotations["nerdctl/name"] : undefined;
    if (typeof name === "string" && name !== "") return name;
  }
  return undefined;
}

function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return undefined; // not there, not ours to read, or being written
  }
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
