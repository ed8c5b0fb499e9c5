/** VLANs on a bridge: what its ports carry, who reaches whom, and the host's gateway in a VLAN. */
import t, { type Test } from "tap";
import { type Container, type Host, makeHost } from "./fixtures/host.ts";
import { missing, skip } from "./fixtures/kernel.ts";

interface PortVlans {
  ifname: string;
  vlans: { vlan: number; vlanEnd?: number; flags?: string[] }[];
}

const TIMEOUT_MS = 180_000; // the second kernel runs on an emulated processor

function config(extra: object, ipam: object = {}) {
  return { cniVersion: "1.1.0", name: "net", type: "bridge", bridge: "br0", ipam, ...extra };
}

/** Adds a container with an address of its own in 10.8.0.0/24. */
async function connect(t: Test, host: Host, name: string, { extra, last }: { extra: object; last: number }) {
  const container = await host.container(name);
  const ipam = { type: "static", addresses: [{ address: `10.8.0.${last}/24` }] };
  const call = { config: config(extra, ipam), container };
  const { code, stdout, result } = await host.cni("bridge", { ...call, command: "ADD" });
  t.equal(code, 0, `ADD of ${name}`, { stdout });
  const port = result?.interfaces?.[1]?.name ?? "";
  return { container, call, result, port };
}

async function vlansOf(host: Host, ifname: string): Promise<string[]> {
  const ports = await host.bridge<PortVlans>("vlan", "show");
  const vlans = ports.find((port) => port.ifname === ifname)?.vlans ?? [];
  return vlans.map(({ vlan, vlanEnd, flags = [] }) =>
    [vlanEnd === undefined ? vlan : `${vlan}-${vlanEnd}`, ...flags].join(" "),
  );
}

async function isFiltering(host: Host): Promise<unknown> {
  return (await host.link("br0")).linkinfo?.info_data?.["vlan_filtering"];
}

async function reaches(from: Container, last: number): Promise<boolean> {
  return from.ping(`10.8.0.${last}`, { waitSeconds: 3 });
}

const reason = await missing("bridge vlan_filtering", "8021q");
if (reason) skip(t, reason);
else {
  t.setTimeout(5 * TIMEOUT_MS);
  await t.test("vlan: containers of one VLAN reach each other, of two they do not", async (t) => {
    const host = await makeHost(t);
    const a = await connect(t, host, "a", { extra: { vlan: 10, preserveDefaultVlan: false }, last: 2 });
    const b = await connect(t, host, "b", { extra: { vlan: 10, preserveDefaultVlan: false }, last: 3 });
    const c = await connect(t, host, "c", { extra: { vlan: 20, preserveDefaultVlan: false }, last: 4 });
    t.equal(await isFiltering(host), 1, "the bridge filters VLANs");
    t.same(
      await vlansOf(host, a.port),
      ["10 PVID Egress Untagged"],
      "the port has that VLAN alone, untagged",
    );
    t.same(await vlansOf(host, c.port), ["20 PVID Egress Untagged"]);
    t.ok(await reaches(a.container, 3), "one VLAN");
    t.notOk(await reaches(a.container, 4), "two VLANs");
    t.notOk(await reaches(c.container, 2), "nor the other way");

    const check = { ...a.call, config: { ...a.call.config, prevResult: a.result }, command: "CHECK" };
    t.equal((await host.cni("bridge", check)).code, 0, "CHECK finds all as it was");
    await host.exec("bridge", ["vlan", "del", "dev", a.port, "vid", "10"]);
    const { error } = await host.cni("bridge", check);
    t.match(error?.msg ?? "", /VLAN 10/, "CHECK names a VLAN that is gone");
    for (const { call } of [a, b, c]) {
      t.equal((await host.cni("bridge", { ...call, command: "DEL" })).code, 0);
    }
  });

  await t.test("preserveDefaultVlan: by default the bridge's own VLAN stays on the port", async (t) => {
    const host = await makeHost(t);
    const { port } = await connect(t, host, "a", { extra: { vlan: 10 }, last: 2 });
    t.same(await vlansOf(host, port), ["1 Egress Untagged", "10 PVID Egress Untagged"]);
  });

  await t.test("vlanTrunk: the port carries the VLANs, tagged", async (t) => {
    const host = await makeHost(t);
    const vlanTrunk = [{ minID: 100, maxID: 102 }, { id: 7 }];
    const a = await connect(t, host, "a", { extra: { vlanTrunk, preserveDefaultVlan: false }, last: 2 });
    t.same(await vlansOf(host, a.port), ["7", "100-102"]);
    const b = await connect(t, host, "b", { extra: { vlan: 101, preserveDefaultVlan: false }, last: 3 });
    const { container } = a;
    await container.exec("ip", [
      "link",
      "add",
      "link",
      "eth0",
      "name",
      "tagged",
      "type",
      "vlan",
      "id",
      "101",
    ]);
    await container.exec("ip", ["addr", "flush", "dev", "eth0"]);
    await container.exec("ip", ["addr", "add", "10.8.0.2/24", "dev", "tagged"]);
    await container.exec("ip", ["link", "set", "tagged", "up"]);
    t.ok(await reaches(container, 3), "a tagged frame reaches the port of that VLAN");
    t.ok(await reaches(b.container, 2), "and is answered");
  });

  await t.test("a bridge that was there without filtering filters from then on", async (t) => {
    const host = await makeHost(t);
    await host.exec("ip", ["link", "add", "br0", "type", "bridge"]);
    t.equal(await isFiltering(host), 0);
    const { port } = await connect(t, host, "a", {
      extra: { vlan: 10, preserveDefaultVlan: false },
      last: 2,
    });
    t.equal(await isFiltering(host), 1);
    t.same(await vlansOf(host, port), ["10 PVID Egress Untagged"]);
  });

  await t.test("vlan with isGateway: the host is the gateway through an interface of its own", async (t) => {
    const host = await makeHost(t);
    const extra = { vlan: 10, isGateway: true, preserveDefaultVlan: false };
    const a = await connect(t, host, "a", { extra, last: 2 });
    t.equal(a.result?.interfaces?.[3]?.name, "br0.10", "it is the result's fourth interface");
    const gateway = await host.link("br0.10");
    t.same(
      gateway.addr_info.filter(({ family }) => family === "inet").map(({ local }) => local),
      ["10.8.0.1"],
    );
    t.notOk(
      (await host.link("br0")).addr_info.some(({ local }) => local === "10.8.0.1"),
      "not on the bridge",
    );
    t.ok(await reaches(a.container, 1), "the container reaches its gateway");
    const c = await connect(t, host, "c", { extra: { vlan: 20, preserveDefaultVlan: false }, last: 4 });
    t.notOk(await reaches(c.container, 1), "one of another VLAN does not");

    await host.exec("ip", ["link", "set", "br0.10", "down"]);
    const b = await connect(t, host, "b", { extra, last: 3 });
    t.ok(await reaches(b.container, 1), "an ADD completes one that is not up");
    for (const { call } of [a, b, c]) await host.cni("bridge", { ...call, command: "DEL" });
    const gc = { ...config(extra), "cni.dev/valid-attachments": [] };
    t.equal((await host.cni("bridge", { command: "GC", config: gc })).code, 0);
    t.same(
      (await host.ip("link", "show")).map(({ ifname }) => ifname),
      ["lo"],
      "GC of an empty network removes the bridge and its gateway's interface",
    );
  });
}
