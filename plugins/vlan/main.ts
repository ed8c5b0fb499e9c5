/**
 * vlan: gives a container an 802.1Q VLAN of a host's interface.
 *
 *   ADD     make the VLAN interface in the container's namespace, configure it from IPAM
 *   DEL     delete it, then release the addresses; its master may be gone already
 *   CHECK   the interface, its VLAN, its master, its addresses and routes are as ADD left them
 *   GC      delete what this network no longer owns
 *   STATUS  the master is there and up, and IPAM has another address
 *
 * Reference: https://www.cni.dev/plugins/current/main/vlan/
 */
import validate from "../../generated/validate/vlan.js";
import {
  addressInterface,
  checkAddressedInterface,
  checkAddressesAvailable,
  releaseAddresses,
  releaseStaleAddresses,
} from "../../lib/addressed-interface.ts";
import { invalidConfig } from "../../lib/cni/error.ts";
import { type Call, everyStep, type GcCall, type Plugin } from "../../lib/cni/plugin.ts";
import type { Result } from "../../lib/cni/result.ts";
import { ALL_VERSIONS } from "../../lib/cni/version.ts";
import {
  createContainerLink,
  deleteContainerLink,
  recordContainerLink,
  staleContainerLinkSteps,
} from "../../lib/container-link.ts";
import { failed } from "../../lib/interface.ts";
import { checkMaster, checkMasterAvailable, refuseDown, useMaster, verifyMaster } from "../../lib/master.ts";
import { vlan, vlanData } from "../../lib/rtnetlink/link-kinds.ts";
import { openSandbox } from "../../lib/sandbox.ts";
import { releaseSharedLinks, releaseStaleSharedLinks } from "../../lib/shared-link.ts";
import { type Config, schema } from "./schema.ts";

const MAKER = { plugin: "vlan", kind: "vlan" };

function verify(config: Config): void {
  if (config.master === "")
    throw invalidConfig('"master" field is required. It specifies the host interface name');
  verifyMaster(config);
  if (!config.ipam.type) throw invalidConfig('a VLAN interface needs "ipam"');
}

function add(call: Call<Config>): Result {
  const { mtu, vlanId } = call.config;
  const sandbox = openSandbox(call);
  recordContainerLink(call, MAKER, sandbox);
  const master = useMaster(call, sandbox);
  refuseDown(master.link, vlanId);
  const data = vlanData(vlanId);
  const link = createContainerLink(call, sandbox, MAKER, { master, data, mtu: mtu || undefined });
  return addressInterface(call, sandbox, link, { duplicateDetection: "optimistic" });
}

function del(call: Call<Config>): void {
  everyStep(
    () => deleteContainerLink(call, MAKER, () => releaseAddresses(call)),
    () => releaseSharedLinks(call),
  );
}

function check(call: Call<Config>): void {
  const { vlanId } = call.config;
  const sandbox = openSandbox(call);
  const link = checkAddressedInterface(call, sandbox, MAKER);
  const { id } = vlan.read(link.data);
  if (id !== vlanId) throw failed(`VLAN of ${link.name} is ${id}, not ${vlanId}`);
  checkMaster(call, sandbox, link);
}

function gc(call: GcCall<Config>): void {
  everyStep(
    ...staleContainerLinkSteps(call, MAKER),
    () => releaseStaleAddresses(call),
    () => releaseStaleSharedLinks(call),
  );
}

function status(call: Call<Config>): void {
  checkMasterAvailable(call);
  checkAddressesAvailable(call);
}

export const vlanPlugin: Plugin<Config> = {
  name: "vlan",
  versions: ALL_VERSIONS,
  schema,
  validate,
  verify,
  add,
  del,
  check,
  gc,
  status,
};
export default vlanPlugin;
