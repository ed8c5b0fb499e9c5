import { afterAll, expect } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { kernelTest, TestNetns } from "../../lib/testing/netns.ts";
import { noOwnRunReason } from "../../lib/testing/own-run.ts";
import { writeCached } from "../runtime/result-cache.ts";
import { findContainer } from "./find.ts";
import { findPod } from "./pod.ts";

const BUNDLES = "/run/containerd/io.containerd.runtime.v2.task/default";
const inOwnRun = (name: string, body: () => void | Promise<void>) => kernelTest(name, body, noOwnRunReason);

function ip(...words: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync(["ip", "netns", ...words]);
  if (exitCode !== 0) throw new Error(stderr.toString());
}

function task(id: string, pid: number): void {
  mkdirSync(`${BUNDLES}/${id}`, { recursive: true });
  writeFileSync(`${BUNDLES}/${id}/init.pid`, String(pid));
  writeFileSync(`${BUNDLES}/${id}/config.json`, '{"linux": {"namespaces": [{"type": "network"}]}}');
}

const pidOf = ({ path }: TestNetns) => Number(/\d+/.exec(path)?.[0]);

afterAll(() => {
  if (noOwnRunReason === undefined) rmSync("/run/containerd", { recursive: true, force: true });
});

inOwnRun(
  "findContainer() finds a name of ip netns, spelled as cnitool spells it, and by any of its paths",
  () => {
    ip("add", "find-blue");
    try {
      const blue = {
        name: "find-blue",
        id: "/var/run/netns/find-blue",
        netnsPath: "/var/run/netns/find-blue",
        runtime: "netns",
      } as const;
      expect(findContainer("find-blue")).toEqual(blue);
      expect(findContainer("/run/netns/find-blue")).toMatchObject({ name: "find-blue" });
      expect(() => findContainer("find-bleu")).toThrow(
        /^no container "find-bleu": ip netns has find-blue\ndid you mean find-blue\?\nip netns add find-/,
      );
    } finally {
      ip("delete", "find-blue");
    }
  },
);

inOwnRun("findContainer() finds a process, and whose container it is in", async () => {
  using netns = await TestNetns.make();
  const pid = pidOf(netns);
  const path = `/proc/${pid}/ns/net`;
  const alone = {
    name: expect.stringMatching(new RegExp(`^pid ${pid} \\(.+\\)$`)),
    id: path,
    netnsPath: path,
    runtime: "pid",
  };
  expect(findContainer(String(pid))).toMatchObject(alone);
  expect(findContainer(path)).toMatchObject(alone);
  for (const text of [`pid ${pid}`, findContainer(path).name])
    expect(findContainer(text)).toMatchObject(alone);
  task("web0123456789", pid);
  expect(findContainer(String(pid))).toMatchObject({ id: "default-web0123456789", runtime: "containerd" });
  ip("attach", "find-red", String(pid));
  rmSync(BUNDLES, { recursive: true });
  expect(findContainer(String(pid))).toMatchObject({ name: "find-red", pid, runtime: "netns" });
  ip("delete", "find-red");
});

inOwnRun("findContainer() finds a container of containerd's by its id or the beginning of it", async () => {
  using netns = await TestNetns.make();
  task("web-one", pidOf(netns));
  task("web-two", pidOf(netns));
  const one = { id: "default-web-one", pid: pidOf(netns), netnsPath: netns.path };
  for (const text of ["web-one", "default-web-one", "web-o"]) expect(findContainer(text)).toMatchObject(one);
  expect(() => findContainer("web")).toThrow('"web" is the beginning of several ids: web-one, web-two');
  expect(() => findContainer("db")).toThrow("containerd has web-one, web-two");
  rmSync(BUNDLES, { recursive: true });
});

kernelTest("findPod() finds the pod of a runtime that keeps results, while it is there", async () => {
  using netns = await TestNetns.make();
  const directory = mkdtempSync(join(tmpdir(), "weft-results-"));
  const args = [["K8S_POD_NAMESPACE", "default"] as const, ["K8S_POD_NAME", "web"] as const];
  const kept = { network: "pods", ifname: "eth0", args, capabilityArgs: {}, list: "{}", result: {} };
  writeCached(directory, { ...kept, containerId: "old", netns: "/run/netns/nowhere" });
  writeCached(directory, { ...kept, containerId: "pod0123456789", netns: netns.path });
  expect(findPod("default/web", directory)).toEqual({
    name: "default/web",
    id: "pod0123456789",
    netnsPath: netns.path,
    runtime: "cri",
  });
  expect(findPod("default/db", directory)).toBeUndefined();
  rmSync(directory, { recursive: true });
});

kernelTest("findContainer() knows the host, by its name and by its processes", () => {
  for (const text of ["host", String(process.pid)]) expect(findContainer(text).runtime).toBe("host");
  expect(() => findContainer("")).toThrow("the container is an empty string");
});
