/**
 * tap: makes a tap device in a container, for a program there to open, such as a virtual machine monitor.
 *
 *   ADD     make the tap, make it a port of the container's bridge if asked to, configure it from IPAM
 *   DEL     delete the tap, then release the addresses; either may be gone already
 *   CHECK   the tap, its owners, its bridge, addresses and routes are as ADD left them
 *   GC      delete what this network no longer owns
 *   STATUS  a tap can be made, and IPAM has another address
 *
 * Reference: https://www.cni.dev/plugins/current/main/tap/
 */
import validate from "../../generated/validate/tap.js";
import {
  addressInterface,
  checkAddressedInterface,
  checkAddressesAvailable,
  releaseAddresses,
  releaseStaleAddresses,
} from "../../lib/addressed-interface.ts";
import { requestedMac } from "../../lib/cni/call.ts";
import { faultOfIfname } from "../../lib/cni/environment.ts";
import { invalidConfig } from "../../lib/cni/error.ts";
import { type Call, everyStep, type GcCall, type Plugin } from "../../lib/cni/plugin.ts";
import type { Result } from "../../lib/cni/result.ts";
import { ALL_VERSIONS } from "../../lib/cni/version.ts";
import {
  deleteContainerLink,
  type Maker,
  makeContainerLink,
  recordContainerLink,
  staleContainerLinkSteps,
} from "../../lib/container-link.ts";
import { failed } from "../../lib/interface.ts";
import { verifyMtu } from "../../lib/mtu.ts";
import { findLink, type Link, setLink } from "../../lib/rtnetlink/link.ts";
import { openSandbox, type Sandbox } from "../../lib/sandbox.ts";
import { requireSelinux } from "../../lib/selinux.ts";
import { checkTap, checkTapAvailable, createTap, type TapOptions } from "../../lib/tap.ts";
import { type Config, schema } from "./schema.ts";

const MAKER: Maker = { plugin: "tap", kind: "tun" };

/**
 * Nobody answers before a program opens the tap, and the kernel asks nobody while there is no carrier: the
 * address would stay tentative until then. Who opens it is of this host, and given its address by it.
 */
const ADDRESS_OPTIONS = { duplicateDetection: "none" } as const;

function verify({ mtu, bridge, selinuxContext }: Config): void {
  verifyMtu(mtu);
  const fault = bridge === "" ? undefined : faultOfIfname(bridge);
  if (fault) throw invalidConfig(`invalid "bridge": ${JSON.stringify(bridge)} ${fault.msg}`, fault.details);
  if (/[\0\n]/.test(selinuxContext)) {
    throw invalidConfig(`invalid "selinuxContext": ${JSON.stringify(selinuxContext)}`, "it must be one line");
  }
}

function add(call: Call<Config>): Result {
  const { config, ifname, args } = call;
  const mac = requestedMac(config.runtimeConfig.mac, args["MAC"], config.mac);
  if (config.selinuxContext) requireSelinux("selinuxContext");
  const sandbox = openSandbox(call);
  const { container, netns } = sandbox;
  const bridge = config.bridge ? bridgeInside(sandbox, config.bridge) : undefined;

  recordContainerLink(call, MAKER, sandbox);
  const link = makeContainerLink(call, sandbox, MAKER, (alias) => {
    createTap(netns, { ...tapOptions(config), name: ifname }, () => {
      const mtu = config.mtu || undefined;
      setLink(container, { name: ifname }, { mac, mtu, master: bridge?.index, alias });
    });
  });
  return addressInterface(call, sandbox, link, ADDRESS_OPTIONS);
}

function del(call: Call<Config>): void {
  deleteContainerLink(call, MAKER, () => releaseAddresses(call));
}

function check(call: Call<Config>): void {
  const { config } = call;
  const sandbox = openSandbox(call);
  const link = checkAddressedInterface(call, sandbox, { kind: MAKER.kind });
  checkTap(link, tapOptions(config));
  if (!config.bridge) return;
  const bridge = findLink(sandbox.container, config.bridge);
  if (!bridge) throw failed(`Bridge ${config.bridge} not found in "${call.netnsPath}"`);
  if (link.master !== bridge.index) throw failed(`Interface ${link.name} is not a port of ${bridge.name}`);
}

function gc(call: GcCall<Config>): void {
  everyStep(...staleContainerLinkSteps(call, MAKER), () => releaseStaleAddresses(call));
}

function status(call: Call<Config>): void {
  const { config } = call;
  if (config.selinuxContext) requireSelinux("selinuxContext");
  checkTapAvailable();
  checkAddressesAvailable(call);
}

/** The bridge, which is where the tap will be: both are in one namespace. @throws CniError 7 */
function bridgeInside({ container, netns }: Sandbox, name: string): Link {
  const bridge = findLink(container, name);
  const where = '"bridge" names one in the container\'s namespace, where its ports are';
  if (!bridge) {
    throw invalidConfig(
      `failed to get bridge ${name}: Link not found`,
      `make it in "${netns.path}" first: ${where}`,
    );
  }
  if (bridge.kind === "bridge") return bridge;
  throw invalidConfig(`failed to get bridge ${name}: it is not a bridge`, where);
}

function tapOptions({ multiQueue, owner, group, selinuxContext }: Config): TapOptions {
  return { multiQueue, owner, group, selinuxContext: selinuxContext || undefined };
}

export const tapPlugin: Plugin<Config> = {
  name: "tap",
  versions: ALL_VERSIONS,
  schema,
  validate,
  argKeys: ["MAC"],
  verify,
  add,
  del,
  check,
  gc,
  status,
};
export default tapPlugin;
