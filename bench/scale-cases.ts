/** What one container more takes on a host with few and with many: the same plugins, each on its own host. */
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { type Case, containerId, fillLeases, nthAddress, type Step, type Suite } from "./cases.ts";
import { type ChainPlugin, chainConfig, chainProgram } from "./chain-cases.ts";
import { makeNetns } from "./host.ts";
import { run, runWith, type SimulatedHost, simulateHost } from "./simulated-host.ts";

const ROUNDS = 41;
const PORTS = { few: 10, many: 10_000 };
const ENDPOINTS = { few: 10, many: 2_000 };
/** A bridge takes 1,023. */
const PORTS_OF_A_BRIDGE = 1_000;
const FIRST_PORT = 20_000;
const OWN_PORT = 8_080;
/** The most that many may take of what few take. */
const BAR = 1.1;

/** A host as it was filled. */
export interface ScaleSuite extends Suite {
  readonly size: keyof typeof PORTS & keyof typeof ENDPOINTS;
}

/** Many first, so that the ratio is that of many to few. */
export function scaleSuites([ours]: readonly Suite[]): ScaleSuite[] {
  if (!ours) return [];
  return (["many", "few"] as const).map((size, i) => ({ ...ours, name: size, size, index: i }));
}

export function scaleCases(): Case<ScaleSuite>[] {
  return [
    {
      name: `${count(PORTS.many)} ports published or ${PORTS.few},`,
      rounds: ROUNDS,
      bars: { "portmap ADD": BAR, "portmap DEL": BAR },
      prepare: preparePorts,
    },
    {
      name: `${count(ENDPOINTS.many)} containers or ${ENDPOINTS.few},`,
      rounds: ROUNDS,
      bars: { "bridge ADD": BAR, "bridge DEL": BAR },
      prepare: prepareEndpoints,
    },
  ];
}

/** portmap, of a container that stays: others have published as many ports, each an element and a claim. */
function preparePorts(suite: ScaleSuite): Step[] {
  const host = simulateHost(`ports-${suite.size}`);
  const netns = makeNetns(`ports-${suite.size}-own`);
  const add = { suite, host, container: { index: 0, netns } };
  const { stdout: attached } = runStep(add, "bridge", "");
  const published = runStep(add, "portmap", attached);
  fillPorts(host, PORTS[suite.size]);
  runStep(add, "portmap", attached, "DEL");
  return steps(add, "portmap", () => published.stdout);
}

/** bridge with ipMasq: others are on the same bridge, and, where that is full, on a second one. */
function prepareEndpoints(portsSuite: ScaleSuite): Step[] {
  const suite = { ...portsSuite, index: portsSuite.index + 2 }; // with leases of its own
  const host = simulateHost(`ends-${suite.size}`);
  const add = { suite, host, container: { index: 0, netns: makeNetns(`ends-${suite.size}-own`) } };
  runStep(add, "bridge", ""); // makes the bridge and the table
  runStep(add, "bridge", "", "DEL");
  fillEndpoints(add, ENDPOINTS[suite.size]);
  return steps(add, "bridge", () => "");
}

interface Attachment {
  readonly suite: ScaleSuite;
  readonly host: SimulatedHost;
  readonly container: { readonly index: number; readonly netns: string };
}

function steps({ suite, host, container }: Attachment, plugin: ChainPlugin, given: () => string): Step[] {
  return (["ADD", "DEL"] as const).map((command) => ({
    name: `${plugin} ${command}`,
    host,
    program: chainProgram(suite, plugin, command, container),
    stdin: (answer) => configText(suite, plugin, answer || given()),
  }));
}

function runStep(
  { suite, host, container }: Attachment,
  plugin: ChainPlugin,
  prevResult: string,
  command = "ADD",
) {
  const program = chainProgram(suite, plugin, command, container);
  const outcome = host.on(() => program.run(configText(suite, plugin, prevResult)));
  if (outcome.status !== 0) throw new Error(`${program.file}: ${outcome.stdout}`);
  return outcome;
}

function configText(suite: ScaleSuite, plugin: ChainPlugin, prevResult: string): string {
  const config = chainConfig({ ...suite, index: 10 + suite.index }, plugin, { hostPort: OWN_PORT });
  return JSON.stringify({ ...config, ...(prevResult && { prevResult: JSON.parse(prevResult) }) });
}

/** What as many ports of other containers leave behind: elements of our table, and claims. */
function fillPorts(host: SimulatedHost, number: number): void {
  const elements = Array.from({ length: number }, (_, i) => {
    const comment = `other/${containerId(i + 1)}/eth0`;
    return `tcp . ${FIRST_PORT + i} comment "${comment}" : ${nthAddress(i)} . 80`;
  });
  host.on(() => {
    runWith(`add element inet weft port4 { ${elements.join(",\n")} }\n`, "nft", "-f", "-");
    for (let i = 0; i < number; i++) {
      const claims = `/run/weft/ports/tcp/${FIRST_PORT + i}`;
      mkdirSync(claims, { recursive: true });
      symlinkSync(`other/${containerId(i + 1)}/eth0`, `${claims}/0.0.0.0`);
    }
  });
}

/** What as many containers leave behind: ports of bridges, elements, leases and records. */
function fillEndpoints({ suite, host }: Attachment, number: number): void {
  const inside = `ends-${suite.size}-others`;
  makeNetns(inside);
  const links = Array.from({ length: number }, (_, i) => {
    const [name, bridge] = [`other${i}`, i < PORTS_OF_A_BRIDGE ? "chain0" : "chain1"];
    return `link add ${name} master ${bridge} up type veth peer name eth${i} netns ${inside}
link set ${name} addrgenmode none
`;
  });
  const elements = Array.from({ length: number }, (_, i) => {
    const comment = `chain/${containerId(i + 1)}/eth0`;
    return `"chain0" . ${nthAddress(i)} comment "${comment}"`;
  });
  fillLeases(`/run/chain-leases-${10 + suite.index}/chain`, number);
  host.on(() => {
    run("ip", "link", "add", "chain1", "up", "type", "bridge");
    runWith(links.join(""), "ip", "-batch", "-");
    runWith(`add element inet weft masq4 { ${elements.join(",\n")} }\n`, "nft", "-f", "-");
    mkdirSync("/run/weft/attachments/chain", { recursive: true });
    for (let i = 0; i < number; i++) {
      const key = { plugin: "bridge", network: "chain", containerId: containerId(i + 1), ifname: "eth0" };
      const record = { ...key, netns: `/run/netns/${inside}`, details: { hostName: `other${i}` } };
      writeFileSync(`/run/weft/attachments/chain/${key.containerId}:eth0:bridge`, JSON.stringify(record));
    }
  });
}

function count(number: number): string {
  return number.toLocaleString("en");
}
