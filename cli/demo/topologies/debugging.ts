/** T16: which interface is whose, where packets go, and what is wrong when they do not. */
import type { BridgeEndpoint } from "../endpoint.ts";
import { look } from "../look.ts";
import { addressOf } from "../outside.ts";
import { proveAnswers } from "../proofs.ts";
import type { Stage } from "../stage.ts";
import type { Topology } from "../topology.ts";

const NETWORK = `{ "cniVersion": "1.1.0", "name": "shop", "plugins": [
  { "type": "bridge", "bridge": "br-shop", "isDefaultGateway": true,
    "ipMasq": true,
    "ipam": { "type": "host-local",
              "ranges": [ [{ "subnet": "10.160.0.0/24" }] ] } },
  { "type": "portmap", "capabilities": { "portMappings": true } }
] }`;

const PORT = { hostPort: 8080, containerPort: 80, protocol: "tcp" } as const;

export const debugging: Topology = {
  name: "T16",
  title: "debugging: whose is a veth, where does a packet go, what is wrong",
  story:
    "What guides to Docker's networks do by brctl, nsenter and /sys/class/net/eth0/iflink is asked of weft here: " +
    "weft inspect, weft trace, weft doctor. Then things are broken, one after another, and mended.",
  show,
};

/** Something broken, as the guides' check-lists have it. */
interface Trouble {
  readonly title: string;
  /** What does it. */
  readonly commands: readonly string[];
  /** What weft doctor calls it. */
  readonly fault: string;
  /** What shows that it is broken, or whole again. */
  readonly prove: (state: "broken" | "whole") => void;
  /** Whether somebody has to think before it is mended. */
  readonly byHand?: true;
}

async function show(stage: Stage): Promise<void> {
  const { narrator } = stage;
  narrator.step("A host in the world outside, a network, and two containers");
  const outside = await stage.outside();
  stage.run(`ip route add default via ${outside.addresses.map(addressOf)[0]}`);
  stage.network(NETWORK);
  for (const name of ["web", "db"]) stage.sandbox(name);
  const web = stage.connect("web", "shop", { ports: [PORT] });
  const db = stage.connect("db", "shop");
  stage.draw();
  stage.ping("db", web.addresses);
  proveWhose(stage, web);
  proveWay(stage, outside.addresses.map(addressOf)[0] ?? "");
  await stage.serve("web", ["80/tcp"]);
  const troubles = troublesOf(stage, { web, db });
  for (const [i, trouble] of troubles.entries()) {
    narrator.step(`${i + 1} of ${troubles.length}: ${trouble.title}`);
    proveMended(stage, trouble);
  }
}

/** Which veth belongs to this container, by hand and by weft. */
function proveWhose(stage: Stage, { hostEnd, bridge }: BridgeEndpoint): void {
  const { narrator } = stage;
  narrator.step("Which interface of the host belongs to the container?");
  const number = stage.run("ip netns exec web cat /sys/class/net/eth0/iflink").trim();
  const named = stage.run("ip -o -br link show master br-shop");
  const found = look("ip -o link")
    .stdout.split("\n")
    .find((line) => line.startsWith(`${number}: `));
  narrator.proof(`by hand: eth0@if${number} is the host's interface ${number}, ${hostEnd}`, {
    holds: found?.includes(` ${hostEnd}@`) === true && named.includes(hostEnd),
  });
  stage.ask("weft ls --network shop");
  const inspected = stage.ask("weft inspect web").stdout;
  narrator.proof("weft inspect names the container's interface, the host's, and the bridge", {
    holds: inspected.includes(`eth0 → ${hostEnd} `) && inspected.includes(`bridge ${bridge}`),
  });
  narrator.command(`weft inspect ${hostEnd}`);
  const { stdout } = look(`weft inspect ${hostEnd}`);
  narrator.proof("and the other way round: that veth is web's", { holds: stdout.startsWith("web\n") });
}

function proveWay(stage: Stage, outside: string): void {
  const { narrator } = stage;
  narrator.step("Where does a packet go, and which rule is it that matches?");
  const trace = stage.ask(`weft trace web ${outside}`).stdout;
  narrator.proof("weft trace says that it passes, and what changes its source", {
    holds: trace.includes("✓ passes") && trace.includes("masquerade"),
  });
  stage.ping("web", [outside], { because: "as the packet itself" });
}

function troublesOf(stage: Stage, { web, db }: Record<"web" | "db", BridgeEndpoint>): readonly Trouble[] {
  const [address = ""] = web.addresses;
  const [uplink = ""] = stage.addresses("eth0").map(addressOf);
  const pingDb = (state: "broken" | "whole") => stage.ping("db", [address], { answers: state === "whole" });
  return [
    {
      title: "the host does not forward",
      commands: ["sysctl -w net.ipv4.ip_forward=0"],
      fault: "forwarding-off",
      prove: (state) => stage.ping("web", ["192.0.2.9"], { answers: state === "whole" }),
    },
    {
      title: "the veth is not in the bridge",
      commands: [`ip link set ${web.hostEnd} nomaster`],
      fault: "not-in-bridge",
      prove: pingDb,
    },
    {
      title: "the bridge does not learn who is behind a port",
      commands: [
        `ip link set ${web.hostEnd} type bridge_slave learning off`,
        `bridge fdb del ${web.mac} dev ${web.hostEnd} master`,
      ],
      fault: "learning-off",
      prove: (state) => {
        stage.ping("db", [address], { because: "flooded, where it is not learned" });
        const entries = look(`bridge fdb show br ${web.bridge}`).stdout;
        const isLearned = entries.includes(`${web.mac} dev ${web.hostEnd}`);
        stage.narrator.proof(`${web.bridge} ${isLearned ? "knows" : "does not know"} where ${web.mac} is`, {
          holds: isLearned === (state === "whole"),
        });
      },
    },
    {
      title: "the ends of a cable have different MTUs",
      commands: [`ip link set ${db.hostEnd} mtu 1280`],
      fault: "mtu-mismatch",
      prove: (state) => proveLargePacket(stage, address, state),
    },
    {
      title: "somebody has emptied the packet filter",
      commands: ["nft flush ruleset"],
      fault: "rules-missing",
      prove: (state) =>
        proveAnswers(stage, "outside", {
          address: uplink,
          port: PORT.hostPort,
          by: state === "whole" ? "web" : undefined,
        }),
    },
    {
      title: "two containers have one address",
      commands: [`ip -n db addr add ${address} dev eth0`],
      fault: "address-conflict",
      byHand: true,
      prove: (state) => {
        const held = stage.addresses("eth0", "db");
        stage.narrator.proof(`eth0 of db has ${held.join(" and ")}`, {
          holds: held.includes(address) === (state === "broken"),
        });
      },
    },
  ];
}

/** 1,472 bytes, 8 of ICMP and 20 of IP are 1,500. */
function proveLargePacket({ narrator }: Stage, address: string, state: "broken" | "whole"): void {
  const { status } = look(`ip netns exec db ping -n -c 1 -W 1 -M do -s 1472 ${addressOf(address)}`);
  const isAnswered = status === 0;
  narrator.proof(`a ping of 1500 bytes from db to web: ${isAnswered ? "answered" : "no answer"}`, {
    holds: isAnswered === (state === "whole"),
  });
}

function proveMended(stage: Stage, { commands, fault, byHand, prove }: Trouble): void {
  const { narrator } = stage;
  for (const command of commands) stage.run(command);
  prove("broken");
  const { status, stdout } = stage.ask("weft doctor");
  narrator.proof(`weft doctor names it: ${fault}`, { holds: status === 2 && stdout.includes(`(${fault})`) });
  if (byHand) {
    const { findings } = JSON.parse(look("weft doctor --json").stdout) as {
      findings: readonly { fault: string; remedy: string }[]; // cli/doctor/finding.ts
    };
    for (const { remedy } of findings.filter((each) => each.fault === fault)) stage.run(remedy);
  } else stage.ask("weft doctor --fix --yes");
  prove("whole");
  narrator.proof("and finds nothing more", { holds: look("weft doctor").status === 0 });
}
