/** A host, and calls of CNI on it with their undo and their end: for tests of what plugins are made of. */
import { mkdirSync, rmSync, symlinkSync } from "node:fs";
import { type Call, callPlugin, type GcCall, type Plugin } from "../cni/plugin.ts";
import { inNetns } from "../netns/netns.ts";
import { listAllRecords } from "../state/record.ts";
import { TestNetns } from "./netns.ts";
import { input, probe } from "./probe.ts";

/** What a test's call says; of the rest, nothing that matters. */
export interface CallParts {
  readonly network?: string;
  readonly containerId?: string;
  readonly ifname?: string;
  /** CNI_NETNS. */
  readonly netns?: string;
  /** Further keys of the configuration. */
  readonly config?: object;
  /** Ids of the containers that GC is told of, each with its eth0. */
  readonly valid?: readonly string[];
}

/** Where a delegate is found: files that are this process's own. */
const PLUGINS = "/run/test-plugins";

/** A namespace that is the host. Needs a /run of its own: noOwnRunReason. */
export class CniHost implements Disposable {
  readonly netns: TestNetns;

  private constructor(netns: TestNetns) {
    this.netns = netns;
  }

  static async make(setUp = ":"): Promise<CniHost> {
    const netns = await TestNetns.make();
    netns.run(setUp);
    return new CniHost(netns);
  }

  /** What `act` returns, with a call such as plugins get it: undone when it throws. */
  // biome-ignore lint/suspicious/noExplicitAny: a configuration of whatever plugin
  call<T>(parts: CallParts, act: (call: GcCall<any>) => T): T {
    const { network = "net", containerId = "c1", ifname = "eth0", netns = "", valid = [] } = parts;
    const answers: T[] = [];
    const perform = (call: Call) => {
      const validAttachments = valid.map((containerID) => ({ containerID, ifname: "eth0" }));
      answers.push(act({ ...call, config: { ...call.config, ...parts.config }, validAttachments }));
      return {};
    };
    const { plugin } = probe({ add: perform, del: perform });
    const variables = { CNI_CONTAINERID: containerId, CNI_IFNAME: ifname, CNI_NETNS: netns };
    const request = input(netns === "" ? "DEL" : "ADD", { name: network }, variables); // ADD must have one
    inNetns(this.netns.netns, () => void callPlugin(plugin, request));
    return answers[0] as T;
  }

  /**
   * What a plugin answers to a command, for the attachment that `parts` say. It finds the plugins of `own`,
   * such as its IPAM plugin, in this process.
   */
  // biome-ignore lint/suspicious/noExplicitAny: a plugin of whatever configuration
  ask(plugin: Plugin<any>, command: string, parts: CallParts, own: readonly Plugin<any>[] = []): string {
    const { network = "net", containerId = "c1", ifname = "eth0", netns = "", valid = [] } = parts;
    const attachments = valid.map((containerID) => ({ containerID, ifname: "eth0" }));
    mkdirSync(PLUGINS, { recursive: true });
    for (const { name } of own) symlinkSync(process.execPath, `${PLUGINS}/${name}`);
    const request = input(
      command,
      { type: plugin.name, name: network, "cni.dev/valid-attachments": attachments, ...parts.config },
      { CNI_CONTAINERID: containerId, CNI_IFNAME: ifname, CNI_NETNS: netns, CNI_PATH: PLUGINS },
    );
    try {
      const delegates = new Map(own.map((each) => [each.name, each]));
      return inNetns(this.netns.netns, () => callPlugin(plugin, { ...request, own: delegates }));
    } finally {
      rmSync(PLUGINS, { recursive: true });
    }
  }

  /** Names and kinds of the host's interfaces but the loopback device, as `ip` shows them. */
  links(): string[] {
    return linksOf(this.netns);
  }

  [Symbol.dispose](): void {
    this.netns[Symbol.dispose]();
    rmSync("/run/weft", { recursive: true, force: true });
  }
}

/** "eth0 macvlan", of each interface but the loopback device; a pair of veths has no kind here but "veth". */
export function linksOf(netns: TestNetns): string[] {
  return netns
    .json("ip -j -d link show")
    .filter(({ ifname }: { ifname: string }) => ifname !== "lo")
    .map(
      ({ ifname, linkinfo }: { ifname: string; linkinfo?: { info_kind: string } }) =>
        `${ifname} ${linkinfo?.info_kind}`,
    )
    .sort();
}

/** Whose records there are, as "c1:eth0:macvlan". */
export function recordsThere(): string[] {
  return listAllRecords()
    .map(({ containerId, ifname, plugin }) => `${containerId}:${ifname}:${plugin}`)
    .sort();
}
