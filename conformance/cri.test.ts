/**
 * containerd 1.6 and 2.1 as the kubelet uses them, by CRI: pods with two families of addresses and published
 * ports on a network that `weft network create` made; pods on the host's network; a pod whose ADD fails; and
 * containerd killed, between two calls and within one. GC and STATUS, where that version calls them.
 */
import { existsSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { execa } from "execa";
import t, { type Test } from "tap";
import { containerdLacks, removeGroups } from "./fixtures/containerd.ts";
import { type Cri, type Pod, type PodPort, startCri } from "./fixtures/cri.ts";
import { eventually } from "./fixtures/eventually.ts";
import { changesSince, hostState } from "./fixtures/host-state.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { TOOL, weft, weftJson } from "./fixtures/tool.ts";
import type { Outside } from "./fixtures/wiring.ts";
import { Witness } from "./fixtures/witness.ts";
import { newerContainerd } from "./reference.ts";

const TIMEOUT_MS = 180_000;
t.setTimeout(8 * TIMEOUT_MS);
t.teardown(removeGroups);

const SUBNETS = ["--subnet", "10.60.0.0/24", "--subnet", "fd00:60::/64"];
const WEB = ["10.60.0.2", "fd00:60::2"];
const PORTS: readonly PodPort[] = [
  { hostPort: 8080, containerPort: 80 },
  { hostPort: 8053, containerPort: 53, protocol: "udp" },
  { hostPort: 8081, containerPort: 80, hostIp: "127.0.0.1" },
];
/** Of each family of addresses, in the order of the ports. */
const OPEN = ["web: hello", "dns: hello", "ECONNREFUSED"];

interface Containerd {
  readonly version: string;
  readonly dir: string;
  readonly missing: string | undefined;
}

for (const containerd of [await installedContainerd(), await newerContainerd()]) {
  const lacks = containerd.missing ?? containerdLacks() ?? (await missing("bridge", "nf_tables"));
  const cases = { showPods, showKill, showFailedAdd, showKillWithinCalls, showCollection, showStatusAndGc };
  for (const [name, show] of Object.entries(cases)) {
    await t.test(`containerd ${containerd.version}: ${name}`, { timeout: TIMEOUT_MS }, async (t) => {
      if (lacks) return skip(t, lacks);
      await show(t, await startCri(t, containerd), containerd);
    });
  }
}

async function installedContainerd(): Promise<Containerd> {
  const dir = "/usr/bin";
  if (!existsSync(join(dir, "containerd")))
    return { version: "installed", dir, missing: "no containerd is installed" };
  const { stdout } = await execa(join(dir, "containerd"), ["--version"]);
  return { version: /\d+\.\d+\.\d+/.exec(stdout)?.[0] ?? "", dir, missing: undefined };
}

/** A pod that publishes ports, with programs that answer on them. */
async function runWeb(cri: Cri): Promise<Pod> {
  const web = await cri.run({ name: "web", ports: PORTS });
  const netns = await cri.netnsOf(web);
  await netns.serve({ protocol: "tcp", port: 80, greeting: "web: " });
  await netns.serve({ protocol: "udp", port: 53, address: "::", greeting: "dns: " });
  return web;
}

/** What answers on the host's addresses, by the name of the error where nothing does. */
async function publishedAnswers(outside: Outside): Promise<(string | undefined)[]> {
  const asked = [outside.hostAddress4, outside.hostAddress6].flatMap((address) =>
    PORTS.map(({ protocol = "tcp" as const, hostPort }) => ({ protocol, address, port: hostPort })),
  );
  return (await outside.askAll(asked)).map(({ error, text }) => error ?? text);
}

async function networkIsReady(t: Test, cri: Cri): Promise<void> {
  await eventually(t, "Status: the network is ready", async () => (await cri.network()).isTrue);
}

async function showPods(t: Test, cri: Cri): Promise<void> {
  const { host } = cri;
  const outside = await host.outside();
  t.match(await cri.network(), { isTrue: false, reason: "NetworkPluginNotReady" }, "no network, not ready");
  await weft(host, "network", "create", "pods", ...SUBNETS);
  await networkIsReady(t, cri);
  const untouched = await hostState(host);
  const web = await runWeb(cri);
  const app = await cri.run({ name: "app" });
  t.match(await cri.podStatus(web), { isReady: true, addresses: WEB }, "PodSandboxStatus: both families");
  t.match(await cri.podStatus(app), { isReady: true, addresses: ["10.60.0.3", "fd00:60::3"] });
  const reached = [...WEB, outside.address4, outside.address6];
  t.strictSame(await (await cri.netnsOf(app)).answering(reached), reached, "pods reach pods and the world");
  t.strictSame(await publishedAnswers(outside), [...OPEN, ...OPEN], "ports are published in both families");
  const local = await host.ask({ protocol: "tcp", address: "127.0.0.1", port: 8081 });
  t.equal(local.text, "web: hello", "and a port of 127.0.0.1 on 127.0.0.1 alone");

  const listed = await weftJson<{ container: string; addresses: string[] }[]>(host, "ls");
  const named = listed.map(({ container, addresses: [address] }) => `${container} ${address}`);
  t.strictSame(named, ["default/app 10.60.0.3/24", "default/web 10.60.0.2/24"], "weft ls names the pods");
  t.match(await weft(host, "ls", "--all"), / cni-loopback +lo /, "and with --all their loopback");
  t.match(await weft(host, "inspect", "default/web"), /10\.60\.0\.2\/24/, "and weft inspect knows them");
  t.equal(await weft(host, "gc"), "nothing was left behind\n", "weft gc takes none of them for gone");

  const beforeNode = await hostState(host);
  const node = await cri.run({ name: "node", hostNetwork: true });
  t.match(
    await cri.podStatus(node),
    { isReady: true, addresses: [], netnsPath: "" },
    "on the host's network",
  );
  t.strictSame(await changesSince(beforeNode, host), [], "nothing is added");
  for (const pod of [node, app, web]) await cri.stop(pod);
  t.match(await cri.podStatus(web), { isReady: false });
  await cri.stop(web);
  for (const pod of [node, app, web]) await cri.remove(pod);
  t.strictSame(await cri.podNames(), [], "RemovePodSandbox");
  t.strictSame(await changesSince(untouched, host), [], "nothing is left");
  await weft(host, "network", "rm", "pods");
  await eventually(t, "without the network it is not ready", async () => !(await cri.network()).isTrue);
}

async function showKill(t: Test, cri: Cri): Promise<void> {
  const { host } = cri;
  const outside = await host.outside();
  await weft(host, "network", "create", "pods", ...SUBNETS);
  await networkIsReady(t, cri);
  const untouched = await hostState(host);
  const web = await runWeb(cri);
  const app = await cri.run({ name: "app" });
  await cri.kill();
  t.strictSame(
    await publishedAnswers(outside),
    [...OPEN, ...OPEN],
    "containerd was killed, its pods are reached",
  );
  await cri.start();
  t.match(await cri.podStatus(web), { isReady: true, addresses: WEB }, "started again it knows them");
  await cri.stop(web);
  t.strictSame(new Set(await publishedAnswers(outside)), new Set(["ECONNREFUSED"]), "StopPodSandbox");
  t.ok(await (await cri.netnsOf(app)).ping(outside.address4), "app is as it was");

  await cri.kill();
  await cri.start();
  await cri.stop(web);
  await cri.stop(app);
  for (const pod of [app, web]) await cri.remove(pod);
  t.strictSame(await changesSince(untouched, host), [], "nothing is left");
}

/** The kubelet tries again until an ADD succeeds: what failed must leave nothing, or the node fills up. */
async function showFailedAdd(t: Test, cri: Cri): Promise<void> {
  const { host } = cri;
  const range = ["--subnet", "10.61.0.0/24", "--ip-range", "10.61.0.4/31"];
  await weft(host, "network", "create", "small", ...range);
  await networkIsReady(t, cri);
  const ports = (hostPort: number) => ({ ports: [{ hostPort, containerPort: 80 }] });
  const first = await cri.run({ name: "first", ...ports(8001) });
  t.match(await cri.podStatus(first), { addresses: ["10.61.0.4"] });
  const second = await cri.run({ name: "second", ...ports(8002) });
  const before = await hostState(host);
  for (const attempt of [1, 2, 3]) {
    const refused = cri.run({ name: "third", ...ports(8003) });
    const why = /no IP addresses available in range set: 10\.61\.0\.4-10\.61\.0\.5/;
    await t.rejects(refused, { message: why }, `attempt ${attempt}: RunPodSandbox says why`);
  }
  t.strictSame(await changesSince(before, host), [], "nothing is left of them");
  t.strictSame(await cri.podNames(), ["first", "second"], "ListPodSandbox has none of them");
  const namespaces = readdirSync(host.view("/run/netns")).filter((name) => name.startsWith("cni-"));
  t.equal(namespaces.length, 2, "and there is no namespace of theirs");
  await cri.stop(first);
  const third = await cri.run({ name: "third", ...ports(8003) });
  t.match(
    await cri.podStatus(third),
    { isReady: true, addresses: ["10.61.0.4"] },
    "once there is room it runs",
  );
  for (const pod of [first, second, third]) {
    await cri.stop(pod);
    await cri.remove(pod);
  }
}

async function showKillWithinCalls(t: Test, cri: Cri): Promise<void> {
  const { host } = cri;
  await weft(host, "network", "create", "pods", "--subnet", "10.62.0.0/24");
  const witness = await Witness.install(host, "pods");
  await networkIsReady(t, cri);
  const before = await hostState(host);
  witness.hold("ADD");
  const interrupted = cri.run({ name: "web", ports: [{ hostPort: 8080, containerPort: 80 }] });
  const failed = t.rejects(interrupted, "containerd is killed while the last plugin runs");
  await eventually(t, "ADD is under way", async () => witness.commands().includes("ADD"));
  await cri.kill();
  await failed;
  await witness.release();
  t.not((await changesSince(before, host)).length, 0, "what the plugins made is there");
  await cri.start();
  const found = await cri.findPods("web");
  t.comment(`containerd knows ${found.length} such pod`);
  for (const pod of found) {
    await cri.stop(pod);
    await cri.remove(pod);
  }
  const again = await cri.run({ name: "web", ports: [{ hostPort: 8080, containerPort: 80 }] });
  t.match(await cri.podStatus(again), { isReady: true }, "the pod runs at the second attempt");

  witness.hold("DEL");
  const calls = witness.commands().length;
  const unfinished = t.rejects(cri.stop(again), "containerd is killed within StopPodSandbox");
  await eventually(t, "DEL is under way", async () => witness.commands().slice(calls).includes("DEL"));
  await cri.kill();
  await unfinished;
  await witness.release();
  await cri.start();
  await cri.stop(again);
  await cri.remove(again);
  t.strictSame(await changesSince(before, host), [], "stopped once more, nothing is left");
  t.equal(await weft(host, "gc"), "nothing was left behind\n");
}

/** A pod that died while nobody was there to call DEL. No containerd up to 2.1 calls GC: the tool does. */
async function showCollection(t: Test, cri: Cri): Promise<void> {
  const { host } = cri;
  const outside = await host.outside();
  await weft(host, "network", "create", "pods", ...SUBNETS);
  await networkIsReady(t, cri);
  const app = await cri.run({ name: "app" });
  const before = await hostState(host);
  const web = await runWeb(cri);
  const { netnsPath } = await cri.podStatus(web);
  await cri.kill();
  await host.exec("sh", ["-c", `kill -KILL $(ip netns pids ${basename(netnsPath)})`]);
  await host.exec("ip", ["netns", "delete", basename(netnsPath)]);
  const { exitCode, stdout } = await host.exec(TOOL, ["doctor"], { reject: false });
  t.equal(exitCode, 2, "weft doctor sees it");
  t.match(stdout, /default\/web/, "and says whose it is");
  t.match(await weft(host, "gc"), /^removed default\/web \(eth0 on pods\): .*is gone$/m, "weft gc");
  const left = await changesSince(before, host);
  t.strictSame(left, [], "all that the pod had is gone");
  t.strictSame(new Set(await publishedAnswers(outside)), new Set(["ECONNREFUSED"]), "its ports as well");
  await cri.start();
  t.ok(await (await cri.netnsOf(app)).ping(outside.address4), "a pod that lives keeps what it has");
  await cri.stop(web);
  t.match(await cri.podStatus(web), { isReady: false }, "StopPodSandbox finds nothing more, and succeeds");
}

async function showStatusAndGc(t: Test, cri: Cri, { version }: Containerd): Promise<void> {
  const { host } = cri;
  await weft(host, "network", "create", "pods", "--subnet", "10.63.0.0/24");
  const witness = await Witness.install(host, "pods");
  await networkIsReady(t, cri);
  const pod = await cri.run({ name: "web" });
  t.ok(witness.commands().includes("ADD"));
  await cri.network();
  const asksStatus = witness.commands().includes("STATUS");
  t.equal(asksStatus, !version.startsWith("1."), `containerd ${version} calls STATUS: ${asksStatus}`);
  witness.fail("STATUS");
  const { isTrue, message } = await cri.network();
  t.equal(isTrue, !asksStatus, "and a plugin that is not available makes the network not ready");
  if (asksStatus) t.match(message, /witness: not available/);
  witness.succeed();

  await cri.kill();
  await cri.start();
  await eventually(t, "ready again", async () => (await cri.network()).isTrue);
  await cri.stop(pod);
  t.equal(witness.commands().at(-1), "DEL");
  const collections = witness.calls().filter(({ command }) => command === "GC");
  t.comment(`containerd ${version} has called GC ${collections.length} times`);
  for (const { config } of collections) {
    t.match(config, { "cni.dev/valid-attachments": [{ containerID: pod.id, ifname: "eth0" }] });
  }
  await cri.remove(pod);
}
