/**
 * Many calls at a time, as a node makes them when it starts or drains: no address is given twice, no call
 * fails that need not, and when all is detached nothing is left. The bridge is made by whichever ADD comes
 * first.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { bridgeNetwork, type NetworkConfig } from "./fixtures/attachment.ts";
import { AT_A_TIME, atATime, eachNamespace, failureOf, makeContainers } from "./fixtures/crowd.ts";
import { type Container, type Host, makeHost } from "./fixtures/host.ts";
import { skip } from "./fixtures/kernel.ts";
import { type NormalSnapshot, normalise } from "./fixtures/normalise.ts";
import type { PluginOutcome } from "./fixtures/plugin-call.ts";
import { BUILT_PLUGINS } from "./fixtures/project.ts";
import { pick, randomFrom, SEED, shuffled } from "./fixtures/random.ts";
import { remains } from "./fixtures/remains.ts";
import { referencePlugins } from "./reference.ts";

const TIMEOUT_MS = 300_000;
const ATTACHMENTS = 200;
const LEASES = "/var/lib/cni/networks/net";
const NETWORK = bridgeNetwork("net", ["10.30.0.0/16"], { cniVersion: "1.0.0" });
const ADDRESS = /^\d+\.\d+\.\d+\.\d+$/;

t.setTimeout(4 * TIMEOUT_MS);
const random = randomFrom(SEED);

/** One of CNI_PATH for each call: whose host-local that is. */
type Paths = readonly [string, ...string[]];
const OURS: Paths = [BUILT_PLUGINS];

const [installed] = await referencePlugins();
const CASES: readonly [name: string, paths: Paths, lacks: string | undefined][] = [
  ["200 ADDs, 16 at a time, then DELs in random order", OURS, undefined],
  [
    "the same with the reference host-local on the same leases",
    [BUILT_PLUGINS, installed?.dir ?? ""],
    installed?.missing,
  ],
];
for (const [name, paths, lacks] of CASES) {
  await t.test(name, { timeout: TIMEOUT_MS }, async (t) => {
    if (lacks) return skip(t, lacks);
    const { host, before } = await makeStage(t);
    const containers = await makeContainers(host, ATTACHMENTS);
    const call = (command: string, container: Container) =>
      host.cni("bridge", { command, config: NETWORK, container, path: pathOf(paths) });

    const added = await atATime(containers, (container) => call("ADD", container));
    t.strictSame(added.map(failureOf).filter(Boolean), [], "every ADD succeeds");
    await showAttached(t, { host, containers, added });
    const deleted = await atATime(shuffled(containers, random), (container) => call("DEL", container));
    t.strictSame(deleted.map(failureOf).filter(Boolean), [], "every DEL succeeds");
    await showNothingLeft(t, { host, before, config: NETWORK });
  });
}

interface Storm {
  readonly host: Host;
  readonly containers: readonly Container[];
  readonly added: readonly PluginOutcome[];
}

async function showAttached(t: Test, { host, containers, added }: Storm): Promise<void> {
  const addresses = added.map(addressOf);
  const repeated = addresses.filter((address, index) => addresses.indexOf(address) !== index);
  t.strictSame(repeated, [], "no duplicate address");
  t.notOk(addresses.includes("10.30.0.1"), "nor the gateway's");
  const held = await eachNamespace(host, containers, "ip -n $name -o -4 address show dev eth0");
  const local = held.map((line) => /inet (\S+)\/\d+ /.exec(line)?.[1]);
  t.strictSame(local, addresses, "each container holds the address of its result");
  const leased = Object.fromEntries(containers.map(({ containerId }, i) => [addresses[i], containerId]));
  t.strictSame(leasesOf(host), leased, "each lease is the container's");

  const links = await host.ip("address", "show");
  const bridges = links.filter(({ linkinfo }) => linkinfo?.info_kind === "bridge");
  const gateways = bridges.flatMap(({ addr_info }) => addr_info.map((it) => it.local)).filter(isIpv4);
  t.strictSame(gateways, ["10.30.0.1"], "one bridge, with the gateway's address once");
  const aliases = links.filter(({ master }) => master === "cni0").map(({ ifalias }) => String(ifalias));
  const names = containers.map(({ containerId }) => `weft:net/${containerId}/eth0`);
  t.strictSame(aliases.sort(), names.sort(), "a port for each container, and no other");
  const unreached = await host.exec("sh", [
    "-c",
    `for address in ${addresses.join(" ")}; do ping -n -c 1 -W 2 $address > /dev/null || echo $address; done`,
  ]);
  t.equal(unreached.stdout, "", "the host reaches every one");
}

async function showNothingLeft(
  t: Test,
  { host, before, config }: { host: Host; before: NormalSnapshot; config: NetworkConfig },
): Promise<void> {
  const links = (await host.ip("link", "show")).map(({ ifname }) => ifname);
  t.strictSame(links, ["lo", "cni0"], "no veth is left");
  t.strictSame(leasesOf(host), {}, "no lease is left");
  const gc = { ...config, cniVersion: "1.1.0", "cni.dev/valid-attachments": [] };
  t.match(await host.cni("bridge", { command: "GC", config: gc }), { code: 0, stdout: "" }, "GC");
  t.strictSame(remains(before, await host.snapshot()), [], "and then nothing at all");
}

await t.test("containers that come and go all at once", { timeout: TIMEOUT_MS }, async (t) => {
  const { host, before } = await makeStage(t);
  // a few more addresses than containers, so that each is soon another container's
  const ipam = {
    type: "host-local",
    subnet: "10.30.0.0/24",
    rangeStart: "10.30.0.2",
    rangeEnd: "10.30.0.24",
  };
  const config = { ...NETWORK, ipam };
  const paths: Paths = installed?.dir ? [BUILT_PLUGINS, installed.dir] : OURS;
  const held = new Map<string, string>();
  const problems: string[] = [];
  const containers = await makeContainers(host, AT_A_TIME);
  await atATime(containers, async (container) => {
    for (let round = 0; round < 10; round++) {
      const call = { config, container, path: pathOf(paths) };
      const added = await host.cni("bridge", { ...call, command: "ADD" });
      const address = addressOf(added);
      const holder = held.get(address);
      if (holder) problems.push(`${address} of ${holder} was given to ${container.name}`);
      held.set(address, container.name);
      if (added.code !== 0) problems.push(`ADD ${container.name}: ${added.stdout}${added.stderr}`);
      else if (!(await host.ping(address, { waitSeconds: 3 }))) problems.push(`${address} is not reached`);
      held.delete(address);
      const deleted = await host.cni("bridge", { ...call, command: "DEL", path: pathOf(paths) });
      if (deleted.code !== 0) problems.push(`DEL ${container.name}: ${deleted.stdout}${deleted.stderr}`);
    }
  });
  t.strictSame(problems, [], "160 attachments: no address twice at a time, every one is reached");
  await eachNamespace(host, containers, "ip netns delete $name");
  await showNothingLeft(t, { host, before, config });
});

await t.test("more ADDs at once than there are addresses", { timeout: TIMEOUT_MS }, async (t) => {
  const { host, before } = await makeStage(t);
  const ipam = { type: "host-local", subnet: "10.30.0.0/24", rangeStart: "10.30.0.2", rangeEnd: "10.30.0.9" };
  const config = { ...NETWORK, ipam };
  const containers = await makeContainers(host, 40);
  const added = await atATime(containers, (container) =>
    host.cni("bridge", { command: "ADD", config, container }),
  );
  const attached = containers.filter((_, index) => added[index]?.code === 0);
  t.equal(attached.length, 8, "as many succeed as there are addresses");
  const reasons = new Set(added.map(({ error }) => error?.msg).filter(Boolean));
  const msg = "failed to allocate for range 0: no IP addresses available in range set: 10.30.0.2-10.30.0.9";
  t.strictSame([...reasons], [msg], "the others say why not");
  const successes = added.filter(({ code }) => code === 0);
  await showAttached(t, { host, containers: attached, added: successes });
  const rest = containers.filter((container) => !attached.includes(container));
  const links = await eachNamespace(host, rest, "ip -n $name -o link show | wc -l");
  t.strictSame([...new Set(links)], ["1"], "their namespaces hold lo alone");
  const records = readdirSync(host.view("/run/weft/attachments/net"));
  t.equal(records.length, 8, "they have no record");
  await atATime(containers, (container) => host.cni("bridge", { command: "DEL", config, container }));
  await showNothingLeft(t, { host, before, config });
});

/** A host in which another network was once: what stays of any is there, and no bridge. */
async function makeStage(t: Test): Promise<{ host: Host; before: NormalSnapshot }> {
  t.comment(`WEFT_SEED=${SEED}`);
  const host = await makeHost(t);
  const config = bridgeNetwork("once", ["10.31.0.0/24"], { bridge: "once0" });
  const [container] = await makeContainers(host, 1);
  if (container) await host.cni("bridge", { command: "ADD", config, container });
  const gc = { ...config, "cni.dev/valid-attachments": [] };
  await host.cni("bridge", { command: "GC", config: gc });
  return { host, before: normalise(await host.snapshot()) };
}

function addressOf({ result }: PluginOutcome): string {
  return result?.ips?.[0]?.address.replace(/\/.*/, "") ?? "";
}

/** Address → container. */
function leasesOf(host: Host): Record<string, string> {
  const folder = host.view(LEASES);
  const names = readdirSync(folder).filter(isIpv4);
  const idOf = (name: string) => readFileSync(join(folder, name), "utf8").split("\r\n")[0] ?? "";
  return Object.fromEntries(names.map((name) => [name, idOf(name)]));
}

function isIpv4(text: string): boolean {
  return ADDRESS.test(text);
}

function pathOf(paths: Paths): string {
  return pick(paths, random) ?? paths[0];
}
