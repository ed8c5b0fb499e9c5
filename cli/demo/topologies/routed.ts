/** T17: containers without a bridge, each on a routed link of its own. */
import { look, lookJson } from "../look.ts";
import { addressOf } from "../outside.ts";
import { proveAddresses, proveAnswers, provePair } from "../proofs.ts";
import type { Stage } from "../stage.ts";
import type { Topology } from "../topology.ts";

const SUBNET = "10.17.0.0/24";
const NETWORK = `{ "cniVersion": "1.1.0", "name": "routed", "plugins": [
  { "type": "ptp",
    "ipam": { "type": "host-local",
              "ranges": [ [{ "subnet": "${SUBNET}" }] ],
              "routes": [{ "dst": "0.0.0.0/0" }] } }
] }`;

const PORT = 80;
/** Where a packet begins, on Linux; each router takes one off. */
const TTL = 64;

export const routed: Topology = {
  name: "T17",
  title: "routed links, as of Calico: a cable to each container, no bridge",
  story:
    "The host is a router, and every container a network of one. All that a container sends goes to its end of " +
    "the cable on the host; the host has a route to each container. Each host has a subnet of its own, and " +
    "tells others the way to it: nothing is masqueraded, and nothing is broadcast. Here that is done by hand; " +
    "vxlan in mode routed leases each host a subnet and keeps the routes between them, with etcd and weft agent.",
  show,
};

async function show(stage: Stage): Promise<void> {
  const { narrator } = stage;
  narrator.step("Another host, which is told the way to this one's containers");
  const outside = await stage.outside();
  const [node = "", world = ""] = [outside.hostAddresses, outside.addresses].map(([first = ""]) =>
    addressOf(first),
  );
  stage.run(`ip -n ${outside.name} route add ${SUBNET} via ${node}`);
  narrator.step("A network: this host's subnet");
  stage.network(NETWORK);
  narrator.step("Two sandboxes with an endpoint each");
  stage.sandbox("web");
  stage.sandbox("client");
  const web = stage.connectRouted("web", "routed");
  const client = stage.connectRouted("client", "routed");
  stage.draw();
  stage.run("ip -n web route");
  stage.run(`ip route show root ${SUBNET}`);

  narrator.step("Proof");
  for (const endpoint of [web, client]) {
    const { sandbox, hostEnd, gateway } = endpoint;
    provePair(stage, endpoint);
    proveAddresses(stage, endpoint);
    const [address = ""] = endpoint.addresses.map(addressOf);
    const [way] = lookJson<{ dev: string; prefsrc?: string }>(`ip -j route get ${address}`);
    narrator.proof(`the host reaches ${address} by ${way?.dev}`, { holds: way?.dev === hostEnd });
    const [out] = lookJson<{ gateway?: string }>(`ip -j -n ${sandbox} route show default`);
    narrator.proof(`the default route of ${sandbox} is ${out?.gateway}, which is the host's end`, {
      holds: out?.gateway === gateway,
    });
  }
  const bridges = lookJson<{ ifname: string }>("ip -j link show type bridge");
  narrator.proof(`the host has ${bridges.length || "no"} bridge`, { holds: bridges.length === 0 });
  proveHop(stage, "web", client.addresses[0] ?? "");
  stage.ping("web", [web.gateway], { because: "the gateway, which is the host" });
  stage.ping("host", web.addresses);
  const forwarding = look("sysctl -n net.ipv4.ip_forward").stdout.trim();
  narrator.proof(`net.ipv4.ip_forward is ${forwarding}: the host forwards`, { holds: forwarding === "1" });

  narrator.step("Proof that addresses stay what they are, in both directions");
  await stage.serve("web", [`${PORT}/tcp`]);
  await stage.serve(outside.name, [`${PORT}/tcp`]);
  const [own = ""] = web.addresses.map(addressOf);
  proveAnswers(stage, "web", { address: world, port: PORT, by: outside.name, seen: own });
  proveAnswers(stage, outside.name, { address: own, port: PORT, by: "web", seen: world });
}

/** One router is between two containers: the host. */
function proveHop({ narrator }: Stage, sandbox: string, prefix: string): void {
  const address = addressOf(prefix);
  const { stdout } = look(`ip netns exec ${sandbox} ping -n -c 1 -W 1 ${address}`);
  const ttl = Number(/ttl=(\d+)/.exec(stdout)?.[1]);
  narrator.proof(`${sandbox} pings ${address}: answers, with a TTL of ${ttl}, so by one router`, {
    holds: ttl === TTL - 1,
  });
}
