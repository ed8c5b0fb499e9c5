/**
 * portmap: publishes ports of the host that lead to a container.
 *
 *   ADD     claim the ports, then lead them to the container; the result is the one of the plugin before
 *   DEL     close them, and forget the connections they led; all of it may be gone already
 *   CHECK   every rule or element, claim and setting of the host is as ADD left it
 *   GC      close what this network no longer owns
 *   STATUS  the host has what leads ports
 *
 * Reference: https://www.cni.dev/plugins/current/meta/portmap/
 */
import validate from "../../generated/validate/portmap.js";
import { requiredPrevResult } from "../../lib/cni/call.ts";
import { CniError } from "../../lib/cni/error.ts";
import { type Call, everyStep, type GcCall, type Plugin } from "../../lib/cni/plugin.ts";
import type { Result } from "../../lib/cni/result.ts";
import { ALL_VERSIONS } from "../../lib/cni/version.ts";
import { verifyPublishConfig } from "../../lib/publish/port-mappings.ts";
import {
  checkPublication,
  checkPublishAvailable,
  deletePublication,
  publish,
  stalePublicationSteps,
} from "../../lib/publish/publish.ts";
import { type Config, schema } from "./schema.ts";

function add(call: Call<Config>): Result {
  const { prevResult } = call;
  if (!prevResult) throw new CniError(CniError.INVALID_NETWORK_CONFIG, "must be called as chained plugin");
  publish(call, prevResult);
  return prevResult;
}

function del(call: Call<Config>): void {
  deletePublication(call);
}

function check(call: Call<Config>): void {
  checkPublication(call, requiredPrevResult(call));
}

function gc(call: GcCall<Config>): void {
  everyStep(...stalePublicationSteps(call));
}

function status(call: Call<Config>): void {
  checkPublishAvailable(call.config);
}

export const portmapPlugin: Plugin<Config> = {
  name: "portmap",
  versions: ALL_VERSIONS,
  schema,
  validate,
  verify: verifyPublishConfig,
  add,
  del,
  check,
  gc,
  status,
};
export default portmapPlugin;
