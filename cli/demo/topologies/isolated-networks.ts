/** T2: networks of a user's own, which do not reach each other. */
import { addressOf } from "../outside.ts";
import { proveAddresses, proveAnswers } from "../proofs.ts";
import type { Stage } from "../stage.ts";
import type { Topology } from "../topology.ts";

const PORT = 80;

const FRONT = networkText("front", "10.40.0.0/24", '"ingressPolicy": "same-bridge"');
const BACK = networkText("back", "10.50.0.0/24", '"ingressPolicy": "same-bridge"');
const OPS = networkText(
  "ops",
  "10.60.0.0/24",
  '"ingressPolicy": "same-bridge",\n    "permittedInterfaces": [ "br-front" ]',
);

function networkText(name: string, subnet: string, policy: string): string {
  return `{ "cniVersion": "1.1.0", "name": "${name}", "plugins": [
  { "type": "bridge", "bridge": "br-${name}", "isDefaultGateway": true,
    "ipMasq": true,
    "ipam": { "type": "host-local",
              "ranges": [ [{ "subnet": "${subnet}" }] ] } },
  { "type": "firewall", ${policy} }
] }`;
}

/** As Docker's two stages: from any of the bridges to any other. */
const BY_HAND = [
  "iptables -N ISOLATION-1",
  "iptables -N ISOLATION-2",
  "iptables -I FORWARD -j ISOLATION-1",
  ...["br-front", "br-back"].map(
    (bridge) => `iptables -A ISOLATION-1 -i ${bridge} ! -o ${bridge} -j ISOLATION-2`,
  ),
  ...["br-front", "br-back"].map((bridge) => `iptables -A ISOLATION-2 -o ${bridge} -j DROP`),
];

export const isolatedNetworks: Topology = {
  name: "T2",
  title: "networks that are isolated: docker network create front, … back",
  story:
    "The host forwards between its bridges, as between any of its interfaces. So Docker has rules that drop " +
    "what goes from one of its bridges to another (DOCKER-ISOLATION-STAGE-1 and -2). The plugin firewall does " +
    "it with maps of interfaces, for the networks that ask for it, and can permit a pair.",
  show,
};

async function show(stage: Stage): Promise<void> {
  const { narrator } = stage;
  narrator.step("A host in the world outside");
  const outside = await stage.outside();
  narrator.step("Two networks");
  stage.network(FRONT);
  stage.network(BACK);
  narrator.step("web and app on front, db on back");
  for (const sandbox of ["web", "app", "db"]) stage.sandbox(sandbox);
  const web = stage.connect("web", "front");
  const app = stage.connect("app", "front");
  const db = stage.connect("db", "back");
  narrator.step("The isolation, as Docker makes it");
  narrator.byHand(BY_HAND);
  stage.draw();
  narrator.step("What weft has: maps of interfaces, which the rules of one chain look into");
  for (const map of ["pairs", "leaving"]) stage.run(`nft list map inet weft ${map}`);
  stage.run("nft list set inet weft isolated");

  narrator.step("Proof");
  await stage.serve("web", [`${PORT}/tcp`]);
  await stage.serve("db", [`${PORT}/tcp`]);
  await stage.serve(outside.name, [`${PORT}/tcp`]);
  const [webAddress = "", dbAddress = ""] = [web, db].map(({ addresses }) => addressOf(addresses[0] ?? ""));
  proveAnswers(
    stage,
    "app",
    { address: webAddress, port: PORT, by: "web", because: "of one network" },
    { address: dbAddress, port: PORT, because: "of two networks" },
  );
  const [world = ""] = outside.addresses.map(addressOf);
  proveAnswers(
    stage,
    "db",
    { address: webAddress, port: PORT, because: "nor the other way" },
    { address: world, port: PORT, by: outside.name, because: "the host forwards all else" },
  );
  stage.ping("db", db.bridgeAddresses, { because: "the gateway" });

  narrator.step("A permitted pair: ops and front");
  stage.network(OPS);
  stage.sandbox("ops");
  const ops = stage.connect("ops", "ops");
  narrator.step("The exception");
  narrator.byHand([
    "iptables -I FORWARD -i br-ops -o br-front -j ACCEPT",
    "iptables -I FORWARD -i br-front -o br-ops -j ACCEPT",
  ]);
  stage.run("nft list map inet weft pairs");
  proveAnswers(
    stage,
    "ops",
    { address: webAddress, port: PORT, by: "web", because: "permitted" },
    { address: dbAddress, port: PORT, because: "not permitted" },
  );
  stage.ping("web", ops.addresses, { because: "in both directions" });

  narrator.step("And undone again: ops without the exception");
  stage.disconnect(ops);
  stage.network(OPS.replace(/,\n.*permitted.*\]/, ""));
  const again = stage.connect("ops", "ops");
  proveAddresses(stage, again);
  proveAnswers(stage, "ops", { address: webAddress, port: PORT, because: "permitted no more" });
  proveAnswers(stage, "app", { address: webAddress, port: PORT, by: "web" });
  stage.ping("app", app.bridgeAddresses, { because: "the gateway" });
}
