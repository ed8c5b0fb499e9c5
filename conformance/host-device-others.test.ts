/**
 * host-device beside other devices: of the same MAC, in a namespace of the same path, with the same
 * alternative names. What an attachment has is not taken for another's.
 */
import t, { type Test } from "tap";
import { attach } from "./fixtures/attachment.ts";
import type { Container, Host } from "./fixtures/host.ts";
import {
  addDevice,
  claimsOf,
  DEVICE,
  deviceIn,
  deviceNetwork,
  makeStage,
  removeWithDevice,
  type Stage,
  VALID,
} from "./fixtures/host-device.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { normalise } from "./fixtures/normalise.ts";
import { refused, silent, unchanged } from "./fixtures/refusal.ts";

const TIMEOUT_MS = 120_000;
t.setTimeout(4 * TIMEOUT_MS);
const lacks = await missing("veth");
if (lacks) {
  skip(t, lacks);
  process.exit();
}

/** A sibling of the device: of its kind, with its MAC, as all VLANs of a card are. */
const SIBLING = "wan1";

function run(name: string, act: (t: Test) => Promise<void>): Promise<unknown> {
  return t.test(name, { timeout: TIMEOUT_MS }, act);
}

async function addSibling({ host }: Stage): Promise<void> {
  const peer = ["type", "veth", "peer", "name", "far1"];
  await host.ip("link", "add", SIBLING, "address", DEVICE.address, ...peer);
}

/** What an attachment's device was called on the host. */
async function aliasIn(container: Container, ifname: string): Promise<string | undefined> {
  const { ifalias } = (await deviceIn(container, ifname)) ?? {};
  return ifalias;
}

await run("a namespace of the same path is another", async (t) => {
  const { host, container } = await makeStage(t);
  for (const late of ["DEL", "DEL, CNI_NETNS empty", "GC"]) {
    const old = host.containers.get("c1") ?? container;
    const config = deviceNetwork();
    const first = await attach(old, config);
    const record = "/run/weft/attachments/net/*:eth0:host-device";
    const { stdout: kept } = await host.exec("sh", ["-c", `echo ${record}; cat ${record}`]);
    await removeWithDevice(old);
    await addDevice(host); // anew, with the same name and MAC
    const reborn = await host.container("c1");
    const next = await attach(reborn, config, { containerId: "c9", ifname: "net1" });
    // as a DEL does that read it before the next ADD took it away
    const [path = "", ...text] = kept.split("\n");
    await host.exec("sh", ["-c", `cat > ${path}`], { input: text.join("\n") });

    const valid = [{ containerID: "c9", ifname: "net1" }];
    const call = { config, containerId: first.container.containerId, ifname: "eth0" };
    const netns = late === "DEL" ? reborn.path : "";
    const gc = { command: "GC", config: { ...config, [VALID]: valid } };
    silent(t, await host.cni("host-device", late === "GC" ? gc : { command: "DEL", ...call, netns }), late);
    t.equal(await aliasIn(reborn, "net1"), DEVICE.ifname, `${late}: the next keeps the device`);
    silent(t, await next.check(), `${late}: and its address`);
    silent(t, await next.del(), "its DEL");
    t.strictSame(await deviceIn(host), DEVICE);
    t.strictSame(await claimsOf(host), []);
  }
});

await run("a record of a device that was made anew goes with the next ADD", async (t) => {
  const { host, container } = await makeStage(t);
  const first = await attach(container, deviceNetwork());
  await removeWithDevice(container);
  await addDevice(host);
  const next = await attach(await host.container("c1"), deviceNetwork(), { ifname: "net1" });
  const records = (await claimsOf(host)).filter((path) => path.includes("host-device"));
  t.equal(records.length, 1, "one record");
  silent(t, await first.del(), "DEL of the first");
  silent(t, await next.check(), "takes nothing");
  silent(t, await next.del(), "DEL");
});

/** What becomes of the first device, and what its DEL must leave. */
const GONE: readonly (readonly [what: string, script: string, left: string])[] = [
  ["it is deleted", "ip -n c1 link del eth0", "eth1"],
  ["its end on the host is deleted", "ip link del far0", "eth1"],
  ["the other has its name", "ip -n c1 link del eth0; $c1 eth1 down; $c1 eth1 name eth0", "eth0"],
  ["the other has no alias", "ip -n c1 link del eth0; $c1 eth1 alias ''", "eth1"],
  ["the other has no record", "ip -n c1 link del eth0; rm /run/weft/attachments/net/*:eth1:*", "eth1"],
];

await run("a device of the same MAC is another", async (t) => {
  const stage = await makeStage(t);
  const { host, container } = stage;
  for (const [what, script, left] of GONE) {
    await addSibling(stage);
    const first = await attach(container, deviceNetwork());
    const second = await attach(container, deviceNetwork({ device: SIBLING }), { ifname: "eth1" });
    await host.exec("sh", ["-e", "-c", script.replaceAll("$c1", "ip -n c1 link set")]);
    silent(t, await first.del(), `${what}: DEL of the first`);
    t.ok(await deviceIn(container, left), `${what}: the second keeps its device`);
    silent(t, await second.del(), `${what}: DEL of the second`);
    t.match(await deviceIn(host, SIBLING), { ifalias: "" }, `${what}: which is called what it was`);
    t.strictSame(await claimsOf(host), []);
    await host.exec("sh", ["-c", `ip link del ${SIBLING}; ip link del ${DEVICE.ifname}`], { reject: false });
    await addDevice(host);
  }
});

await run("hwaddr does not fall back to a device of the same MAC", async (t) => {
  const stage = await makeStage(t);
  const { host, container } = stage;
  const config = deviceNetwork({ device: undefined, hwaddr: DEVICE.address });
  const first = await attach(container, config);
  await addSibling(stage);
  const second = await host.container("c2");
  const add = () => host.cni("host-device", { command: "ADD", config, container: second });
  const inUse = { code: 11, msg: /^device "wan0" is in use: container "c1-/ };
  const before = normalise(await host.snapshot());
  refused(t, await add(), inUse, "while a container has the first");
  await unchanged(t, host, before, "nothing has changed");
  await removeWithDevice(first.container);
  const next = await attach(second, config);
  t.equal(await aliasIn(second, "eth0"), SIBLING, "once that is gone there is no other");
  silent(t, await next.del(), "its DEL");
  silent(t, await first.del(), "DEL of the first");
  t.strictSame(await claimsOf(host), []);
});

function property(host: Host, verb: string, ...altnames: string[]) {
  const names = altnames.flatMap((name) => ["altname", name]);
  return host.exec("ip", ["link", "property", verb, "dev", DEVICE.ifname, ...names]);
}

await run("a device is known by its alternative names while a container has it", async (t) => {
  const { host, container } = await makeStage(t);
  const second = await host.container("c2");
  await property(host, "add", "wan", "a-name-that-is-very-long");
  for (const device of ["wan", "a-name-that-is-very-long"]) {
    const config = deviceNetwork({ device });
    const first = await attach(container, config);
    const add = { command: "ADD", config, container: second };
    refused(t, await host.cni("host-device", add), { code: 11, msg: /^device "wan0" is in use/ }, device);
    silent(t, await host.cni("host-device", { command: "STATUS", config }), "STATUS");
    await container.exec("ip", ["link", "set", "eth0", "netns", "host"]); // as the kernel does to hardware
    const next = await attach(second, config);
    t.equal(await aliasIn(second, "eth0"), DEVICE.ifname, "the next ADD makes it what it was before");
    silent(t, await first.del(), "DEL of the first");
    silent(t, await next.check(), "takes nothing");
    silent(t, await next.del(), "DEL");
    t.strictSame(await deviceIn(host), DEVICE);
  }
});

await run("DEL gives a device back without the alternative names that are another's", async (t) => {
  const { host, container } = await makeStage(t);
  await property(host, "add", "wan", "a-name-that-is-very-long", "port7");
  const made = await attach(container, deviceNetwork());
  await host.ip("link", "add", "wan", "type", "veth", "peer", "name", "far1");
  await host.exec("ip", ["link", "property", "add", "dev", "wan", "altname", "a-name-that-is-very-long"]);
  silent(t, await made.del(), "DEL");
  t.strictSame(await deviceIn(host), DEVICE);
  const [shown] = await host.ip("link", "show", "dev", DEVICE.ifname);
  t.strictSame(shown?.["altnames"], ["port7"], "it keeps the others");
  t.strictSame(await claimsOf(host), []);
});

await run("an alternative name that is in the way is refused", async (t) => {
  const { host, container } = await makeStage(t);
  await property(host, "add", "eth0");
  const add = () => host.cni("host-device", { command: "ADD", config: deviceNetwork(), container });
  const before = normalise(await host.snapshot());
  const own = {
    code: 4,
    msg: 'device "wan0" has the alternative name "eth0", which is to be its name there',
  };
  refused(t, await add(), { ...own, details: /ip link property del dev wan0 altname eth0$/ }, "CNI_IFNAME");
  await unchanged(t, host, before, "nothing has changed");
  await property(host, "del", "eth0");

  await property(host, "add", "wan");
  await container.ip("link", "add", "wan", "type", "veth", "peer", "name", "x0");
  const taken = normalise(await host.snapshot());
  const another = { code: 4, msg: /^device "wan0" has the alternative name "wan", which another interface/ };
  refused(t, await add(), { ...another, details: /altname wan$/ }, "another's");
  await unchanged(t, host, taken, "nothing has changed");
});

await run("DEL releases the addresses also where the device cannot be moved", async (t) => {
  const { host, container } = await makeStage(t);
  const made = await attach(container, deviceNetwork());
  // no lock can be had
  await host.exec("sh", ["-c", "rm -r /run/weft/locks/host-devices; mkdir /run/weft/locks/host-devices"]);
  t.equal((await made.del()).code, 1, "DEL says so");
  const [record = "", ...leases] = await claimsOf(host);
  t.match(record, /:eth0:host-device$/, "the record stays");
  t.strictSame(leases, [], "no lease does");
  await host.exec("rmdir", ["/run/weft/locks/host-devices"]);
  silent(t, await made.del(), "the next DEL");
  t.strictSame(await deviceIn(host), DEVICE);
  t.strictSame(await claimsOf(host), []);
});
