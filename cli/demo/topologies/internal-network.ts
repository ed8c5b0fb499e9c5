/** T14: a network with no way out, and one whose containers do not reach each other. */
import { addressOf } from "../outside.ts";
import { proveAnswers } from "../proofs.ts";
import type { Stage } from "../stage.ts";
import type { Topology } from "../topology.ts";

const PORT = 80;

const VAULT = `{ "cniVersion": "1.1.0", "name": "vault", "plugins": [
  { "type": "bridge", "bridge": "br-vault", "isDefaultGateway": true,
    "ipam": { "type": "host-local",
              "ranges": [ [{ "subnet": "10.80.0.0/24" }] ] } },
  { "type": "firewall", "internal": true }
] }`;

const TENANTS = `{ "cniVersion": "1.1.0", "name": "tenants", "plugins": [
  { "type": "bridge", "bridge": "br-tenants", "isDefaultGateway": true,
    "ipMasq": true,
    "ipam": { "type": "host-local",
              "ranges": [ [{ "subnet": "10.90.0.0/24" }] ] } },
  { "type": "portmap", "capabilities": { "portMappings": true } },
  { "type": "firewall", "icc": false }
] }`;

export const internalNetwork: Topology = {
  name: "T14",
  title: "docker network create --internal; enable_icc=false",
  story:
    "Nothing is forwarded between an internal network and anything else. On a network with inter-container " +
    "communication off (com.docker.network.bridge.enable_icc=false) the containers have the world, but not " +
    "each other, except by a port that one of them publishes.",
  show,
};

async function show(stage: Stage): Promise<void> {
  const { narrator } = stage;
  narrator.step("A host in the world outside, which is told the way to the containers");
  const outside = await stage.outside();
  const [world = ""] = outside.addresses.map(addressOf);
  const [node = ""] = outside.hostAddresses.map(addressOf);
  stage.run(`ip -n ${outside.name} route add 10.80.0.0/24 via ${node}`);
  await stage.serve(outside.name, [`${PORT}/tcp`]);

  narrator.step("An internal network: a store and a cache");
  stage.network(VAULT);
  for (const sandbox of ["store", "cache"]) stage.sandbox(sandbox);
  const store = stage.connect("store", "vault");
  const cache = stage.connect("cache", "vault");
  narrator.byHand([
    "iptables -I FORWARD -i br-vault ! -o br-vault -j DROP",
    "iptables -I FORWARD ! -i br-vault -o br-vault -j DROP",
  ]);
  narrator.step("A network whose containers are kept from each other: blue and green");
  stage.network(TENANTS);
  for (const sandbox of ["blue", "green"]) stage.sandbox(sandbox);
  const ports = [{ hostPort: 8080, containerPort: PORT, protocol: "tcp" }] as const;
  const blue = stage.connect("blue", "tenants", { ports });
  const green = stage.connect("green", "tenants");
  narrator.byHand([
    "sysctl -w net.bridge.bridge-nf-call-iptables=1",
    "iptables -I FORWARD -i br-tenants -o br-tenants -j DROP",
    "iptables -I FORWARD -m conntrack --ctstate DNAT -j ACCEPT",
  ]);
  stage.draw();
  narrator.step("What weft has");
  for (const map of ["pairs", "leaving", "entering"]) stage.run(`nft list map inet weft ${map}`);

  narrator.step("Proof of the internal network");
  await stage.serve("store", [`${PORT}/tcp`]);
  const [inside = ""] = store.addresses.map(addressOf);
  proveAnswers(stage, "cache", {
    address: inside,
    port: PORT,
    by: "store",
    because: "container to container",
  });
  stage.ping("store", cache.addresses);
  proveAnswers(stage, "store", { address: world, port: PORT, because: "no way out" });
  proveAnswers(stage, outside.name, { address: inside, port: PORT, because: "and none in" });

  narrator.step("Proof of icc off");
  await stage.serve("blue", [`${PORT}/tcp`]);
  const [own = ""] = blue.addresses.map(addressOf);
  stage.ping("blue", green.addresses, { answers: false, because: "container to container" });
  proveAnswers(
    stage,
    "green",
    { address: own, port: PORT, because: "nor the other way" },
    { address: inside, port: PORT, because: "and not the internal network" },
    { address: node, port: 8080, by: "blue", because: "by the published port" },
    { address: world, port: PORT, by: outside.name, because: "the world, too" },
  );
  proveAnswers(stage, outside.name, { address: node, port: 8080, by: "blue", seen: world });
}
