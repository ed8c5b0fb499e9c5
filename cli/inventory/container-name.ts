/** What people call a container: the pod's name, that which podman or nerdctl gave it, or what there is. */
import { readFileSync } from "node:fs";
import { listContainerdContainers } from "../containers/containerd.ts";
import { podName } from "../containers/pod.ts";
import { isNamedByPath } from "../runtime/attachment.ts";
import { givenName, type Namespace } from "./namespaces.ts";

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
  /** CNI_NETNS: what was there tells when it is gone. */
  readonly netns: string;
}

/** "default/web-5d4f", "web", "1a2b3c4d5e6f", "blue", "pid 123 (nginx)" */
export function containerName({ containerId, args, namespace, netns }: Named): string {
  const id = containerId.replace(/^.+-(?=[0-9a-f]{64}$)/, ""); // ctr and nerdctl put the namespace before it
  const path = namespace?.name.startsWith("/") ? undefined : namespace;
  return (
    podName(args) ??
    containerdNames().get(containerId) ??
    podmanNames().get(id) ??
    (path && !isProcess(path) ? path.name : undefined) ??
    (HEX_ID.test(id) ? id.slice(0, ID_SHOWN) : undefined) ??
    (isNamedByPath(containerId) ? (namespace?.name ?? givenName(netns)) : undefined) ??
    containerId
  );
}

/** Named by a process, for want of anything better. */
function isProcess({ name }: Namespace): boolean {
  return /^pid \d/.test(name);
}

let containerd: ReadonlyMap<string, string> | undefined;

/** By CNI_CONTAINERID. */
function containerdNames(): ReadonlyMap<string, string> {
  containerd ??= new Map(listContainerdContainers().map(({ id, name }) => [id, name]));
  return containerd;
}

let podman: ReadonlyMap<string, string> | undefined;

function podmanNames(): ReadonlyMap<string, string> {
  podman ??= readPodmanNames();
  return podman;
}

function readPodmanNames(): Map<string, string> {
  let containers: unknown;
  try {
    containers = JSON.parse(readFileSync(PODMAN_CONTAINERS, "utf8"));
  } catch {
    return new Map(); // not there, not ours to read, or being written
  }
  if (!Array.isArray(containers)) return new Map();
  return new Map(
    containers.flatMap(({ id, names }) =>
      typeof id === "string" && Array.isArray(names) && typeof names[0] === "string" ? [[id, names[0]]] : [],
    ),
  );
}
