/** T5: a program in the host's own network. */
import { look } from "../look.ts";
import { addressOf } from "../outside.ts";
import { proveAnswers } from "../proofs.ts";
import type { Stage } from "../stage.ts";
import type { Topology } from "../topology.ts";

const PORT = 8080;

export const hostNetwork: Topology = {
  name: "T5",
  title: "the host's network: docker run --network=host",
  story:
    "No sandbox and no endpoint: the program is started where the host's own programs are. No plugin runs, " +
    "nothing is published, and nothing is to be taken down.",
  show,
};

async function show(stage: Stage): Promise<void> {
  const { narrator } = stage;
  narrator.step("A host in the world outside");
  const outside = await stage.outside();
  const [node = ""] = outside.hostAddresses.map(addressOf);
  const [client = ""] = outside.addresses.map(addressOf);
  const before = stage.remains();

  narrator.step("docker run --network=host: what such a program sees");
  const seen = stage.run("weft run --network host -- ip -br addr");
  narrator.byHand(["ip -br addr"]);
  stage.draw({}, [`server  port ${PORT}`]);
  narrator.proof("it sees the interfaces of the host, with their addresses", {
    holds: seen === look("ip -br addr").stdout && seen.includes(node),
  });
  const [own, its] = ["", "weft run --network host -- "].map((inside) =>
    look(`${inside}readlink /proc/self/ns/net`).stdout.trim(),
  );
  narrator.proof(`it is in ${its}, which is the host's`, { holds: its !== "" && its === own });

  narrator.step(`A server on port ${PORT} of the host, with no port published`);
  await stage.serve("server", [`${PORT}/tcp`], { inside: "weft run --network host -- " });
  const question = { port: PORT, by: "server" };
  proveAnswers(stage, outside.name, {
    ...question,
    address: node,
    seen: client,
    because: "the client as it is: nothing is translated",
  });
  proveAnswers(stage, "host", { ...question, address: "127.0.0.1", seen: "127.0.0.1" });

  narrator.step("What has no meaning there is refused: the ports are the host's already");
  const publish = `weft run --network host --publish 80:${PORT} -- ip -br addr`;
  narrator.command(publish);
  const { status, stderr } = look(publish);
  narrator.output(stderr);
  narrator.proof(`exit status ${status}`, { holds: status === 1 });
  stage.proveUnchanged(before, "nothing on the host has changed");
}
