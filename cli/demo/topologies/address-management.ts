/** T15: which addresses containers get, and who says so. */
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import type { Endpoint } from "../endpoint.ts";
import { FOREIGN_PLUGINS_DIR, look } from "../look.ts";
import { proveAddresses } from "../proofs.ts";
import type { Stage } from "../stage.ts";
import type { Topology } from "../topology.ts";

const RANGE = `{ "cniVersion": "1.1.0", "name": "net", "plugins": [
  { "type": "bridge", "bridge": "br-net", "isDefaultGateway": true,
    "mtu": 1400, "capabilities": { "ips": true },
    "ipam": { "type": "host-local",
              "ranges": [ [{ "subnet": "10.150.0.0/24",
                             "gateway": "10.150.0.254",
                             "rangeStart": "10.150.0.10",
                             "rangeEnd": "10.150.0.12" }] ] } }
] }`;

const TWO_RANGES = `{ "cniVersion": "1.1.0", "name": "blue", "plugins": [
  { "type": "bridge", "bridge": "br-blue", "isDefaultGateway": true,
    "ipam": { "type": "host-local",
              "ranges": [ [{ "subnet": "10.151.0.0/24" }],
                          [{ "subnet": "fd00:151::/64" }] ] } }
] }`;

const FOREIGN = `{ "cniVersion": "1.1.0", "name": "other", "plugins": [
  { "type": "bridge", "bridge": "br-other", "isGateway": true,
    "ipam": { "type": "one-address" } }
] }`;

/** An IPAM plugin of anybody's, in the language of anybody's. */
const ONE_ADDRESS = `#!/bin/sh
echo $CNI_COMMAND $CNI_IFNAME >> /run/weft-demo/calls
[ $CNI_COMMAND = ADD ] && echo '{ "cniVersion": "1.1.0", "ips": [
  { "address": "10.152.0.9/24", "gateway": "10.152.0.1" } ] }'
exit 0`;

export const addressManagement: Topology = {
  name: "T15",
  title: "addresses: docker network create --ip-range; docker run --ip",
  story:
    "A plugin of its own says which address a container gets. weft has host-local, static and etcd-ipam; " +
    "any other that keeps to the specification does as well.",
  show,
};

function show(stage: Stage): void {
  showRange(stage);
  showTwoRanges(stage);
  showForeign(stage);
}

function showRange(stage: Stage): void {
  const { narrator } = stage;
  narrator.step("--subnet --gateway --ip-range --opt mtu: three addresses of a subnet");
  stage.network(RANGE);
  for (const name of ["web", "db", "cache"]) stage.sandbox(name);
  const web = stage.connect("web", "net");
  proveAddress(stage, web, "10.150.0.10/24");
  const mtu = /mtu (\d+)/.exec(look("ip -n web link show eth0").stdout)?.[1];
  narrator.proof(`its MTU is ${mtu}`, { holds: mtu === "1400" });
  stage.ping("web", ["10.150.0.254"], { because: "the gateway that was asked for" });

  narrator.step("docker run --ip: a certain one; and one that is taken is refused by name");
  const db = stage.connect("db", "net", { words: ["--ip", "10.150.0.12"] });
  proveAddress(stage, db, "10.150.0.12/24");
  proveRefusal(stage, "weft add net cache --ip 10.150.0.10", "10.150.0.10");

  narrator.step("The last one; then there are none");
  const cache = stage.connect("cache", "net");
  proveAddress(stage, cache, "10.150.0.11/24");
  stage.draw();
  stage.sandbox("late");
  proveRefusal(stage, "weft add net late", "10.150.0.10-10.150.0.12");
  stage.disconnect(cache);
  const late = stage.connect("late", "net");
  proveAddress(stage, late, "10.150.0.11/24");
}

function showTwoRanges(stage: Stage): void {
  const { narrator } = stage;
  narrator.step("Two ranges: an address of each");
  stage.network(TWO_RANGES);
  stage.sandbox("both");
  const both = stage.connect("both", "blue");
  narrator.proof(`both got ${both.addresses.join(" and ")}`, { holds: both.addresses.length === 2 });
  proveAddresses(stage, both);
  stage.ping("both", both.bridgeAddresses);
}

function showForeign(stage: Stage): void {
  const { narrator } = stage;
  narrator.step("A plugin that somebody else wrote: one-address, on CNI_PATH");
  mkdirSync(FOREIGN_PLUGINS_DIR, { recursive: true });
  writeFileSync(`${FOREIGN_PLUGINS_DIR}/one-address`, `${ONE_ADDRESS}\n`);
  chmodSync(`${FOREIGN_PLUGINS_DIR}/one-address`, 0o755);
  narrator.say("  one-address");
  narrator.listing(ONE_ADDRESS.split("\n"));
  stage.network(FOREIGN);
  stage.sandbox("guest");
  const guest = stage.connect("guest", "other");
  proveAddress(stage, guest, "10.152.0.9/24");
  stage.ping("guest", guest.bridgeAddresses);
  stage.disconnect(guest);
  const calls = stage.run("cat /run/weft-demo/calls").trim().split("\n");
  narrator.proof("it was called to give the address and to take it back", {
    holds: calls.join() === "ADD eth0,DEL eth0",
  });
}

function proveAddress(stage: Stage, endpoint: Endpoint, expected: string): void {
  const { sandbox, addresses } = endpoint;
  stage.narrator.proof(`${sandbox} was given ${addresses.join(" and ")}`, {
    holds: addresses.join() === expected,
  });
  proveAddresses(stage, endpoint);
}

/** The command fails, says this, and changes nothing. */
function proveRefusal(stage: Stage, command: string, told: string): void {
  const { narrator } = stage;
  const before = stage.remains();
  narrator.command(command);
  const { status, stderr } = look(command);
  narrator.output(stderr);
  narrator.proof(`exit status ${status}, and it names ${told}`, {
    holds: status === 2 && stderr.includes(told),
  });
  stage.proveUnchanged(before, "nothing has changed");
}
