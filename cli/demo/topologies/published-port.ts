/** T7: ports of the host that lead to a container. */
import type { PortMapping } from "../equivalent-nat.ts";
import { look } from "../look.ts";
import { addressOf } from "../outside.ts";
import { proveAnswers } from "../proofs.ts";
import { publishing, type Stage } from "../stage.ts";
import type { Topology } from "../topology.ts";

const NETWORK = `{ "cniVersion": "1.1.0", "name": "shop", "plugins": [
  { "type": "bridge", "bridge": "br-shop", "isDefaultGateway": true,
    "ipMasq": true,
    "ipam": { "type": "host-local",
              "ranges": [ [{ "subnet": "10.70.0.0/24" }] ] } },
  { "type": "portmap", "capabilities": { "portMappings": true } }
] }`;

/** A second address of the host, on which one port alone is published. */
const SECOND_ADDRESS = "192.0.2.70";

const PORTS: readonly PortMapping[] = [
  { hostPort: 8080, containerPort: 80, protocol: "tcp" },
  { hostPort: 5353, containerPort: 53, protocol: "udp" },
  { hostPort: 8443, containerPort: 443, protocol: "tcp", hostIP: SECOND_ADDRESS },
];

export const publishedPort: Topology = {
  name: "T7",
  title: "published ports: docker run --publish 8080:80",
  story:
    "What comes for port 8080 of the host gets the container's address and port for its destination. Docker " +
    "does that by a rule a port, and for what rules do not reach it has a process, docker-proxy; weft has one " +
    "rule for all ports, which looks into a map, and no process.",
  show,
};

async function show(stage: Stage): Promise<void> {
  const { narrator } = stage;
  narrator.step("A host in the world outside; this host has two addresses");
  const outside = await stage.outside();
  stage.run(`ip addr add ${SECOND_ADDRESS}/24 dev ${outside.uplink}`);
  narrator.step("A network whose runtime may publish ports");
  stage.network(NETWORK);
  narrator.step("docker run -p 8080:80 -p 5353:53/udp -p 192.0.2.70:8443:443");
  stage.sandbox("web");
  stage.sandbox("peer");
  const web = stage.connect("web", "shop", { ports: PORTS });
  const peer = stage.connect("peer", "shop");
  stage.draw();

  narrator.step("The maps that the rules look into: an element for each port");
  for (const map of ["port4", "hostport4"]) stage.run(`nft list map inet weft ${map}`);

  narrator.step("Proof: who reaches the container, and whom it sees");
  await stage.serve("web", ["80/tcp", "53/udp", "443/tcp", "81/tcp"]);
  const [node = ""] = outside.hostAddresses.map(addressOf);
  const [client = ""] = outside.addresses.map(addressOf);
  const [gateway = ""] = web.bridgeAddresses.map(addressOf);
  const by = "web";
  const tcp = { address: node, port: 8080, by };
  const udp = { protocol: "udp", address: node, port: 5353, by } as const;
  const asItIs = { seen: client, because: "the client as it is" };
  const asHost = { seen: gateway };
  proveAnswers(stage, outside.name, { ...tcp, ...asItIs }, { ...udp, ...asItIs });
  proveAnswers(
    stage,
    "host",
    { ...tcp, because: "by its own address" },
    { ...tcp, ...asHost, address: "127.0.0.1", because: "by localhost" },
    { ...udp, ...asHost, address: "127.0.0.1" },
  );
  proveAnswers(stage, "peer", { ...tcp, ...asHost, because: "a container beside it" }, { ...udp, ...asHost });
  proveAnswers(stage, "web", { ...tcp, ...asHost, because: "the container itself" }, { ...udp, ...asHost });

  narrator.step("hostIP: on one address alone; and what is not published is closed");
  proveAnswers(
    stage,
    outside.name,
    { address: SECOND_ADDRESS, port: 8443, by, seen: client },
    { address: node, port: 8443, because: "not its hostIP" },
    { address: node, port: 81, because: "a port of the container that is not published" },
    { ...udp, port: 8080, by: undefined, because: "the other protocol" },
  );

  proveRefusal(stage);
  narrator.step("Somebody empties the packet filter, and weft puts back what is missing");
  stage.run("nft flush ruleset");
  proveAnswers(stage, outside.name, { address: node, port: 8080 });
  stage.run("weft restore");
  proveAnswers(stage, outside.name, { ...tcp, seen: client });

  narrator.step("The container goes, and its ports with it");
  stage.disconnect(web);
  proveAnswers(stage, outside.name, { address: node, port: 8080 });
  stage.ping("peer", peer.bridgeAddresses, { because: "the network is as it was" });
}

/** Two containers cannot have one port. */
function proveRefusal(stage: Stage): void {
  const { narrator } = stage;
  narrator.step("A second container that asks for the same port is told who has it");
  const command = "weft add shop peer --ifname eth1";
  const ports = [{ hostPort: 8080, containerPort: 8080, protocol: "tcp" }] as const;
  const { shown, variables } = publishing(command, ports);
  const before = stage.remains();
  narrator.command(shown);
  const { status, stderr } = look(command, variables);
  narrator.output(stderr);
  narrator.proof(`exit status ${status}`, { holds: status === 2 });
  stage.proveUnchanged(before, "nothing has changed");
}
