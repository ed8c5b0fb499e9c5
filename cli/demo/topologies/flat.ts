/** T9: containers on the physical network, each with a MAC of its own. */
import type { Endpoint } from "../endpoint.ts";
import { missingModules } from "../link-kinds.ts";
import { addressOf, type Outside } from "../outside.ts";
import { proveAddresses, proveAnswers } from "../proofs.ts";
import type { Stage } from "../stage.ts";
import type { Topology } from "../topology.ts";
import { proveKind, proveNeighbour } from "../underlay-proofs.ts";

const NETWORK = networkText("");
const WITH_HOST = networkText('"hostAccess": true,\n    ');

function networkText(key: string): string {
  return `{ "cniVersion": "1.1.0", "name": "lan", "plugins": [
  { "type": "macvlan", "master": "eth0", "mode": "bridge",
    ${key}"ipam": { "type": "host-local",
              "ranges": [ [{ "subnet": "192.0.2.0/24",
                             "rangeStart": "192.0.2.50",
                             "gateway": "192.0.2.9" }] ],
              "routes": [{ "dst": "0.0.0.0/0" }] } }
] }`;
}

const TYPE = { master: "eth0", type: "macvlan mode bridge" };
/** What hostAccess makes on the host. */
const SHIM = "mvh-eth0";
const PORT = 80;

export const flat: Topology = {
  name: "T9",
  title: "a flat network: docker network create -d macvlan -o parent=eth0",
  story:
    "The container is on the physical network, as if its own cable went to the switch: an address of that " +
    "network, a MAC of its own, the network's router for gateway. There is no bridge, no masquerading, and no " +
    "way between the host and its own containers, unless one asks for it.",
  show,
};

async function show(stage: Stage): Promise<void> {
  const { narrator } = stage;
  const missing = missingModules(["macvlan"]);
  if (missing.length > 0) {
    narrator.say(`Not shown: this kernel has no ${missing.join(" and no ")}.`);
    return;
  }
  narrator.step("Another host on the wire of this host's eth0: the router, say");
  const outside = await stage.outside();
  narrator.step("A network on that wire, with some of its addresses");
  stage.network(NETWORK);
  narrator.step("Two sandboxes with an endpoint each");
  stage.sandbox("web");
  stage.sandbox("client");
  const web = stage.connectUnderlay("web", "lan", TYPE);
  const client = stage.connectUnderlay("client", "lan", TYPE);
  stage.draw();
  stage.run("ip -n web -br link show eth0");
  stage.run("ip -n web route");

  narrator.step("Proof");
  for (const endpoint of [web, client]) {
    proveKind(stage, endpoint, "macvlan", "bridge");
    proveAddresses(stage, endpoint);
    const { mac, sandbox, addresses } = endpoint;
    proveNeighbour(stage, outside, { address: addresses[0] ?? "", mac, whose: `${sandbox}'s own MAC` });
  }
  stage.ping("web", client.addresses, { because: "container to container" });
  stage.ping(outside.name, web.addresses, { because: "as any host of that network" });
  await stage.serve(outside.name, [`${PORT}/tcp`]);
  const [address = "", seen = ""] = [outside.addresses, web.addresses].map(([first = ""]) =>
    addressOf(first),
  );
  proveAnswers(stage, "web", { address, port: PORT, by: outside.name, seen, because: "the container's own" });
  stage.ping("host", web.addresses, { answers: false, because: "not its own macvlans" });
  stage.ping("web", outside.hostAddresses, { answers: false, because: "nor the other way" });

  stage.disconnect(web);
  stage.disconnect(client);
  proveHostAccess(stage, outside);
}

/** The same network once more, and the host in reach. */
function proveHostAccess(stage: Stage, outside: Outside): void {
  const { narrator } = stage;
  narrator.step('The same with "hostAccess": the host gets a macvlan, too');
  stage.network(WITH_HOST);
  const [node = ""] = outside.hostAddresses;
  const web = stage.connectUnderlay("web", "lan", {
    ...TYPE,
    before: [
      `ip link add link eth0 name ${SHIM} type macvlan mode bridge`,
      `sysctl -w net.ipv4.conf.${SHIM}.arp_ignore=8`,
      `ip link set ${SHIM} up`,
    ],
    after: (endpoint) => accessCommands(stage, endpoint, addressOf(node)),
  });
  stage.run(`ip route show dev ${SHIM}`);
  stage.ping("host", web.addresses, { because: `by ${SHIM}` });
  stage.ping("web", [node], { because: "by the same" });
  stage.ping(outside.name, web.addresses);
  const mac = stage.interface("eth0")?.address ?? "";
  proveNeighbour(stage, outside, { address: node, mac, whose: "the host's eth0, as before" });
  narrator.step(`With the last container ${SHIM} goes`);
  stage.disconnect(web);
  narrator.proof(`the host has no ${SHIM}`, { holds: stage.interface(SHIM) === undefined });
}

function accessCommands(stage: Stage, { sandbox, addresses, mac }: Endpoint, node: string): string[] {
  const [address = ""] = addresses.map(addressOf);
  const shimMac = stage.interface(SHIM)?.address;
  return [
    `ip neigh add ${address} lladdr ${mac} dev ${SHIM} nud permanent`,
    `ip route add ${address} dev ${SHIM} src ${node}`,
    `ip -n ${sandbox} neigh add ${node} lladdr ${shimMac} dev eth0 nud permanent`,
  ];
}
