/** T4: two containers in one sandbox. */

import { look } from "../look.ts";
import { type Encounter, PORT } from "../peer.ts";
import { proveAddresses, proveCable } from "../proofs.ts";
import { startService } from "../service.ts";
import type { Stage } from "../stage.ts";
import type { Topology } from "../topology.ts";

const NETWORK = `{ "cniVersion": "1.1.0", "name": "pods", "plugins": [
  { "type": "bridge", "bridge": "br-pods", "isDefaultGateway": true,
    "ipam": { "type": "host-local",
              "ranges": [ [{ "subnet": "10.30.0.0/24" }] ] } }
] }`;

export const joined: Topology = {
  name: "T4",
  title: "a joined network: docker run --network=container:app",
  story:
    "The second container does not get a sandbox of its own but enters that of the first: one address, one MAC, " +
    "one loopback for both. Kubernetes calls it a pod.",
  show,
};

async function show(stage: Stage): Promise<void> {
  const { narrator } = stage;
  narrator.step("A network, and one sandbox with one endpoint");
  stage.network(NETWORK);
  stage.sandbox("pod");
  const endpoint = stage.connect("pod", "pods");
  stage.draw({ pod: ["app + sidecar"] });

  narrator.step(`Two containers: app listens on 127.0.0.1:${PORT}, sidecar calls it there`);
  narrator.command("ip netns exec pod weft demo --role app &");
  const app = await startService("ip netns exec pod weft demo --role app");
  try {
    narrator.command("ip netns exec pod weft demo --role sidecar");
    const { stdout, stderr } = look("ip netns exec pod weft demo --role sidecar");
    if (stderr !== "") throw new Error(`the sidecar failed: ${stderr.trim()}`);
    proveEncounter(stage, JSON.parse(stdout) as Encounter, endpoint.mac); // printed by runSidecar()
  } finally {
    await app.stop();
  }
  proveCable(stage, endpoint);
  proveAddresses(stage, endpoint);

  narrator.step("A second ADD of the same interface is refused, and harms nothing");
  const before = stage.remains();
  narrator.command("weft add pods pod");
  const { status, stderr } = look("weft add pods pod");
  narrator.output(stderr);
  narrator.proof(`exit status ${status}`, { holds: status !== 0 });
  stage.proveUnchanged(before, "nothing has changed");
  proveAddresses(stage, endpoint);
  stage.ping("pod", endpoint.bridgeAddresses);
}

function proveEncounter({ narrator }: Stage, { sidecar, app }: Encounter, mac: string): void {
  narrator.proof(`they are two processes: ${sidecar.pid} and ${app.pid}`, { holds: sidecar.pid !== app.pid });
  narrator.proof(`sidecar has reached app at 127.0.0.1:${PORT}`, { holds: app.pid > 0 });
  narrator.proof(`app has ${app.address}, sidecar has ${sidecar.address}`, {
    holds: app.address === sidecar.address,
  });
  narrator.proof(`app has ${app.mac}, sidecar has ${sidecar.mac}`, {
    holds: app.mac === mac && sidecar.mac === mac,
  });
  narrator.proof(`both are in ${app.netns}`, { holds: app.netns === sidecar.netns });
}
