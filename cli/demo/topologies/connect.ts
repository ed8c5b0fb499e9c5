/** T3: a second network for a container that runs, and its end. */
import { proveAddresses, proveCable, proveDefaultRoute } from "../proofs.ts";
import type { Stage } from "../stage.ts";
import type { Topology } from "../topology.ts";

const FRONT = `{ "cniVersion": "1.1.0", "name": "front", "plugins": [
  { "type": "bridge", "bridge": "br-front", "isDefaultGateway": true,
    "ipam": { "type": "host-local",
              "ranges": [ [{ "subnet": "10.10.0.0/24" }] ] } }
] }`;

const BACK = `{ "cniVersion": "1.1.0", "name": "back", "plugins": [
  { "type": "bridge", "bridge": "br-back",
    "ipam": { "type": "host-local",
              "ranges": [ [{ "subnet": "10.20.0.0/24" }] ] } }
] }`;

export const connect: Topology = {
  name: "T3",
  title: "a second network: docker network connect, docker network disconnect",
  story:
    "A running container gets a second cable, eth1, to a second bridge. It is on both networks then; the " +
    "networks stay apart. The network back is internal: its bridge has no address, so nothing leads out of it.",
  show,
};

function show(stage: Stage): void {
  const { narrator } = stage;
  narrator.step("Two networks");
  stage.network(FRONT);
  stage.network(BACK);
  narrator.step("Three sandboxes: web and app on front, db on back");
  for (const sandbox of ["web", "app", "db"]) stage.sandbox(sandbox);
  const web = stage.connect("web", "front");
  const app = stage.connect("app", "front");
  const db = stage.connect("db", "back");
  stage.ping("app", web.addresses);
  stage.ping("app", db.addresses, { answers: false, because: "on the other network" });

  narrator.step("docker network connect back app");
  const before = stage.remains();
  const second = stage.connect("app", "back", { ifname: "eth1" });
  stage.draw();
  stage.run("ip -n app -br addr");
  stage.run("ip -n app route");

  narrator.step("Proof");
  for (const endpoint of [app, second]) {
    proveCable(stage, endpoint);
    proveAddresses(stage, endpoint);
  }
  proveDefaultRoute(stage, app, 4);
  stage.ping("app", web.addresses, { because: "by eth0" });
  stage.ping("app", db.addresses, { because: "by eth1" });
  stage.ping("db", second.addresses, { because: "app's eth1" });
  stage.ping("db", app.addresses, { answers: false, because: "app's eth0, on the other network" });
  stage.ping("web", db.addresses, { answers: false, because: "the networks stay apart" });

  narrator.step("docker network disconnect back app");
  stage.disconnect(second);
  stage.proveUnchanged(before, "exactly eth1, its address and its record are gone");
  narrator.proof("app has no eth1", { holds: stage.interface("eth1", "app") === undefined });
  proveAddresses(stage, app);
  proveDefaultRoute(stage, app, 4);
  stage.ping("app", web.addresses);
  stage.ping("app", db.addresses, { answers: false });
}
