/** Each attachment in its turn: which of its plugins change hands, and calling what does it. */
import { type CniError, toCniError } from "../../lib/cni/error.ts";
import { answerOf, type Plugin } from "../../lib/cni/plugin.ts";
import { parseResult } from "../../lib/cni/result.ts";
import { ALL_VERSIONS } from "../../lib/cni/version.ts";
import { findRecord } from "../../lib/state/record.ts";
import { type Attached, nameOf } from "../doctor/host.ts";
import type { OwnPlugins } from "../doctor/own-plugins.ts";
import type { PluginConfig } from "../runtime/network-list.ts";
import { pluginConfig, pluginVariables, type Runtime } from "../runtime/plugin-request.ts";
import { HANDING_BACK, obstacleTo } from "./hand-back.ts";
import { removeReferenceRules, TAKING_OVER } from "./take-over.ts";

/** What weft speaks; the configuration's own version is the runtime's to keep to. */
const VERSION = ALL_VERSIONS.at(-1) ?? "";

export interface Migration {
  /** For people: the attachment, and what of it. */
  readonly name: string;
  readonly plugins: readonly string[];
  /** Why it is not, or not wholly, done. */
  readonly failure?: string;
}

interface Means {
  readonly runtime: Runtime;
  readonly own: OwnPlugins;
}

/** What takeOver() would do for an attachment: its plugins of which no record tells. */
export function plannedTakeOver(attached: Attached): PluginConfig[] {
  const { list, cached, inside, network, containerId, ifname } = attached;
  if (!list || !cached || !inside) return [];
  return list.plugins.filter(({ type }) => {
    if (!TAKING_OVER[type]) return false;
    const isAsked = type !== "portmap" || attached.ports.length > 0;
    return isAsked && findRecord({ network, containerId, ifname, plugin: type }) === undefined;
  });
}

/** Makes the attachment weft's. Again is nothing. */
export function takeOver(means: Means, attached: Attached): Migration {
  const planned = plannedTakeOver(attached);
  const done: string[] = [];
  try {
    for (const plugin of planned) {
      run(means, attached, plugin, TAKING_OVER);
      done.push(plugin.type);
    }
    removeReferenceRules(attached);
    return { name: nameOf(attached), plugins: done };
  } catch (error) {
    return { name: nameOf(attached), plugins: done, failure: wordsOf(toCniError(error)) };
  }
}

/** What handBack() would do for an attachment; undefined where that is nothing. */
export function plannedHandBack(attached: Attached): PluginConfig[] {
  const { list, cached, inside } = attached;
  if (!list || !cached || !inside) return [];
  const hasRecord = (plugin: string) => attached.records.some((record) => record.plugin === plugin);
  return list.plugins.filter(({ type }) => HANDING_BACK[type] && hasRecord(type));
}

/** Why an attachment cannot be handed back; undefined where it can, or is the reference's already. */
export function obstacleOf(attached: Attached): string | undefined {
  if (plannedHandBack(attached).length === 0) return undefined;
  const obstacle = attached.list?.plugins.map(obstacleTo).find((each) => each !== undefined);
  return obstacle && `${nameOf(attached)}: ${obstacle}`;
}

/** Makes the attachment the reference's. Again is nothing. */
export function handBack(means: Means, attached: Attached): Migration {
  const planned = plannedHandBack(attached);
  const name = nameOf(attached);
  const done: string[] = [];
  try {
    for (const plugin of planned) {
      run(means, attached, plugin, HANDING_BACK);
      done.push(plugin.type);
    }
    return { name, plugins: done };
  } catch (error) {
    return { name, plugins: done, failure: wordsOf(toCniError(error)) };
  }
}

/** With the checks, the defaults and the undoing of an ADD of that plugin, of which only the body differs. */
function run(
  { runtime, own }: Means,
  { cached, network }: Attached,
  plugin: PluginConfig,
  bodies: typeof TAKING_OVER,
): void {
  const called = own.get(plugin.type);
  const body = bodies[plugin.type];
  if (!called || !body || !cached) return;
  const version = String(cached.result["cniVersion"] ?? ALL_VERSIONS[0]);
  const prevResult = parseResult(cached.result, version);
  const request = { command: "ADD", network, cniVersion: VERSION, attachment: cached, prevResult } as const;
  const acting: Plugin = {
    ...called,
    add(call) {
      body(call);
      return prevResult;
    },
  };
  const stdin = JSON.stringify(pluginConfig(plugin, request));
  answerOf(acting, { environment: pluginVariables(runtime, request), stdin, own });
}

function wordsOf({ msg, details }: CniError): string {
  return details === "" ? msg : `${msg} (${details})`;
}
