/**
 * macvlan: puts containers on the network of a host's interface, each with a MAC of its own.
 *
 *   ADD     make the macvlan in the container's namespace, configure it from IPAM
 *   DEL     delete it, then release the addresses, then what was made on the host for it
 *   CHECK   the macvlan, its master, its addresses and routes are as ADD left them
 *   GC      delete what this network no longer owns
 *   STATUS  the master is there and up, and IPAM has another address
 *
 * Reference: https://www.cni.dev/plugins/current/main/macvlan/
 */
import validate from "../../generated/validate/macvlan.js";
import {
  addressInterface,
  checkAddressedInterface,
  checkAddressesAvailable,
  releaseAddresses,
  releaseStaleAddresses,
} from "../../lib/addressed-interface.ts";
import { requestedMac } from "../../lib/cni/call.ts";
import { type Call, everyStep, type GcCall, type Plugin } from "../../lib/cni/plugin.ts";
import type { Result } from "../../lib/cni/result.ts";
import { ALL_VERSIONS } from "../../lib/cni/version.ts";
import {
  createContainerLink,
  deleteContainerLink,
  recordContainerLink,
  staleContainerLinkSteps,
} from "../../lib/container-link.ts";
import {
  addHostAccess,
  checkHostAccess,
  deleteHostAccess,
  staleHostAccessSteps,
  verifyHostAccess,
} from "../../lib/host-access.ts";
import { failed } from "../../lib/interface.ts";
import {
  checkMaster,
  checkMasterAvailable,
  refuseWireless,
  useMaster,
  verifyMaster,
} from "../../lib/master.ts";
import { type Link, setLink } from "../../lib/rtnetlink/link.ts";
import { MACVLAN_MODES, macvlan, macvlanData, nameOf } from "../../lib/rtnetlink/link-kinds.ts";
import { openSandbox, type Sandbox } from "../../lib/sandbox.ts";
import { releaseSharedLinks, releaseStaleSharedLinks } from "../../lib/shared-link.ts";
import { type Config, schema } from "./schema.ts";

const MAKER = { plugin: "macvlan", kind: "macvlan" };

function verify(config: Config): void {
  verifyMaster(config);
  verifyHostAccess(config);
}

function add(call: Call<Config>): Result {
  const { config, args } = call;
  const mac = requestedMac(config.runtimeConfig.mac, args["MAC"], config.mac);
  const sandbox = openSandbox(call);
  recordContainerLink(call, MAKER, sandbox);
  const master = useMaster(call, sandbox);
  refuseWireless(master, sandbox);
  const data = macvlanData(config.mode || "bridge", config.bcqueuelen || undefined);
  const made = createContainerLink(call, sandbox, MAKER, { master, data, mac, mtu: config.mtu || undefined });
  const link = config.mode === "passthru" && mac ? withMac(sandbox, made, mac) : made;
  const result = addressInterface(call, sandbox, link, { duplicateDetection: "optimistic" });
  addHostAccess(call, sandbox, master, link, result.ips);
  return result;
}

/**
 * In mode passthru the kernel made it with the master's MAC, which changes with its own, and back at the end.
 */
function withMac({ container }: Sandbox, link: Link, mac: Uint8Array): Link {
  setLink(container, link, { mac });
  return { ...link, mac };
}

function del(call: Call<Config>): void {
  everyStep(
    () => deleteHostAccess(call),
    () => deleteContainerLink(call, MAKER, () => releaseAddresses(call)),
    () => releaseSharedLinks(call),
  );
}

function check(call: Call<Config>): void {
  const { config } = call;
  const sandbox = openSandbox(call);
  const link = checkAddressedInterface(call, sandbox, MAKER);
  const { mode, bcQueueLen } = macvlan.read(link.data);
  const expected = config.mode || "bridge";
  if (mode !== MACVLAN_MODES[expected]) {
    throw failed(`macvlan mode of ${link.name} is ${nameOf(MACVLAN_MODES, mode)}, not ${expected}`);
  }
  if (config.bcqueuelen !== 0 && bcQueueLen !== config.bcqueuelen) {
    throw failed(`bcqueuelen of ${link.name} is ${bcQueueLen}, not ${config.bcqueuelen}`);
  }
  checkMaster(call, sandbox, link);
  checkHostAccess(call, sandbox, link);
}

function gc(call: GcCall<Config>): void {
  everyStep(
    ...staleHostAccessSteps(call),
    ...staleContainerLinkSteps(call, MAKER),
    () => releaseStaleAddresses(call),
    () => releaseStaleSharedLinks(call),
  );
}

function status(call: Call<Config>): void {
  checkMasterAvailable(call);
  checkAddressesAvailable(call);
}

export const macvlanPlugin: Plugin<Config> = {
  name: "macvlan",
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
export default macvlanPlugin;
