import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { listContainerdContainers } from "./containerd.ts";

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "weft-containerd-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

function task(namespace: string, id: string, config: object, pid = "4711"): void {
  const bundle = join(directory, "io.containerd.runtime.v2.task", namespace, id);
  mkdirSync(bundle, { recursive: true });
  writeFileSync(join(bundle, "init.pid"), pid);
  writeFileSync(join(bundle, "config.json"), JSON.stringify(config));
}
const linux = (path?: string) => ({ linux: { namespaces: [{ type: "pid" }, { type: "network", path }] } });
const list = () => listContainerdContainers([directory, join(directory, "absent")]);

test("listContainerdContainers() has a container of ctr's under the id that ctr gives to plugins", () => {
  task("default", "web", linux());
  expect(list()).toEqual([
    {
      name: "web",
      id: "default-web",
      netnsPath: "/proc/4711/ns/net",
      pid: 4711,
      runtime: "containerd",
      containerdId: "web",
      names: [],
    },
  ]);
});

test("listContainerdContainers() has a pod's containers under the pod's name and its sandbox", () => {
  const annotations = {
    "io.kubernetes.cri.sandbox-id": "5a4d",
    "io.kubernetes.cri.sandbox-namespace": "default",
    "io.kubernetes.cri.sandbox-name": "web-0",
  };
  task("k8s.io", "5a4d", { ...linux("/var/run/netns/cni-1"), annotations });
  task("k8s.io", "9b8c", { ...linux("/proc/1/ns/net"), annotations });
  expect(list()).toMatchObject([
    { name: "default/web-0", id: "5a4d", containerdId: "5a4d", netnsPath: "/var/run/netns/cni-1" },
    { name: "default/web-0", id: "5a4d", containerdId: "9b8c" },
  ]);
});

test("listContainerdContainers() has nerdctl's name, and passes over what has the host's network or is half there", () => {
  task("default", "f".repeat(64), { ...linux(), annotations: { "nerdctl/name": "db" } });
  task("default", "host", { linux: { namespaces: [{ type: "pid" }] } });
  task("default", "starting", linux(), "");
  mkdirSync(join(directory, "io.containerd.runtime.v2.task/default/empty"));
  writeFileSync(join(directory, "io.containerd.runtime.v2.task/default/empty/init.pid"), "1");
  writeFileSync(join(directory, "io.containerd.runtime.v2.task/default/empty/config.json"), "{");
  expect(list()).toMatchObject([{ name: "db", id: `default-${"f".repeat(64)}` }]);
});
