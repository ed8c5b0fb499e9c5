/** A chain of plugins as a runtime calls it: bridge, portmap, firewall for ADD, and backwards for DEL. */
import { mkdirSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { type Case, containerId, type Step, type Suite } from "./cases.ts";
import { makeNetns } from "./host.ts";
import { Program } from "./process.ts";
import { simulateHost } from "./simulated-host.ts";

/** A suite, and what is to keep its rules. */
export interface ChainSuite extends Suite {
  /** What the configuration asks for: nothing where the plugins choose. */
  readonly backend?: "iptables" | "nftables";
}

/**
 * The PATH of a host without iptables: where there is one, the reference's bridge deletes by it as well,
 * and fails on what iptables 1.8.9 says of a chain that is missing.
 */
const NFT_ALONE = "/run/nft-alone";

const ROUNDS = 41;
const CNI_VERSION = "1.0.0"; // what every suite speaks
/** The reference has firewall in iptables alone. */
const CHAIN = ["bridge", "portmap", "firewall"] as const;
/** The first version of the reference in which bridge and portmap have nftables. */
const FIRST_WITH_NFTABLES = 1.6;

export type ChainPlugin = (typeof CHAIN)[number];

/** Ours as it is, the newest reference with each of its backends. */
export function chainSuites([ours, ...references]: readonly Suite[]): ChainSuite[] {
  const newest = references.at(-1);
  if (!ours || !newest) return ours ? [ours] : [];
  const backends =
    Number.parseFloat(newest.name) >= FIRST_WITH_NFTABLES
      ? (["iptables", "nftables"] as const)
      : (["iptables"] as const);
  const variants = backends.map((backend, i) => ({
    ...newest,
    name: `${newest.name} ${backend}`,
    index: i + 1,
    backend,
  }));
  return [ours, ...variants];
}

export function chainCases(): Case<ChainSuite>[] {
  return [
    {
      name: "chain,",
      rounds: ROUNDS,
      bars: { "ADD in all": 0.25, "DEL in all": 0.3, "bridge ADD": 0.35, "bridge DEL": 0.35 },
      prepare: prepareChain,
    },
  ];
}

/** On a host that has another container with another port already. */
function prepareChain(suite: ChainSuite): Step[] {
  const host = simulateHost(`chain-${suite.index}`);
  linkNftAlone();
  const steps = (index: number) =>
    chainSteps(suite, { index, netns: makeNetns(`chain-${suite.index}-${index}`), hostPort: 8_080 + index });
  let answer = "";
  for (const { program, stdin } of steps(1).slice(0, CHAIN.length)) {
    const { status, stdout } = host.on(() => program.run(stdin(answer)));
    if (status !== 0) throw new Error(`${program.file}: ${stdout}`);
    answer = stdout;
  }
  return steps(0).map((step) => ({ ...step, host }));
}

/** Makes what chainProgram() gives as PATH. */
export function linkNftAlone(): void {
  mkdirSync(NFT_ALONE, { recursive: true });
  rmSync(`${NFT_ALONE}/nft`, { force: true });
  symlinkSync("/usr/sbin/nft", `${NFT_ALONE}/nft`);
}

export interface ChainContainer {
  readonly index: number;
  readonly netns: string;
  readonly hostPort: number;
}

/** ADD of each plugin with the result of the one before, then DEL of each with the last result. */
export function chainSteps(suite: ChainSuite, container: ChainContainer): Step[] {
  const stepOf = (command: "ADD" | "DEL", plugin: ChainPlugin): Step => ({
    name: `${plugin} ${command}`,
    total: `${command} in all`,
    program: chainProgram(suite, plugin, command, container),
    stdin: (answer) => {
      const prevResult = answer && JSON.parse(answer);
      return JSON.stringify({ ...chainConfig(suite, plugin, container), ...(prevResult && { prevResult }) });
    },
  });
  return [
    ...CHAIN.map((plugin) => stepOf("ADD", plugin)),
    ...CHAIN.toReversed().map((plugin) => stepOf("DEL", plugin)),
  ];
}

export function chainProgram(
  { dir, backend }: ChainSuite,
  plugin: ChainPlugin,
  command: string,
  { index, netns }: Pick<ChainContainer, "index" | "netns">,
): Program {
  return new Program(join(dir, plugin), {
    CNI_COMMAND: command,
    CNI_CONTAINERID: containerId(index),
    CNI_NETNS: netns,
    CNI_IFNAME: "eth0",
    CNI_PATH: dir,
    PATH: backend === "nftables" && plugin !== "firewall" ? NFT_ALONE : "/usr/sbin:/usr/bin:/sbin:/bin",
  });
}

/** The network "chain": its bridge is "chain0", its leases are the suite's own. */
export function chainConfig(
  { index, backend }: ChainSuite,
  plugin: ChainPlugin,
  { hostPort }: Pick<ChainContainer, "hostPort">,
): object {
  const common = { cniVersion: CNI_VERSION, name: "chain", type: plugin };
  const portMappings = [{ hostPort, containerPort: 80, protocol: "tcp" }];
  switch (plugin) {
    case "bridge":
      return {
        ...common,
        bridge: "chain0",
        isDefaultGateway: true,
        ipMasq: true,
        ...(backend && { ipMasqBackend: backend }),
        ipam: {
          type: "host-local",
          dataDir: `/run/chain-leases-${index}`,
          ranges: [[{ subnet: "10.62.0.0/16" }]],
        },
      };
    case "portmap":
      return { ...common, ...(backend && { backend }), runtimeConfig: { portMappings } };
    case "firewall":
      return { ...common, ...(backend && { backend: "iptables" }) };
  }
}
