/** T1: the network a container of Docker's is on when nobody says otherwise. */
import { containsAddress, networkOf, parsePrefix } from "../../../lib/netaddr/prefix.ts";
import { look, lookJson } from "../look.ts";
import { addressOf } from "../outside.ts";
import { proveAddresses, proveAnswers, proveCable, proveDefaultRoute } from "../proofs.ts";
import type { Stage } from "../stage.ts";
import type { Topology } from "../topology.ts";

const NETWORK = `{ "cniVersion": "1.1.0", "name": "docker0", "plugins": [
  { "type": "bridge", "bridge": "docker0", "isDefaultGateway": true,
    "ipMasq": true,
    "ipam": { "type": "host-local",
              "ranges": [ [{ "subnet": "172.17.0.0/16" }] ] } }
] }`;

/** Of the server outside. */
const PORT = 7000;

export const defaultBridge: Topology = {
  name: "T1",
  title: "the default bridge: docker run",
  story:
    "A veth pair is a cable: one end is eth0 in the container, the other is plugged into the bridge docker0. " +
    "The bridge's own address is the containers' gateway, and the host forwards from there. Nobody outside " +
    "knows the containers' subnet: what leaves the host gets the host's address, which is masquerading.",
  show,
};

async function show(stage: Stage): Promise<void> {
  const { narrator } = stage;
  narrator.step("A host in the world outside, at the other end of this host's cable");
  const outside = await stage.outside();
  narrator.step("A network");
  stage.network(NETWORK);
  narrator.step("Two sandboxes, as Docker makes one for each container");
  stage.sandbox("web");
  stage.sandbox("client");
  narrator.step("An endpoint for each, and how to make it by hand");
  const web = stage.connect("web", "docker0");
  const client = stage.connect("client", "docker0");
  stage.draw();

  narrator.step("What there is now");
  stage.run("ip -n web -br addr");
  stage.run("ip -n web route");
  stage.run(`ip link show ${web.hostEnd}`);
  stage.run("bridge link");
  narrator.step("Masquerading: one rule, iifname . ip saddr @masq4, and an element for each");
  stage.run("nft list set inet weft masq4");

  narrator.step("Proof");
  const [gateway = ""] = web.bridgeAddresses;
  for (const endpoint of [web, client]) {
    proveCable(stage, endpoint);
    proveAddresses(stage, endpoint);
    proveDefaultRoute(stage, endpoint, 4);
  }
  const subnet = networkOf(parsePrefix(gateway));
  const inSubnet = web.addresses.every((text) => containsAddress(subnet, parsePrefix(text).address));
  narrator.proof(`${web.addresses.join(", ")} is an address of 172.17.0.0/16`, { holds: inSubnet });
  stage.ping("web", client.addresses, { because: "container to container" });
  stage.ping("client", web.addresses);
  stage.ping("web", web.bridgeAddresses, { because: "the gateway, which is the host" });
  const entries = lookJson<{ mac: string; ifname: string }>("bridge -j fdb show br docker0");
  const learned = entries.some(({ mac, ifname }) => mac === web.mac && ifname === web.hostEnd);
  narrator.proof(`docker0 has learned that ${web.mac} is on port ${web.hostEnd}`, { holds: learned });
  const forwarding = look("sysctl -n net.ipv4.ip_forward").stdout.trim();
  narrator.proof(`net.ipv4.ip_forward is ${forwarding}: the host forwards`, { holds: forwarding === "1" });

  narrator.step("Proof of masquerading: a server outside tells whom it sees");
  await stage.serve(outside.name, [`${PORT}/tcp`, `${PORT}/udp`]);
  const [node = ""] = outside.hostAddresses.map(addressOf);
  const [address = ""] = outside.addresses.map(addressOf);
  const question = { address, port: PORT, by: outside.name, seen: node, because: "the host" };
  proveAnswers(stage, "web", { ...question, protocol: "tcp" }, { ...question, protocol: "udp" });
  stage.ping(outside.name, web.addresses, { answers: false, because: "nobody there knows the way in" });
}
