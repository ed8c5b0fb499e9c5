/** T6: a container that is connected to nothing. */
import type { Stage } from "../stage.ts";
import type { Topology } from "../topology.ts";

const NETWORK = `{ "cniVersion": "1.1.0", "name": "none", "plugins": [
  { "type": "loopback" }
] }`;

export const none: Topology = {
  name: "T6",
  title: "no network: docker run --network=none",
  story:
    "The sandbox has its loopback interface and nothing else. A namespace is born with lo down; " +
    "the plugin loopback brings it up.",
  show,
};

function show(stage: Stage): void {
  const { narrator } = stage;
  narrator.step("A network, and a sandbox on it");
  stage.network(NETWORK);
  stage.sandbox("alone", { loopback: "down" });
  const before = stage.interface("lo", "alone");
  narrator.proof("lo of alone is down", { holds: before?.operstate === "DOWN" });
  stage.connectLoopback("alone", "none");
  narrator.byHand(["ip -n alone link set lo up"]);
  const lo = stage.interface("lo", "alone");
  const addresses = (lo?.addr_info ?? []).map(({ local, prefixlen }) => `${local}/${prefixlen}`);
  stage.draw({ alone: ["lo", ...addresses] });
  stage.run("ip -n alone -br addr");

  narrator.step("Proof");
  narrator.proof(`lo has ${addresses.join(" and ")}`, { holds: addresses.includes("127.0.0.1/8") });
  stage.ping("alone", addresses);
  const names = stage.interfaces("alone").map(({ ifname }) => ifname);
  narrator.proof(`its only interface is ${names.join(", ")}`, { holds: names.join() === "lo" });
  stage.ping("alone", ["172.17.0.1", "192.0.2.1"], { answers: false, because: "there is no way out" });
}
