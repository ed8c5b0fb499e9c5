/**
 * Containers of containerd, by what its shims keep on the disk: no socket, no gRPC, and every namespace of
 * containerd's at once.
 *
 *     /run/containerd/io.containerd.runtime.v2.task/<namespace>/<id>/{init.pid,config.json}
 *
 * Reference: containerd's core/runtime/v2 (bundle.go); OCI runtime specification (config.json); containerd's
 * internal/cri/annotations; nerdctl's pkg/labels.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { isObject, type JsonObject } from "../../lib/cni/json.ts";
import type { Container } from "./container.ts";

/** Where containerd keeps its state: as it comes, in k3s, in MicroK8s. */
const STATE_DIRECTORIES = [
  "/run/containerd",
  "/run/k3s/containerd",
  "/var/snap/microk8s/common/run/containerd",
];
const TASKS = "io.containerd.runtime.v2.task";
/** People know as much of an id. */
const SHOWN_ID_LENGTH = 12;

export interface ContainerdContainer extends Container {
  readonly runtime: "containerd";
  /** containerd's own id, which may be that of a container in a pod. */
  readonly containerdId: string;
  /** Names that it goes by beside its ids: the pod's, nerdctl's. */
  readonly names: readonly string[];
}

/** Those that run and have a network namespace which is not the host's, by containerd's namespace and id. */
export function listContainerdContainers(directories = STATE_DIRECTORIES): ContainerdContainer[] {
  return directories.flatMap((directory) => {
    const tasks = join(directory, TASKS);
    return listed(tasks).flatMap((namespace) =>
      listed(join(tasks, namespace)).flatMap(
        (id) => readTask(join(tasks, namespace, id), namespace, id) ?? [],
      ),
    );
  });
}

function readTask(bundle: string, namespace: string, id: string): ContainerdContainer | undefined {
  const pid = Number(findText(join(bundle, "init.pid")));
  const config = parse(findText(join(bundle, "config.json")));
  if (!Number.isInteger(pid) || pid <= 0 || !config) return undefined;
  const own = networkNamespaceOf(config);
  if (own === undefined) return undefined;
  const annotations = isObject(config["annotations"]) ? config["annotations"] : {};
  const text = (key: string) => (typeof annotations[key] === "string" ? annotations[key] : "");
  const sandbox = text("io.kubernetes.cri.sandbox-id");
  const pod = [text("io.kubernetes.cri.sandbox-namespace"), text("io.kubernetes.cri.sandbox-name")];
  const names = [pod.every(Boolean) ? pod.join("/") : "", text("nerdctl/name")].filter(Boolean);
  return {
    name: names[0] ?? id.slice(0, SHOWN_ID_LENGTH),
    id: sandbox || `${namespace}-${id}`, // as CRI calls its sandbox, and as ctr and nerdctl call a container
    netnsPath: own || `/proc/${pid}/ns/net`,
    pid,
    runtime: "containerd",
    containerdId: id,
    names,
  };
}

/** Its path, "" where it was made with the container; undefined where the container has the host's. */
function networkNamespaceOf({ linux }: JsonObject): string | undefined {
  const namespaces = isObject(linux) && Array.isArray(linux["namespaces"]) ? linux["namespaces"] : [];
  const network = namespaces.find((each) => isObject(each) && each["type"] === "network");
  if (!isObject(network)) return undefined;
  return typeof network["path"] === "string" ? network["path"] : "";
}

function parse(text: string | undefined): JsonObject | undefined {
  try {
    const json: unknown = JSON.parse(text ?? "null");
    return isObject(json) ? json : undefined;
  } catch {
    return undefined;
  }
}

function findText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined; // it has just ended
  }
}

function listed(directory: string): string[] {
  try {
    return readdirSync(directory).sort();
  } catch {
    return [];
  }
}
