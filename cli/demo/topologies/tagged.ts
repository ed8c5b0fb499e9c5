/** T10: networks on the VLANs of one cable. */
import type { Endpoint } from "../endpoint.ts";
import { missingModules } from "../link-kinds.ts";
import { look } from "../look.ts";
import type { Outside } from "../outside.ts";
import { proveAddresses } from "../proofs.ts";
import type { Stage } from "../stage.ts";
import type { Topology } from "../topology.ts";
import { proveKind } from "../underlay-proofs.ts";

const TEN = networkText("ten", '"master": "eth0.10"', 10);
const TWENTY = networkText("twenty", '"master": "eth0", "vlan": 20', 20);

/** Both in one subnet, so that nothing but the tag keeps them apart. */
function networkText(name: string, master: string, start: number): string {
  return `{ "cniVersion": "1.1.0", "name": "${name}", "plugins": [
  { "type": "macvlan", ${master},
    "ipam": { "type": "host-local",
              "ranges": [ [{ "subnet": "10.10.0.0/24",
                             "rangeStart": "10.10.0.${start}",
                             "gateway": "10.10.0.1" }] ] } }
] }`;
}

const TYPE = "macvlan mode bridge";
const ROUTER = "10.10.0.1";

export const tagged: Topology = {
  name: "T10",
  title: "VLANs: docker network create -d macvlan -o parent=eth0.10",
  story:
    "One cable carries several networks: a tag in each frame (802.1Q) says which. eth0.10 is the interface " +
    "that sends and receives what has tag 10. A network asks for one, and where it is not there the plugin " +
    "makes it; it goes with the last container that needs it.",
  show,
};

async function show(stage: Stage): Promise<void> {
  const { narrator } = stage;
  const missing = missingModules(["macvlan", "vlan"]);
  if (missing.length > 0) {
    narrator.say(`Not shown: this kernel has no ${missing.join(" and no ")}.`);
    return;
  }
  narrator.step("Another host on the wire, in VLAN 10, which counts the frames of both");
  const outside = await stage.outside();
  joinVlan(stage, outside);
  narrator.step("Two networks, VLAN 10 and VLAN 20, in one subnet");
  stage.network(TEN);
  stage.network(TWENTY);
  narrator.step("web and client in VLAN 10, stranger in VLAN 20");
  for (const sandbox of ["web", "client", "stranger"]) stage.sandbox(sandbox);
  const inTen = { master: "eth0.10", type: TYPE };
  const web = stage.connectUnderlay("web", "ten", { ...inTen, before: makeVlan(10) });
  const client = stage.connectUnderlay("client", "ten", inTen);
  const inTwenty = { master: "eth0.20", type: TYPE, before: makeVlan(20) };
  const stranger = stage.connectUnderlay("stranger", "twenty", inTwenty);
  stage.draw();
  stage.run("ip -d link show eth0.10");

  narrator.step("Proof");
  for (const endpoint of [web, client, stranger]) {
    proveKind(stage, endpoint, "macvlan", "bridge");
    proveAddresses(stage, endpoint);
  }
  stage.ping("web", client.addresses, { because: "of one VLAN" });
  stage.ping("web", [ROUTER], { because: "VLAN 10 of the wire" });
  stage.ping("web", stranger.addresses, { answers: false, because: "of two VLANs, in one subnet" });
  stage.ping("stranger", [...web.addresses, ROUTER], { answers: false, because: "nor the other way" });
  proveTags(stage, outside);
  proveEnd(stage, { web, client });
}

/** eth0.10 with the router's address, and counters before tags are looked at. */
function joinVlan(stage: Stage, { name, uplink }: Outside): void {
  stage.run(`ip -n ${name} link add link ${uplink} name ${uplink}.10 type vlan id 10`);
  stage.run(`ip -n ${name} addr add ${ROUTER}/24 dev ${uplink}.10`);
  stage.run(`ip -n ${name} link set ${uplink}.10 up`);
  const nft = `ip netns exec ${name} nft add`;
  stage.run(`${nft} table netdev wire`);
  stage.run(`${nft} chain netdev wire in { type filter hook ingress device ${uplink} priority 0 ; }`);
  for (const id of [10, 20]) stage.run(`${nft} rule netdev wire in vlan id ${id} counter`);
}

function makeVlan(id: number): string[] {
  return [`ip link add link eth0 name eth0.${id} type vlan id ${id}`, `ip link set eth0.${id} up`];
}

/** What came over the wire had the one tag or the other. */
function proveTags({ narrator }: Stage, { name }: Outside): void {
  const { stdout } = look(`ip netns exec ${name} nft -j list chain netdev wire in`);
  const { nftables } = JSON.parse(stdout) as Listing; // in nft's own form
  const counters = nftables
    .flatMap(({ rule }) => rule?.expr ?? [])
    .flatMap(({ counter }) => (counter ? [counter] : []));
  for (const [i, id] of [10, 20].entries()) {
    const { packets = 0 } = counters[i] ?? {};
    narrator.proof(`${name} has received ${packets} frames with tag ${id}`, { holds: packets > 0 });
  }
}

interface Listing {
  readonly nftables: readonly {
    readonly rule?: { readonly expr: readonly { readonly counter?: { readonly packets: number } }[] };
  }[];
}

/** The first of two leaves the sub-interface to the other. */
function proveEnd(stage: Stage, { web, client }: { web: Endpoint; client: Endpoint }): void {
  const { narrator } = stage;
  const isThere = () => stage.interface("eth0.10") !== undefined;
  narrator.step("eth0.10 goes with the last container that needs it");
  stage.disconnect(web);
  narrator.proof("web has gone, client needs eth0.10: it is there", { holds: isThere() });
  stage.ping("client", [ROUTER]);
  stage.disconnect(client);
  narrator.proof("client has gone: so has eth0.10", { holds: !isThere() });
  narrator.step("One that was there before stays");
  for (const command of makeVlan(10)) stage.run(command);
  const again = stage.connectUnderlay("web", "ten", { master: "eth0.10", type: TYPE });
  stage.ping("web", [ROUTER]);
  stage.disconnect(again);
  narrator.proof("web has gone, and eth0.10 is there", { holds: isThere() });
  stage.run("ip link del eth0.10");
}
