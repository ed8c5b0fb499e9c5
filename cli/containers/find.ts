/**
 * A container by what a user calls it: "host", a path of a namespace, a name of `ip netns`, a pod, an id of
 * containerd's or its beginning, a process, a name or an id of podman's.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { printable } from "../terminal/printable.ts";
import { type Container, HOST, namespaceInode } from "./container.ts";
import { type ContainerdContainer, listContainerdContainers } from "./containerd.ts";
import { nearestName } from "./nearest.ts";
import { findPod } from "./pod.ts";
import { findPodmanContainer, listPodmanNames } from "./podman.ts";

/** Where `ip netns` keeps its namespaces. */
const NAMED = "/run/netns";
/** Spelled as cnitool's users spell it: the container's id depends on it. */
const NAMED_FOR_CNITOOL = "/var/run/netns";
/** How many names a message tells. */
const TOLD_MAX = 10;

/**
 * The namespace of what is named by its path or by `ip netns` may be gone; whoever opens it will say so.
 * @throws Error that says which there are
 */
export function findContainer(text: string): Container {
  if (text === "") throw new SyntaxError("the container is an empty string");
  if (text === HOST.name) return HOST;
  const containers = listContainerdContainers();
  const pod = containers.find(({ names }) => names.includes(text)) ?? findPod(text);
  if (pod) return pod;
  if (text.includes("/") && processMeant(text) === undefined) return atPath(resolve(text), containers);
  if (boundNames().includes(text)) return named(text);
  const found =
    ofContainerd(text, containers, (id) => id === text) ??
    ofProcess(text, containers) ??
    ofContainerd(text, containers, (id) => id.startsWith(text)) ??
    findPodmanContainer(text);
  if (found) return found;
  throw new Error(`no container "${text}": ${whichThereAre(text, containers)}`);
}

/** A namespace of `ip netns`, whether it is there or not. */
export function named(name: string): Container {
  const netnsPath = `${NAMED_FOR_CNITOOL}/${name}`;
  return { name, id: netnsPath, netnsPath, runtime: "netns" };
}

function atPath(path: string, containers: readonly ContainerdContainer[]): Container {
  const pid = /^\/proc\/(\d+)\/ns\/net$/.exec(path)?.[1];
  const name = /^(?:\/var)?\/run\/netns\/([^/]+)$/.exec(path)?.[1];
  const other = { name: name ?? path, id: path, netnsPath: path, runtime: "netns" } as const;
  return (pid === undefined ? undefined : ofProcess(pid, containers)) ?? other;
}

function ofContainerd(
  text: string,
  containers: readonly ContainerdContainer[],
  matches: (id: string) => boolean,
): Container | undefined {
  const matching = containers.filter(({ id, containerdId }) => matches(containerdId) || matches(id));
  const [first, ...others] = matching;
  if (first && others.some(({ id }) => id !== first.id)) {
    const ids = matching.map(({ containerdId: id, name }) => (name === id ? id : `${id} (${name})`));
    throw new Error(`"${text}" is the beginning of several ids: ${ids.join(", ")}`);
  }
  return first;
}

/** A process is named by the container that it is in, where there is one. */
function ofProcess(text: string, containers: readonly ContainerdContainer[]): Container | undefined {
  const pid = processMeant(text);
  if (pid === undefined) return undefined;
  const netnsPath = `/proc/${pid}/ns/net`;
  const inode = namespaceInode(netnsPath);
  if (inode === undefined) return undefined;
  if (inode === namespaceInode(HOST.netnsPath)) return HOST;
  const isSame = (path: string) => namespaceInode(path) === inode;
  const container = containers.find((each) => isSame(each.netnsPath));
  if (container) return container;
  const name = boundNames().find((each) => isSame(join(NAMED, each)));
  if (name !== undefined) return { ...named(name), pid };
  return processNamespace(pid);
}

/** The process of "123", and of "pid 123" and "pid 123 (nginx)", as one is called in listings. */
export function processMeant(text: string): number | undefined {
  const pid = /^(?:pid )?(\d+)$|^pid (\d+) \(.*\)$/.exec(text);
  return pid ? Number(pid[1] ?? pid[2]) : undefined;
}

/** A process in a namespace that has no name, whether it is there or not. */
export function processNamespace(pid: number): Container {
  const netnsPath = `/proc/${pid}/ns/net`;
  return { name: `pid ${pid} (${programOf(pid)})`, id: netnsPath, netnsPath, pid, runtime: "pid" };
}

function programOf(pid: number): string {
  try {
    return printable(readFileSync(`/proc/${pid}/comm`, "utf8").trim());
  } catch {
    return "ended";
  }
}

function boundNames(): string[] {
  try {
    return readdirSync(NAMED).sort();
  } catch {
    return [];
  }
}

function whichThereAre(text: string, containers: readonly ContainerdContainer[]): string {
  const kinds = [
    { where: "ip netns", names: boundNames() },
    { where: "containerd", names: [...new Set(containers.map(({ name }) => name))] },
    { where: "podman", names: listPodmanNames() },
  ].filter(({ names }) => names.length > 0);
  const nearest = nearestName(
    text,
    kinds.flatMap(({ names }) => names),
  );
  const told = kinds.map(({ where, names }) => {
    const more = names.length > TOLD_MAX ? `, and ${names.length - TOLD_MAX} more` : "";
    return `${where} has ${names.slice(0, TOLD_MAX).join(", ")}${more}`;
  });
  return [
    told.length > 0 ? told.join("; ") : "there is none",
    ...(nearest === undefined ? [] : [`did you mean ${nearest}?`]),
    `ip netns add ${text} makes one; a path of a namespace and a process id are taken as well`,
  ].join("\n");
}
