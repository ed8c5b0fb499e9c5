/**
 * What a plugin asks of the IPAM plugin its configuration names.
 *
 * A configuration without `ipam.type` is refused here ("no plugin name provided"); whether to ask at all is
 * the plugin's decision.
 *
 * Reference: CNI spec 1.1 §4 "Plugin Delegation".
 */
import { delegate, findPlugin, isInProcess } from "../cni/delegate.ts";
import { CniError } from "../cni/error.ts";
import type { Call } from "../cni/plugin.ts";
import type { Result } from "../cni/result.ts";

/**
 * Gets addresses, and gives them back when what follows in this ADD fails.
 *
 * An executed plugin's ADD may have failed half-way, and is followed by a DEL (spec §4). One in this process
 * has undone what it did; a DEL would then end what an ADD before this one got.
 * @throws CniError also when there are none
 */
export function ipamAdd(call: Call): Result {
  const type = ipamType(call);
  const undo = () => call.undo.defer(() => ipamDel(call));
  const undoesItself = isInProcess(call, type);
  if (!undoesItself) undo();
  const result = delegate(call, type, "ADD");
  if (undoesItself) undo();
  if (!result?.ips?.length) throw new CniError(CniError.INTERNAL, "IPAM plugin returned missing IP config");
  return result;
}

export function ipamDel(call: Call): void {
  delegate(call, ipamType(call), "DEL");
}

export function ipamCheck(call: Call): void {
  delegate(call, ipamType(call), "CHECK");
}

export function ipamGc(call: Call): void {
  delegate(call, ipamType(call), "GC");
}

/** @throws CniError 50 when the plugin is not installed, else what it says */
export function ipamStatus(call: Call): void {
  const type = ipamType(call);
  try {
    findPlugin(type, call.path);
  } catch (error) {
    if (!(error instanceof CniError)) throw error;
    throw new CniError(CniError.NOT_AVAILABLE, error.msg, { details: error.details });
  }
  delegate(call, type, "STATUS");
}

function ipamType(call: Call): string {
  return call.config.ipam?.type ?? "";
}
