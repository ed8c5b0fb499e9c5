/**
 * podman 4.3 with its CNI backend, on networks that `weft network create` made: containers, a published port,
 * `podman network connect` and `disconnect`, and the same by weft.
 */
import t, { type Test } from "tap";
import { removeGroups } from "./fixtures/containerd.ts";
import { changesSince, hostState } from "./fixtures/host-state.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { type Podman, podmanRoots, startPodman } from "./fixtures/podman.ts";
import { weft, weftJson } from "./fixtures/tool.ts";

const TIMEOUT_MS = 180_000;
t.setTimeout(2 * TIMEOUT_MS);
t.teardown(removeGroups);

const { roots, missing: absent } = await podmanRoots();
const lacks = absent ?? (await missing("bridge", "nf_tables"));

await t.test("podman on networks of weft network create", { timeout: TIMEOUT_MS }, async (t) => {
  if (lacks) return skip(t, lacks);
  const podman = await startPodman(t, roots);
  t.comment(await podman.do("--version"));
  await showContainers(t, podman);
});

interface Listed {
  readonly container: string;
  readonly network: string;
  readonly ifname: string;
  readonly addresses: readonly string[];
}

async function showContainers(t: Test, podman: Podman): Promise<void> {
  const { host } = podman;
  const outside = await host.outside();
  await weft(host, "network", "create", "front", "--subnet", "10.70.0.0/24", "--subnet", "fd00:70::/64");
  await weft(host, "network", "create", "back", "--subnet", "10.71.0.0/24", "--internal");
  const listed = (await podman.do("network", "ls", "--format", "{{.Name}} {{.Driver}}")).split("\n");
  t.strictSame(listed.sort(), ["back bridge", "front bridge", "podman bridge"], "podman network ls");
  const [front] = JSON.parse(await podman.do("network", "inspect", "front"));
  t.match(front, {
    network_interface: "br-front",
    subnets: [
      { subnet: "10.70.0.0/24", gateway: "10.70.0.1" },
      { subnet: "fd00:70::/64", gateway: "fd00:70::1" },
    ],
    internal: false,
  });
  const [back] = JSON.parse(await podman.do("network", "inspect", "back"));
  t.match(back, { network_interface: "br-back", subnets: [{ subnet: "10.71.0.0/24" }] });

  const untouched = await hostState(host);
  const web = await podman.run("web", "--network", "front", "--publish", "8080:80");
  const app = await podman.run("app", "--network", "front", "--ip", "10.70.0.9");
  const db = await podman.run("db", "--network", "back");
  const own = ["10.70.0.2", "fd00:70::2"];
  t.strictSame(
    await app.answering([...own, outside.address4]),
    [...own, outside.address4],
    "containers talk",
  );
  t.ok(await web.ping("10.70.0.9"), "--ip is what it was asked to be");
  await web.serve({ protocol: "tcp", port: 80, greeting: "web: " });
  const publishedAnswer = async (address: string) => {
    const { error, text } = await outside.ask({ protocol: "tcp", address, port: 8080 });
    return error ?? text;
  };
  t.equal(await publishedAnswer(outside.hostAddress4), "web: hello", "--publish");

  const beforeConnect = await hostState(host);
  t.strictSame(await app.answering(["10.71.0.2"]), [], "networks are apart");
  await podman.do("network", "connect", "back", "app");
  t.ok(await app.ping("10.71.0.2"), "podman network connect");
  t.ok(await db.ping("10.71.0.3"), "both ways");
  const ofApp = (await weftJson<Listed[]>(host, "ls")).filter(({ container }) => container === "app");
  t.match(ofApp, [
    { network: "back", ifname: "eth1", addresses: ["10.71.0.3/24"] },
    { network: "front", ifname: "eth0", addresses: ["10.70.0.9/24"] },
  ]);
  await podman.do("network", "disconnect", "back", "app");
  t.strictSame(await changesSince(beforeConnect, host), [], "podman network disconnect takes it back");
  t.ok(await app.ping("10.70.0.2"), "and the first network is as it was");

  await weft(host, "network", "connect", "back", "web");
  t.ok(await web.ping("10.71.0.2"), "weft network connect takes podman's names");
  const [inspected] = await weftJson<{ containers: Listed[] }[]>(host, "network", "inspect", "back");
  t.strictSame(
    inspected?.containers.map(({ container }) => container),
    ["db", "web"],
  );
  await weft(host, "network", "disconnect", "back", "web");
  t.strictSame(await changesSince(beforeConnect, host), [], "and disconnect as well");
  t.equal(await weft(host, "gc"), "nothing was left behind\n", "weft gc takes none of them for gone");

  t.match(await podman.attempt("network", "rm", "front"), { exitCode: 2, stderr: /being used/ });
  await podman.do("rm", "--force", "--time", "0", "web", "app", "db");
  t.strictSame(await changesSince(untouched, host), [], "podman rm: nothing is left");
  t.equal(await publishedAnswer(outside.hostAddress4), "ECONNREFUSED");
  await weft(host, "network", "rm", "front", "back");
  t.equal(await podman.do("network", "ls", "--quiet", "--format", "{{.Name}}"), "podman");
}
