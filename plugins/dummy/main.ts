/**
 * dummy: gives containers an interface with addresses that leads nowhere, for a service to be bound to.
 *
 *   ADD     make the dummy in the container's namespace, configure it from IPAM
 *   DEL     delete it, then release the addresses
 *   CHECK   the dummy, its addresses and routes are as ADD left them
 *   GC      delete what this network no longer owns
 *   STATUS  IPAM has another address
 *
 * Reference: https://www.cni.dev/plugins/current/main/dummy/
 */
import validate from "../../generated/validate/dummy.js";
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
import { openSandbox } from "../../lib/sandbox.ts";
import { type Config, schema } from "./schema.ts";

const MAKER = { plugin: "dummy", kind: "dummy" };

function verify({ ipam }: Config): void {
  if (ipam.type) return;
  const details = 'set "ipam" with a "type", such as "host-local" or "static"';
  throw invalidConfig("dummy interface requires an IPAM configuration", details);
}

function add(call: Call<Config>): Result {
  const sandbox = openSandbox(call);
  recordContainerLink(call, MAKER, sandbox);
  const link = createContainerLink(call, sandbox, MAKER, {});
  return addressInterface(call, sandbox, link, { duplicateDetection: "none" });
}

function del(call: Call<Config>): void {
  deleteContainerLink(call, MAKER, () => releaseAddresses(call));
}

function check(call: Call<Config>): void {
  checkAddressedInterface(call, openSandbox(call), MAKER);
}

function gc(call: GcCall<Config>): void {
  everyStep(...staleContainerLinkSteps(call, MAKER), () => releaseStaleAddresses(call));
}

function status(call: Call<Config>): void {
  checkAddressesAvailable(call);
}

export const dummyPlugin: Plugin<Config> = {
  name: "dummy",
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
export default dummyPlugin;
