/**
 * firewall beside a firewalld that runs: the container's addresses are sources of its zone, as the reference
 * makes them, and what firewalld has no word for is in a packet filter.
 */
import t, { type Test } from "tap";
import { attach, bridgeNetwork } from "./fixtures/attachment.ts";
import { firewalldRoots, startFirewalld } from "./fixtures/firewalld.ts";
import { makeHost } from "./fixtures/host.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import type { PluginOutcome } from "./fixtures/plugin-call.ts";
import { refused, silent } from "./fixtures/refusal.ts";
import { referencePlugins } from "./reference.ts";

const TIMEOUT_MS = 120_000;
t.setTimeout(3 * TIMEOUT_MS);
const SUBNETS = ["10.61.0.0/24", "fd00:61::/64"];
const SOURCES = ["10.61.0.2/32", "fd00:61::2/128"];

const { roots, missing: noFirewalld } = await firewalldRoots();
const lacks = (await missing("bridge", "nf_tables")) ?? noFirewalld;

/** A host with firewalld, a container on a bridge, and calls of firewall for it. */
async function makeStage(t: Test) {
  const host = await makeHost(t);
  const firewalld = await startFirewalld(host, roots);
  const attachment = await attach(await host.container("c1"), bridgeNetwork("net", SUBNETS));
  const { container, result: prevResult } = attachment;
  const firewall = (command: string, keys: object = {}, dir?: string): Promise<PluginOutcome> => {
    const version = { cniVersion: "1.0.0" };
    const config = {
      ...version,
      name: "net",
      type: "firewall",
      prevResult: { ...prevResult, ...version },
      ...keys,
    };
    return host.cni("firewall", { command, config, container, ...(dir && { dir }) });
  };
  return { host, firewalld, attachment, firewall };
}

await t.test("addresses are sources of the zone", { timeout: TIMEOUT_MS }, async (t) => {
  if (lacks) return skip(t, lacks);
  const { host, firewalld, firewall } = await makeStage(t);
  t.strictSame((await firewall("ADD")).code, 0, "ADD without a backend takes the firewalld that runs");
  t.strictSame(await firewalld.sources("trusted"), SOURCES, "each address is a source");
  const tables = (await host.exec("nft", ["list", "tables"])).stdout.trim();
  t.equal(tables, "table inet firewalld", "and no packet filter has anything else");
  silent(t, await firewall("CHECK"), "CHECK finds them");
  t.equal((await firewall("ADD")).code, 0, "ADD again finds them there");

  await firewalld.removeSource("trusted", "fd00:61::2/128");
  const gone = "failed to find the address fd00:61::2/128 in trusted zone";
  refused(t, await firewall("CHECK"), { code: 100, msg: gone }, "CHECK tells which one is gone");
  silent(t, await firewall("DEL"), "DEL removes those that are left");
  t.strictSame(await firewalld.sources("trusted"), [], "and none stays");
  silent(t, await firewall("DEL"), "DEL again");

  await firewall("ADD");
  await firewalld.reload();
  refused(
    t,
    await firewall("CHECK"),
    { code: 100, msg: /10\.61\.0\.2\/32/ },
    "a reload drops them, and CHECK says so",
  );
  silent(t, await firewall("DEL"), "which is all the same to DEL");
});

await t.test("zones", { timeout: TIMEOUT_MS }, async (t) => {
  if (lacks) return skip(t, lacks);
  const { firewalld, firewall } = await makeStage(t);
  await firewall("ADD", { firewalldZone: "internal" });
  t.strictSame(await firewalld.sources("internal"), SOURCES, "the zone that was asked for has them");
  silent(t, await firewall("DEL"), "DEL of another configuration");
  t.strictSame(await firewalld.sources("internal"), [], "goes by what ADD did");

  const unknown = { code: 7, msg: 'firewalld has no zone "nope"', details: /--get-zones/ };
  refused(t, await firewall("ADD", { firewalldZone: "nope" }), unknown, "a zone that there is not");
  await firewalld.addSource("public", "fd00:61::2/128");
  const taken = { msg: "failed to add the address fd00:61::2/128 to trusted zone", details: /ZONE_CONFLICT/ };
  refused(t, await firewall("ADD"), taken, "an address that another zone has");
  t.strictSame(await firewalld.sources("trusted"), [], "the ADD that failed leaves none behind");
  t.strictSame(await firewalld.sources("public"), ["fd00:61::2/128"], "and takes nothing of others");
});

await t.test("policies need a packet filter besides", { timeout: TIMEOUT_MS }, async (t) => {
  if (lacks) return skip(t, lacks);
  const { host, firewalld, firewall } = await makeStage(t);
  const policy = { ingressPolicy: "same-bridge", backend: "firewalld" };
  await firewall("ADD", policy);
  t.strictSame(await firewalld.sources("trusted"), SOURCES, "sources");
  const { stdout } = await host.exec("nft", ["list", "set", "inet", "weft", "isolated"]);
  t.match(stdout, /"cni0" comment "net"/, "and the bridge is isolated");
  silent(t, await firewall("CHECK", policy), "CHECK finds both");
  await host.exec("nft", ["flush", "set", "inet", "weft", "isolated"]);
  refused(t, await firewall("CHECK", policy), { code: 100, msg: /isolated/ }, "or what is missing of them");
  silent(t, await firewall("DEL", policy), "DEL");
  t.strictSame(await firewalld.sources("trusted"), [], "removes both");
});

await t.test("firewalld that does not run", { timeout: TIMEOUT_MS }, async (t) => {
  if (lacks) return skip(t, lacks);
  const { host, firewalld, firewall } = await makeStage(t);
  await firewall("ADD");
  const env = { DBUS_SYSTEM_BUS_ADDRESS: "unix:path=/run/nobody" };
  const config = { cniVersion: "1.1.0", name: "net", type: "firewall", backend: "firewalld" };
  const absent = { code: 50, msg: "firewalld is not running", details: /unix:path=\/run\/nobody/ };
  refused(
    t,
    await host.cni("firewall", { command: "STATUS", config, env }),
    absent,
    "STATUS, by another bus",
  );
  silent(t, await host.cni("firewall", { command: "STATUS", config }), "STATUS, by its own");
  t.strictSame(await firewalld.sources("trusted"), SOURCES, "STATUS changes nothing");
});

for (const { version, dir, missing: noReference } of await referencePlugins()) {
  await t.test(`beside the reference plugin ${version}`, { timeout: TIMEOUT_MS }, async (t) => {
    const reason = lacks ?? noReference;
    if (reason) return skip(t, reason);
    const { firewalld, firewall } = await makeStage(t);
    t.equal((await firewall("ADD", {}, dir)).code, 0, "what the reference adds");
    t.strictSame(await firewalld.sources("trusted"), SOURCES, "is what ours adds");
    silent(t, await firewall("DEL"), "and our DEL removes");
    t.strictSame(await firewalld.sources("trusted"), [], "all of it");
    t.equal((await firewall("ADD")).code, 0, "what ours adds");
    t.equal((await firewall("CHECK", {}, dir)).code, 0, "the reference's CHECK finds");
    t.equal((await firewall("DEL", {}, dir)).code, 0, "and its DEL removes");
    t.strictSame(await firewalld.sources("trusted"), [], "all of it");
  });
}
