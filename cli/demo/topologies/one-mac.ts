/** T11: containers under the MAC of the host's interface. */
import type { Endpoint } from "../endpoint.ts";
import { missingModules } from "../link-kinds.ts";
import { look, lookJson } from "../look.ts";
import { addressOf, type Outside } from "../outside.ts";
import { proveAddresses } from "../proofs.ts";
import type { Stage } from "../stage.ts";
import type { Topology } from "../topology.ts";
import { proveKind, proveNeighbour } from "../underlay-proofs.ts";

const LAN = `{ "cniVersion": "1.1.0", "name": "lan", "plugins": [
  { "type": "ipvlan", "master": "eth0", "mode": "l2",
    "ipam": { "type": "host-local",
              "ranges": [ [{ "subnet": "192.0.2.0/24",
                             "rangeStart": "192.0.2.50",
                             "gateway": "192.0.2.9" }] ],
              "routes": [{ "dst": "0.0.0.0/0" }] } }
] }`;
const LEFT = routedText("left", 1);
const RIGHT = routedText("right", 2);

function routedText(name: string, subnet: number): string {
  return `{ "cniVersion": "1.1.0", "name": "${name}", "plugins": [
  { "type": "ipvlan", "master": "eth0", "mode": "l3",
    "ipam": { "type": "host-local",
              "ranges": [ [{ "subnet": "10.11.${subnet}.0/24" }] ],
              "routes": [{ "dst": "0.0.0.0/0" }] } }
] }`;
}

const L2 = { master: "eth0", type: "ipvlan mode l2" };
const L3 = { master: "eth0", type: "ipvlan mode l3" };

export const oneMac: Topology = {
  name: "T11",
  title: "one MAC, many addresses: docker network create -d ipvlan",
  story:
    "Where a switch or an access point takes frames from one MAC alone, containers can have addresses of their " +
    "own under the MAC of the host's interface. In l2 they ask for neighbours as everybody does; in l3 the " +
    "interface routes, between any subnets, and nobody asks.",
  show,
};

async function show(stage: Stage): Promise<void> {
  const { narrator } = stage;
  const missing = missingModules(["ipvlan"]);
  if (missing.length > 0) {
    narrator.say(`Not shown: this kernel has no ${missing.join(" and no ")}.`);
    return;
  }
  narrator.step("Another host on the wire of this host's eth0");
  const outside = await stage.outside();
  narrator.step("Mode l2: a network on that wire, with some of its addresses");
  stage.network(LAN);
  stage.sandbox("web");
  stage.sandbox("client");
  const web = stage.connectUnderlay("web", "lan", L2);
  const client = stage.connectUnderlay("client", "lan", L2);
  stage.draw();

  narrator.step("Proof");
  const hostMac = stage.interface("eth0")?.address ?? "";
  for (const endpoint of [web, client]) {
    const { mac, sandbox, addresses } = endpoint;
    proveKind(stage, endpoint, "ipvlan", "l2");
    narrator.proof(`${sandbox} has ${mac}, as the host's eth0 has`, { holds: mac === hostMac });
    proveAddresses(stage, endpoint);
    const [address = ""] = addresses;
    proveNeighbour(stage, outside, { address, mac: hostMac, whose: "the host's" });
  }
  stage.ping("web", client.addresses, { because: "container to container" });
  stage.ping(outside.name, web.addresses, { because: "as any host of that network" });
  stage.ping("host", web.addresses, { answers: false, because: "not its own, as with macvlan" });

  proveRefusal(stage);
  stage.disconnect(web);
  stage.disconnect(client);
  proveRouting(stage, outside);
}

/** All ipvlans of a master have one mode. */
function proveRefusal(stage: Stage): void {
  const { narrator } = stage;
  narrator.step("One interface has one mode: while it is l2, nobody gets l3");
  stage.network(LEFT);
  stage.sandbox("left");
  const before = stage.remains();
  narrator.command("weft add left left");
  const { status, stderr } = look("weft add left left");
  narrator.output(stderr);
  narrator.proof(`exit status ${status}`, { holds: status === 2 });
  stage.proveUnchanged(before, "nothing has changed");
}

/** Mode l3, with nobody left in l2. */
function proveRouting(stage: Stage, outside: Outside): void {
  const { narrator } = stage;
  narrator.step("Mode l3: two subnets, which the host outside is told the way to");
  stage.network(RIGHT);
  stage.sandbox("right");
  const [node = ""] = outside.hostAddresses.map(addressOf);
  stage.run(`ip -n ${outside.name} route add 10.11.0.0/16 via ${node}`);
  const left = stage.connectUnderlay("left", "left", L3);
  const right = stage.connectUnderlay("right", "right", L3);
  stage.run("ip -n left -br link show eth0");

  narrator.step("Proof");
  for (const endpoint of [left, right]) {
    proveKind(stage, endpoint, "ipvlan", "l3");
    proveAddresses(stage, endpoint);
  }
  stage.ping("left", right.addresses, { because: "from subnet to subnet" });
  stage.ping("right", left.addresses);
  stage.ping("left", outside.addresses, { because: "by the host's routes" });
  stage.ping(outside.name, right.addresses, { because: "and in" });
  for (const endpoint of [left, right]) proveNoNeighbours(stage, endpoint);
}

function proveNoNeighbours({ narrator }: Stage, { sandbox }: Endpoint): void {
  const neighbours = lookJson<{ lladdr?: string }>(`ip -j -4 -n ${sandbox} neigh`).filter(
    ({ lladdr }) => lladdr,
  );
  narrator.proof(`${sandbox} knows ${neighbours.length} neighbours: nobody asked by ARP`, {
    holds: neighbours.length === 0,
  });
}
