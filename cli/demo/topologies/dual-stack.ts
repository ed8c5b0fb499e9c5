/** T13: IPv4 and IPv6 on one bridge. */
import { existsSync } from "node:fs";
import { look } from "../look.ts";
import { addressOf } from "../outside.ts";
import { proveAddresses, proveAnswers, proveCable, proveDefaultRoute } from "../proofs.ts";
import type { Stage } from "../stage.ts";
import type { Topology } from "../topology.ts";

const NETWORK = `{ "cniVersion": "1.1.0", "name": "dual", "plugins": [
  { "type": "bridge", "bridge": "br-dual", "isDefaultGateway": true,
    "ipMasq": true,
    "ipam": { "type": "host-local",
              "ranges": [ [{ "subnet": "172.18.0.0/16" }],
                          [{ "subnet": "fd00:172:18::/64" }] ] } }
] }`;

/** Of the server outside. */
const PORT = 7000;

export const dualStack: Topology = {
  name: "T13",
  title: 'IPv6: { "ipv6": true }',
  story:
    "A second range gives every endpoint an IPv6 address beside the IPv4 one, the bridge a gateway for both. " +
    "Nobody else can have the address, so that there is no second of waiting for duplicate detection. " +
    "What leaves the host is masqueraded in both families.",
  show,
};

async function show(stage: Stage): Promise<void> {
  const { narrator } = stage;
  if (!existsSync("/proc/sys/net/ipv6")) {
    narrator.say("Not shown: this kernel has no IPv6.");
    return;
  }
  narrator.step("A host in the world outside");
  const outside = await stage.outside({ ipv6: true });
  narrator.step("A network of two ranges");
  stage.network(NETWORK);
  narrator.step("Two sandboxes with an endpoint each");
  stage.sandbox("web");
  stage.sandbox("client");
  const web = stage.connect("web", "dual");
  const client = stage.connect("client", "dual");
  stage.ping("client", web.addresses, { because: "the first packet, at once" });
  stage.draw();
  stage.run("ip -n web -br addr");
  stage.run("ip -n web -6 route");

  narrator.step("Proof");
  for (const endpoint of [web, client]) {
    proveCable(stage, endpoint);
    proveAddresses(stage, endpoint);
    for (const family of [4, 6] as const) proveDefaultRoute(stage, endpoint, family);
  }
  const own = stage.interface("eth0", "web")?.addr_info ?? [];
  const waiting = own.filter(({ tentative, scope }) => tentative && scope === "global");
  narrator.proof("no address waits for duplicate detection", { holds: waiting.length === 0 });
  stage.ping("web", client.addresses);
  stage.ping("web", web.bridgeAddresses, { because: "the gateway" });
  for (const key of ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"]) {
    const value = look(`sysctl -n ${key}`).stdout.trim();
    narrator.proof(`${key} is ${value}`, { holds: value === "1" });
  }

  narrator.step("Proof of masquerading, in both families");
  stage.run("nft list set inet weft masq6");
  await stage.serve(outside.name, [`${PORT}/tcp`]);
  const questions = outside.addresses.map(addressOf).map((address, i) => {
    return { address, port: PORT, by: outside.name, seen: addressOf(outside.hostAddresses[i] ?? "") };
  });
  proveAnswers(stage, "web", ...questions);
}
