/**
 * Hosts beside one another: a network namespace each, with a state of its own, on one switch, which the
 * private host plays. RFC 5737.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { type Endpoint, readBridgeEndpoint } from "./endpoint.ts";
import { overlayCommands, overlayEndpointCommands } from "./equivalent-overlay.ts";
import { drawHosts } from "./hosts-picture.ts";
import { look, type Run, wordsOf } from "./look.ts";
import type { Stage } from "./stage.ts";

const SWITCH = "switch0";
/** What is a host's own, and where weft looks for it. */
const STATE = { weft: "/run/weft", cni: "/var/lib/cni" } as const;
const FOLDER = "/run/weft-demo";

/**
 * For a shell in the host's network namespace, and in a mount namespace that `ip netns exec` has just made:
 * puts what is the host's own where weft looks for it.
 */
const ENTER = `${Object.entries(STATE)
  .map(([name, path]) => `mount --bind ${FOLDER}/$0/${name} ${path}`)
  .join(" && ")} && exec "$@"`;

export interface SwitchedHost {
  readonly name: string;
  /** Of its eth0. */
  readonly address: string;
}

/** A container of one of them. */
export interface OverlayEndpoint extends Endpoint {
  readonly host: SwitchedHost;
  readonly hostEnd: string;
  readonly bridge: string;
}

export class SwitchedHosts {
  readonly #stage: Stage;
  readonly #hosts: SwitchedHost[] = [];
  #endpoints: OverlayEndpoint[] = [];

  constructor(stage: Stage) {
    this.#stage = stage;
    stage.run(`ip link add ${SWITCH} type bridge`);
    stage.run(`ip link set ${SWITCH} up`);
  }

  /** Makes one more, with a cable to the switch. */
  async add(): Promise<SwitchedHost> {
    const number = this.#hosts.length + 1;
    const host = { name: `host${number}`, address: `192.0.2.${number}` };
    for (const name of Object.keys(STATE)) mkdirSync(`${FOLDER}/${host.name}/${name}`, { recursive: true });
    for (const path of Object.values(STATE)) mkdirSync(path, { recursive: true });
    this.#stage.sandbox(host.name);
    const { name, address } = host;
    this.#stage.run(`ip link add port${number} type veth peer name eth0 netns ${name}`);
    this.#stage.run(`ip link set port${number} master ${SWITCH} up`);
    this.#stage.run(`ip -n ${name} addr add ${address}/24 dev eth0`);
    this.#stage.run(`ip -n ${name} link set eth0 up`);
    await this.#stage.carrier("eth0", name);
    this.#hosts.push(host);
    return host;
  }

  /** Defines a network on a host by the text of its list, which is shown unless told otherwise. */
  network({ name }: SwitchedHost, text: string, { shown = true } = {}): void {
    const folder = `${FOLDER}/${name}/net.d`;
    const { name: network } = JSON.parse(text);
    mkdirSync(folder, { recursive: true });
    writeFileSync(`${folder}/${network}.conflist`, text);
    if (!shown) return;
    this.#stage.narrator.say(`  ${name}: /etc/cni/net.d/${network}.conflist`);
    this.#stage.narrator.listing(text.split("\n"));
  }

  /** Runs `weft add` on a host for a network of plugin vxlan, and says how to do it by hand. */
  connect(host: SwitchedHost, sandbox: string, network: string, vni: number): OverlayEndpoint {
    const where = { sandbox, network, ifname: "eth0" };
    const { stdout } = this.run(host, `weft add ${network} ${sandbox}`);
    const endpoint = { ...readBridgeEndpoint(where, stdout, () => []), host };
    const remotes = this.#hosts.filter((each) => each !== host).map(({ address }) => address);
    this.#stage.narrator.byHand([
      ...overlayCommands(endpoint, { vni, remotes, local: host.address }),
      ...overlayEndpointCommands(endpoint),
    ]);
    this.#endpoints.push(endpoint);
    return endpoint;
  }

  disconnect(endpoint: OverlayEndpoint): void {
    const { host, network, sandbox } = endpoint;
    this.run(host, `weft del ${network} ${sandbox}`);
    this.#endpoints = this.#endpoints.filter((each) => each !== endpoint);
  }

  /** Runs a command on a host, and shows it. @throws Error when it fails */
  run({ name }: SwitchedHost, command: string): Run {
    this.#stage.narrator.command(command, name);
    const words = ["ip", "netns", "exec", name, "sh", "-c", ENTER, name, ...wordsOf(command)];
    const run = look(words, { NETCONFPATH: `${FOLDER}/${name}/net.d` });
    if (run.status !== 0) throw new Error(`"${command}" failed: ${run.stderr.trim() || run.stdout.trim()}`);
    return run;
  }

  draw(vni: number): void {
    const pictures = this.#hosts.map(({ name, address }) => {
      const endpoints = this.#endpoints.filter(({ host }) => host.name === name);
      return {
        title: name,
        cable: ["eth0", address],
        bases: endpoints.slice(0, 1).map(({ bridge }) => ({ name: bridge, addresses: [`vx${vni}`] })),
        sandboxes: endpoints.map(({ sandbox, ifname, addresses, label, bridge }) => ({
          name: sandbox,
          endpoints: [{ ifname, addresses, label, base: bridge }],
        })),
      };
    });
    console.log();
    for (const line of drawHosts(pictures, SWITCH)) console.log(line);
  }

  /** Takes the switch and its cables away; the hosts are sandboxes of the stage. */
  remove(): void {
    for (const [i] of this.#hosts.entries()) this.#stage.run(`ip link del port${i + 1}`);
    this.#stage.run(`ip link del ${SWITCH}`);
  }
}
