/**
 * internal: containers of macvlan and ipvlan reach each other over a link that leads nowhere, made with the
 * first of them and gone with the last. Nothing of theirs is on any wire.
 */
import t from "tap";
import { attach, type NetworkConfig } from "./fixtures/attachment.ts";
import type { Host } from "./fixtures/host.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { normalise } from "./fixtures/normalise.ts";
import { refused, silent } from "./fixtures/refusal.ts";
import { remains } from "./fixtures/remains.ts";
import { makeUnderlay } from "./fixtures/underlay.ts";

const TIMEOUT_MS = 240_000;
t.setTimeout(3 * TIMEOUT_MS);
const ipam = { type: "host-local", ranges: [[{ subnet: "10.40.0.0/24" }], [{ subnet: "fd00:40::/64" }]] };

async function dummies(host: Host): Promise<string[]> {
  return (await host.ip("link", "show", "type", "dummy")).map(({ ifname }) => ifname);
}

for (const type of ["macvlan", "ipvlan"] as const) {
  const lacks = await missing("dummy", type);
  await t.test(`${type}: a network of its own`, { timeout: TIMEOUT_MS }, async (t) => {
    if (lacks) return skip(t, lacks);
    const { host, wire, outside } = await makeUnderlay(t);
    const names = ["c1", "c2", "c3", "c4"];
    const [one, two, three, four] = await Promise.all(names.map((name) => host.container(name)));
    if (!one || !two || !three || !four) throw new Error("No containers");
    const before = normalise(await host.snapshot());
    const config: NetworkConfig = { cniVersion: "1.1.0", name: "net", type, internal: true, ipam };
    const capture = await wire.capture("switch0", "");
    const c1 = await attach(one, config);
    const c2 = await attach(two, config);
    const [parent, ...others] = await dummies(host);
    t.ok(parent, "the host has a dummy");
    t.strictSame(others, [], "which both share");
    const reached = await one.answering([...c2.addresses, outside.address4, outside.hostAddress4]);
    t.strictSame(reached, c2.addresses, "containers reach each other, and nothing else");
    t.strictSame(await two.answering(c1.addresses), c1.addresses, "both ways");
    const defaults = [...(await one.ip("-4", "route", "show", "default"))];
    t.strictSame(defaults, [], "there is no default route");

    const apart = { type: "host-local", ranges: [[{ subnet: "10.40.0.0/24", rangeStart: "10.40.0.100" }]] };
    const c3 = await attach(three, { ...config, name: "apart", ipam: apart });
    t.equal((await dummies(host)).length, 2, "another network has one of its own");
    t.strictSame(await one.answering(c3.addresses), [], "and they do not reach each other");

    silent(t, await c1.check(), "CHECK");
    silent(t, await c1.del(), "DEL of the first");
    const c4 = await attach(four, config);
    t.strictSame(await four.answering(c2.addresses), c2.addresses, "the others go on");
    await two.remove();
    silent(t, await c2.del(), "DEL with the namespace gone");
    silent(t, await c4.del(), "DEL of the last");
    t.equal((await dummies(host)).length, 1, "takes the network's dummy");
    const collect = { ...c3.config, "cni.dev/valid-attachments": [] };
    silent(t, await host.cni(type, { command: "GC", config: collect }), "GC of the other network");
    t.strictSame(await dummies(host), [], "takes the other");
    const left = remains(before, await host.snapshot());
    t.strictSame(
      left.filter((line) => !line.startsWith("networks.c2")),
      [],
      "nothing is left",
    );
    await outside.exec("ping", ["-c", "1", outside.hostAddress4]);
    await capture.frame(/192\.0\.2\.2 > 192\.0\.2\.1: ICMP echo request/);
    t.strictSame(
      capture.frames.filter((frame) => /10\.40\.0|fd00:40:/.test(frame)),
      [],
      "nothing got out",
    );
    await capture.stop();

    const bad = { ...config, ipam: { type: "static", addresses: [{ address: "x" }] } };
    const failed = await host.cni(type, { command: "ADD", container: one, config: bad });
    refused(t, failed, { msg: /./, details: /|./ }, "an ADD that fails");
    t.strictSame(await dummies(host), [], "takes its dummy back");
    silent(t, await host.cni(type, { command: "STATUS", config }), "STATUS needs no master");
  });
}
