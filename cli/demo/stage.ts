/** What a topology is built from on the private host: networks, sandboxes and endpoints; and its proofs. */
import { mkdirSync, writeFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { type NetworkList, parseNetworkList } from "../runtime/network-list.ts";
import {
  type BridgeEndpoint,
  type Endpoint,
  type RoutedEndpoint,
  readBridgeEndpoint,
  readRoutedEndpoint,
  readUnderlayEndpoint,
  type Where,
} from "./endpoint.ts";
import {
  bridgeCommands,
  bridgeEndpointCommands,
  routedEndpointCommands,
  underlayEndpointCommands,
} from "./equivalent.ts";
import { masqueradeCommands, type PortMapping, publishCommands } from "./equivalent-nat.ts";
import { look, lookJson, NETWORKS_DIR, type Run } from "./look.ts";
import type { Narrator } from "./narrator.ts";
import { joinOutside, type Outside } from "./outside.ts";
import { drawPicture, type PictureSandbox } from "./picture.ts";
import { differences, listElements, type Remains, remainsOf } from "./remains.ts";
import { type Service, startService } from "./service.ts";

interface ConnectOptions {
  readonly ifname?: string;
  /** Published. */
  readonly ports?: readonly PortMapping[];
  /** More of `weft add`: "--ip", "10.0.0.9". */
  readonly words?: readonly string[];
}

/** An interface of the container on one of the host's. */
interface UnderlayOptions {
  /** The host's. */
  readonly master: string;
  /** As `ip link add … type` takes it: "macvlan mode bridge". */
  readonly type: string;
  /** What one would do by hand before that, and after all. */
  readonly before?: readonly string[];
  readonly after?: (endpoint: Endpoint) => readonly string[];
}

interface RunOptions {
  readonly shown?: string;
  readonly variables?: Readonly<Record<string, string>>;
}

/** 5 s at most. */
const CARRIER_STEPS = 250;
const CARRIER_STEP_MS = 20;

/** How long an answer may take, in seconds. */
const PING_TIMEOUT_S = 1;

/** What `ip -j addr` says of an interface. */
export interface Interface {
  readonly ifname: string;
  readonly ifindex: number;
  readonly link_index?: number;
  readonly operstate: string;
  readonly address: string;
  readonly master?: string;
  readonly addr_info: readonly {
    readonly local: string;
    readonly prefixlen: number;
    readonly scope: string;
    readonly tentative?: boolean;
  }[];
}

export class Stage implements AsyncDisposable {
  readonly narrator: Narrator;
  readonly #before: Remains;
  readonly #networks = new Map<string, NetworkList>();
  readonly #sandboxes: string[] = [];
  readonly #services: Service[] = [];
  #outside: Outside | undefined;
  #connected: Where[] = [];
  #endpoints: Endpoint[] = [];

  constructor(narrator: Narrator) {
    this.narrator = narrator;
    mkdirSync(NETWORKS_DIR, { recursive: true });
    this.#before = this.remains();
  }

  /** Defines a network by the text of its list, which is shown as it is. */
  network(text: string): void {
    const network = parseNetworkList(text);
    const { name } = network;
    this.#networks.set(name, network);
    writeFileSync(`${NETWORKS_DIR}/${name}.conflist`, text);
    this.narrator.say(`  /etc/cni/net.d/${name}.conflist`);
    this.narrator.listing(text.split("\n"));
  }

  /** A namespace is born with its loopback down; a container of Docker's has it up. */
  sandbox(name: string, { loopback = "up" } = {}): void {
    this.run(`ip netns add ${name}`);
    if (loopback === "up") this.run(`ip -n ${name} link set lo up`);
    this.#sandboxes.push(name);
  }

  /** A host beyond this one's uplink, which knows nothing of containers. */
  async outside(options: { ipv6?: boolean } = {}): Promise<Outside> {
    const outside = joinOutside((command) => this.run(command), options);
    this.#outside = outside;
    await this.carrier(outside.uplink);
    await this.carrier(outside.uplink, outside.name);
    return outside;
  }

  /** A cable carries nothing before the kernel has noticed both of its ends. */
  async carrier(ifname: string, sandbox?: string): Promise<void> {
    for (let step = 0; this.interface(ifname, sandbox)?.operstate !== "UP"; step++) {
      if (step === CARRIER_STEPS) throw new Error(`${ifname} of ${sandbox ?? "the host"} has no carrier`);
      await delay(CARRIER_STEP_MS);
    }
  }

  /**
   * Starts a server that tells its clients whom it sees.
   * @param name its own, and that of the sandbox or outside host it is in, unless `inside` says otherwise
   */
  async serve(
    name: string,
    ports: readonly string[],
    { inside = `ip netns exec ${name} ` } = {},
  ): Promise<void> {
    const command = `${inside}weft demo --role server ${name} ${ports.join(" ")}`;
    this.narrator.command(`${command} &`);
    this.#services.push(await startService(command));
  }

  /** Runs `weft add` for a network of the plugin bridge, and says how to do it by hand. */
  connect(
    sandbox: string,
    network: string,
    { ifname = "eth0", ports = [], words = [] }: ConnectOptions = {},
  ): BridgeEndpoint {
    const where = { sandbox, network, ifname };
    const printed = this.#add(where, { ports, words });
    const endpoint = readBridgeEndpoint(where, printed, (bridge) => this.addresses(bridge));
    const isFirst = !this.#endpoints.some(({ base }) => base.name === endpoint.bridge);
    const { plugins = [] } = this.#networks.get(network) ?? {};
    const isMasqueraded = plugins.some(({ ipMasq }) => ipMasq === true);
    const commands = [
      ...(isFirst ? bridgeCommands(endpoint) : []),
      ...(isFirst && isMasqueraded ? masqueradeCommands(endpoint) : []),
      ...bridgeEndpointCommands(endpoint),
      ...ports.flatMap((mapping) => publishCommands(endpoint, mapping)),
    ];
    this.narrator.byHand([...new Set(commands)]);
    this.#endpoints.push(endpoint);
    return endpoint;
  }

  /** The same for a network of the plugin ptp. */
  connectRouted(sandbox: string, network: string): RoutedEndpoint {
    const where = { sandbox, network, ifname: "eth0" };
    const endpoint = readRoutedEndpoint(where, this.#add(where), (ifname) => this.addresses(ifname));
    this.narrator.byHand(routedEndpointCommands(endpoint));
    this.#endpoints.push(endpoint);
    return endpoint;
  }

  /** The same for a network of macvlan or ipvlan. */
  connectUnderlay(sandbox: string, network: string, options: UnderlayOptions): Endpoint {
    const { master, type, before = [], after = () => [] } = options;
    const where = { sandbox, network, ifname: "eth0" };
    const printed = this.#add(where);
    const base = { name: master, addresses: this.addresses(master) };
    const endpoint = readUnderlayEndpoint(where, printed, { label: type.split(" mode ").join(" "), base });
    this.narrator.byHand([...before, ...underlayEndpointCommands(endpoint, type), ...after(endpoint)]);
    this.#endpoints.push(endpoint);
    return endpoint;
  }

  /** The same for a network without a cable. */
  connectLoopback(sandbox: string, network: string): void {
    this.#add({ sandbox, network, ifname: "lo" });
  }

  disconnect(where: Where): void {
    this.#run(`weft del ${wordsOf(where)}`);
    const isOther = (it: Where) => it.sandbox !== where.sandbox || it.ifname !== where.ifname;
    this.#connected = this.#connected.filter(isOther);
    this.#endpoints = this.#endpoints.filter(isOther);
  }

  /** Draws what has been made, what is in a sandbox beside its endpoints, and programs. */
  draw(inside: Readonly<Record<string, readonly string[]>> = {}, programs: readonly string[] = []): void {
    const sandboxes = this.#sandboxes.map(
      (name): PictureSandbox => ({
        name,
        inside: inside[name] ?? [],
        endpoints: this.#endpoints
          .filter(({ sandbox }) => sandbox === name)
          .map(({ ifname, addresses, label, base }) => ({ ifname, addresses, label, base: base.name })),
      }),
    );
    const bases = new Map(this.#endpoints.map(({ base }) => [base.name, base]));
    console.log();
    const picture = { sandboxes, programs, bases: [...bases.values()], outside: this.#outside };
    for (const line of drawPicture(picture)) console.log(line);
  }

  /** Runs a command and shows it with what it prints. @throws Error when it fails */
  run(command: string): string {
    const { stdout } = this.#run(command);
    if (stdout.trim() !== "") this.narrator.output(stdout);
    return stdout;
  }

  /** Runs one of weft's listings and shows what it prints as it is; it may fail. */
  ask(command: string): Run {
    this.narrator.command(command);
    const run = look(command);
    this.narrator.report(run.stdout + run.stderr);
    return run;
  }

  /**
   * Proves that each of the addresses, with a prefix length or without, answers, or that none does.
   * @param sandbox who asks: "host" is the host
   */
  ping(sandbox: string, addresses: readonly string[], { answers = true, because = "" } = {}): void {
    const inside = sandbox === "host" ? "" : `ip netns exec ${sandbox} `;
    for (const given of addresses) {
      const [address] = given.split("/");
      const { stdout, stderr } = look(`${inside}ping -n -c 1 -W ${PING_TIMEOUT_S} ${address}`);
      const time = /time=(\S+ ms)/.exec(stdout)?.[1];
      const silence = /unreachable/i.test(stdout + stderr) ? "unreachable" : "no answer";
      const outcome = time ? `answers in ${time}` : silence;
      const text = `${sandbox} pings ${address}: ${outcome}${because && ` (${because})`}`;
      this.narrator.proof(text, { holds: answers === (time !== undefined) });
    }
  }

  interface(name: string, sandbox?: string): Interface | undefined {
    return this.interfaces(sandbox).find(({ ifname }) => ifname === name);
  }

  interfaces(sandbox?: string): Interface[] {
    return lookJson<Interface>(`ip -j ${sandbox ? `-n ${sandbox} ` : ""}addr`);
  }

  /** Those that reach further than the link. */
  addresses(name: string, sandbox?: string): string[] {
    const { addr_info = [] } = this.interface(name, sandbox) ?? {};
    return addr_info
      .filter(({ scope }) => scope === "global")
      .map(({ local, prefixlen }) => `${local}/${prefixlen}`);
  }

  remains(): Remains {
    const links = this.interfaces().map(({ ifname }) => ifname);
    return remainsOf({ links, elements: listElements() });
  }

  /** Ends the servers; the process would wait for them. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const service of this.#services.splice(0)) await service.stop();
  }

  /** Undoes everything, and proves that nothing is left. */
  async teardown(): Promise<void> {
    await this[Symbol.asyncDispose]();
    for (const where of this.#connected.toReversed()) this.disconnect(where);
    for (const network of this.#networks.keys()) this.#run(`weft gc ${network}`);
    for (const sandbox of this.#sandboxes) this.run(`ip netns del ${sandbox}`);
    for (const command of this.#outside?.teardown ?? []) this.run(command);
    this.proveUnchanged(this.#before, "nothing is left");
  }

  proveUnchanged(before: Remains, text: string): void {
    const after = this.remains();
    const changes = differences(before, after);
    const counts = Object.entries(after).map(
      ([kind, names]) => `${names.length} ${names.length === 1 ? kind.slice(0, -1) : kind}`,
    );
    const said = changes.length > 0 ? changes.join(", ") : counts.join(", ");
    this.narrator.proof(`${text}: ${said}${changes.length > 0 ? "" : ", as before"}`, {
      holds: changes.length === 0,
    });
  }

  #add(where: Where, { ports = [], words = [] }: Pick<ConnectOptions, "ports" | "words"> = {}): string {
    const command = ["weft add", wordsOf(where), ...words].join(" ");
    const { stdout } = this.#run(command, ports.length > 0 ? publishing(command, ports) : {});
    this.#connected.push(where);
    return stdout;
  }

  #run(command: string, { shown = command, variables = {} }: RunOptions = {}): Run {
    this.narrator.command(shown);
    const run = look(command, variables);
    if (run.status !== 0) throw new Error(`"${command}" failed: ${run.stderr.trim() || run.stdout.trim()}`);
    return run;
  }
}

function wordsOf({ network, sandbox, ifname }: Where): string {
  return `${network} ${sandbox}${ifname === "eth0" ? "" : ` --ifname ${ifname}`}`;
}

/** A command as it is shown, and run, with ports to publish. */
export function publishing(command: string, portMappings: readonly PortMapping[]): Required<RunOptions> {
  const lines = portMappings.map((port) => `  ${JSON.stringify(port)}`);
  return {
    shown: `CAP_ARGS='{"portMappings": [\n${lines.join(",\n")}\n]}' ${command}`,
    variables: { CAP_ARGS: JSON.stringify({ portMappings }) },
  };
}
