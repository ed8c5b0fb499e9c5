/**
 * firewall: lets a container's traffic through the host's firewall, and keeps networks from each other.
 *
 *   ADD     the addresses are accepted; the policy's rules are the bridge's
 *   DEL     what ADD did, as it was recorded; the bridge's rules go with its last container
 *   CHECK   every rule, element, source and isolated port is there
 *   GC      what this network no longer owns goes
 *   STATUS  the host has what keeps the rules
 *
 * Reference: https://www.cni.dev/plugins/current/meta/firewall/
 */
import validate from "../../generated/validate/firewall.js";
import { requiredPrevResult } from "../../lib/cni/call.ts";
import { faultOfIfname } from "../../lib/cni/environment.ts";
import { invalidConfig } from "../../lib/cni/error.ts";
import { type Call, everyStep, type GcCall, type Plugin } from "../../lib/cni/plugin.ts";
import type { Result } from "../../lib/cni/result.ts";
import { versionsFrom } from "../../lib/cni/version.ts";
import {
  addIsolation,
  checkIsolation,
  checkIsolationAvailable,
  deleteIsolation,
  staleIsolationSteps,
} from "../../lib/isolate/isolate.ts";
import { faultOfChainName } from "../../lib/isolate/isolation.ts";
import { type Config, schema } from "./schema.ts";

function verify({ iptablesAdminChainName, permittedInterfaces }: Config): void {
  const fault = faultOfChainName(iptablesAdminChainName);
  if (fault) {
    throw invalidConfig(
      `invalid "iptablesAdminChainName": ${JSON.stringify(iptablesAdminChainName)} ${fault}`,
    );
  }
  for (const name of permittedInterfaces) {
    const fault = faultOfIfname(name);
    if (name.endsWith("+")) {
      const details = "iptables would take every name that begins so; give them one by one";
      throw invalidConfig(`invalid "permittedInterfaces": ${JSON.stringify(name)} ends with +`, details);
    }
    if (fault)
      throw invalidConfig(
        `invalid "permittedInterfaces": ${JSON.stringify(name)} ${fault.msg}`,
        fault.details,
      );
  }
}

function add(call: Call<Config>): Result {
  if (!call.prevResult) throw invalidConfig("missing prevResult from earlier plugin");
  addIsolation(call, call.prevResult);
  return call.prevResult;
}

function del(call: Call<Config>): void {
  deleteIsolation(call);
}

function check(call: Call<Config>): void {
  checkIsolation(call, requiredPrevResult(call));
}

function gc(call: GcCall<Config>): void {
  everyStep(...staleIsolationSteps(call));
}

function status(call: Call<Config>): void {
  checkIsolationAvailable(call);
}

export const firewallPlugin: Plugin<Config> = {
  name: "firewall",
  versions: versionsFrom("0.3.0"),
  schema,
  validate,
  verify,
  add,
  del,
  check,
  gc,
  status,
};
export default firewallPlugin;
