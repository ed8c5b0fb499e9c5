/**
 * ipvlan: puts containers on the network of a host's interface under its MAC, each with addresses of its own.
 *
 *   ADD     make the ipvlan in the container's namespace, configure it from IPAM or from the plugin before
 *   DEL     delete it, then release the addresses, then what was made on the host for it
 *   CHECK   the ipvlan, its master, its addresses and routes are as ADD left them
 *   GC      delete what this network no longer owns
 *   STATUS  the master is there and up, and IPAM has another address
 *
 * Reference: https://www.cni.dev/plugins/current/main/ipvlan/
 */
import validate from "../../generated/validate/ipvlan.js";
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
import { claimIpvlanMode, releaseIpvlanMode, releaseStaleIpvlanModes } from "../../lib/ipvlan-mode.ts";
import { checkMaster, checkMasterAvailable, useMaster, verifyMaster } from "../../lib/master.ts";
import { IPVLAN_FLAGS, IPVLAN_MODES, ipvlan, ipvlanData, nameOf } from "../../lib/rtnetlink/link-kinds.ts";
import { openSandbox } from "../../lib/sandbox.ts";
import { releaseSharedLinks, releaseStaleSharedLinks } from "../../lib/shared-link.ts";
import { type Config, schema } from "./schema.ts";

const MAKER = { plugin: "ipvlan", kind: "ipvlan" };

function add(call: Call<Config>): Result {
  const { mode, flag, mtu } = settingsOf(call.config);
  const leased = leasedBefore(call);
  const sandbox = openSandbox(call);
  recordContainerLink(call, MAKER, sandbox);
  const master = useMaster(withChainedMaster(call), sandbox);
  if (!call.config.linkInContainer) claimIpvlanMode(call, master, mode, flag);
  const link = createContainerLink(call, sandbox, MAKER, { master, data: ipvlanData(mode, flag), mtu });
  // in l3 nobody is asked for a neighbour
  const duplicateDetection = mode === "l2" ? "optimistic" : "none";
  return addressInterface(call, sandbox, link, { leased, duplicateDetection });
}

function del(call: Call<Config>): void {
  everyStep(
    () => deleteContainerLink(call, MAKER, () => releaseAddresses(call)),
    () => releaseIpvlanMode(call),
    () => releaseSharedLinks(call),
  );
}

function check(call: Call<Config>): void {
  const { mode, flag } = settingsOf(call.config);
  const sandbox = openSandbox(call);
  const link = checkAddressedInterface(call, sandbox, MAKER);
  const found = ipvlan.read(link.data);
  const foundMode = nameOf(IPVLAN_MODES, found.mode);
  const foundFlag = nameOf(IPVLAN_FLAGS, found.flags);
  if (foundMode !== mode) throw failed(`ipvlan mode of ${link.name} is ${foundMode}, not ${mode}`);
  if (foundFlag !== flag) throw failed(`ipvlan flag of ${link.name} is ${foundFlag}, not ${flag}`);
  checkMaster(call, sandbox, link);
}

function gc(call: GcCall<Config>): void {
  everyStep(
    ...staleContainerLinkSteps(call, MAKER),
    () => releaseStaleAddresses(call),
    () => releaseStaleIpvlanModes(call),
    () => releaseStaleSharedLinks(call),
  );
}

function status(call: Call<Config>): void {
  const { master, internal, ipam } = call.config;
  if (master !== "" || internal || ipam.type) checkMasterAvailable(call); // else the plugin before says it
  checkAddressesAvailable(call);
}

/**
 * The addresses of the plugin before, where no IPAM plugin is to give any. @throws CniError 7 without either
 */
function leasedBefore({ config, prevResult }: Call<Config>): Result | undefined {
  if (config.ipam.type) return undefined;
  if (prevResult?.ips?.length) return prevResult;
  throw invalidConfig("an ipvlan needs addresses", 'set "ipam", or put a plugin before it that gives some');
}

/**
 * Without a `master`, the one interface of the plugin before; without one before, that of the default route.
 */
function withChainedMaster(call: Call<Config>): Call<Config> {
  const { config, prevResult } = call;
  if (config.master !== "" || config.internal || !prevResult) return call;
  const [only, ...others] = prevResult.interfaces ?? [];
  if (only?.name && others.length === 0) return { ...call, config: { ...config, master: only.name } };
  const details = 'set "master", or put a plugin before it whose result has one interface';
  throw invalidConfig("chained master failure. PrevResult lacks a single named interface", details);
}

function settingsOf({ mode, flag, mtu }: Config) {
  return { mode: mode || "l2", flag, mtu: mtu || undefined } as const;
}

export const ipvlanPlugin: Plugin<Config> = {
  name: "ipvlan",
  versions: ALL_VERSIONS,
  schema,
  validate,
  verify: verifyMaster,
  add,
  del,
  check,
  gc,
  status,
};
export default ipvlanPlugin;
