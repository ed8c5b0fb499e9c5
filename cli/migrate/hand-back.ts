/**
 * Attachments of weft's made the reference plugins', while their containers go on: their rules become those
 * that the reference makes, by iptables, and no record, alias or element is left.
 */
import { attachmentName } from "../../lib/alias.ts";
import { requiredPrevResult } from "../../lib/cni/call.ts";
import type { Call } from "../../lib/cni/plugin.ts";
import type { Details as IsolationDetails } from "../../lib/isolate/isolate.ts";
import { handBackIsolation } from "../../lib/isolate/reference.ts";
import { isolationOf } from "../../lib/isolate/request.ts";
import type { Details as MasqueradeDetails } from "../../lib/masquerade/masquerade.ts";
import { handBackMasquerade } from "../../lib/masquerade/reference.ts";
import { describePublication } from "../../lib/publish/describe-publication.ts";
import type { Details as PublicationDetails } from "../../lib/publish/publish.ts";
import { handBackPublication } from "../../lib/publish/reference.ts";
import { findLink, setLink } from "../../lib/rtnetlink/link.ts";
import { openRouteSocket } from "../../lib/rtnetlink/route-socket.ts";
import { openSandbox } from "../../lib/sandbox.ts";
import { findRecord, removeRecord } from "../../lib/state/record.ts";
import { ipamOf } from "../doctor/host.ts";
import type { PluginConfig } from "../runtime/network-list.ts";

// biome-ignore lint/suspicious/noExplicitAny: each plugin's schema has made its configuration what it is
type AnyCall = Call<any>;

/** What is done for an attachment of a plugin, in place of ADD. */
export const HANDING_BACK: Readonly<Record<string, (call: AnyCall) => void>> = {
  bridge: (call) => forgetPair(call, "bridge"),
  ptp: (call) => forgetPair(call, "ptp"),
  macvlan: (call) => forgetContainerLink(call, "macvlan"),
  ipvlan: (call) => forgetContainerLink(call, "ipvlan"),
  vlan: (call) => forgetContainerLink(call, "vlan"),
  dummy: (call) => forgetContainerLink(call, "dummy"),
  tap: (call) => forgetContainerLink(call, "tap"),
  portmap: givePublication,
  firewall: giveIsolation,
};

/** Keys of which the reference would lose what they stand for, of any value but these. */
const OBSTACLES: readonly (readonly [type: string, key: string, fine: readonly unknown[]])[] = [
  ["bridge", "macspoofchk", [false]],
  ["firewall", "icc", [true]],
  ["firewall", "internal", [false]],
  ["firewall", "permittedInterfaces", []],
  ["firewall", "ingressPolicy", ["", "open", "same-bridge", "isolated"]],
  ["portmap", "backend", ["iptables", "auto", ""]], // it would look into a table of its own alone
  ["macvlan", "internal", [false]],
  ["macvlan", "hostAccess", [false]],
  ["ipvlan", "hostAccess", [false]],
];
const WEFT_ONLY: readonly string[] = ["vxlan", "etcd-ipam"];

/** Why the reference cannot go on with an attachment of that plugin; undefined where it can. */
export function obstacleTo(plugin: PluginConfig): string | undefined {
  const missing = [plugin.type, ipamOf(plugin)["type"]].find((type) => WEFT_ONLY.includes(String(type)));
  if (missing !== undefined) return `the reference has no plugin "${missing}"`;
  const obstacle = OBSTACLES.find(
    ([type, key, fine]) => type === plugin.type && plugin[key] !== undefined && !fine.includes(plugin[key]),
  );
  if (!obstacle) return undefined;
  const [type, key] = obstacle;
  return `the reference cannot go on with ${type}'s "${key}": ${JSON.stringify(plugin[key])}`;
}

function forgetPair(call: AnyCall, plugin: "bridge" | "ptp"): void {
  const name = attachmentName(call);
  const masquerade = findRecord<MasqueradeDetails>({ ...name, plugin: "masquerade" });
  if (masquerade) handBackMasquerade(masquerade);
  const pair = findRecord<{ hostName: string }>({ ...name, plugin });
  if (!pair) return;
  const host = call.resources.use(openRouteSocket());
  const outside = findLink(host, pair.details.hostName);
  if (outside) setLink(host, outside, { alias: "" });
  removeRecord(pair);
}

function forgetContainerLink(call: AnyCall, plugin: string): void {
  const { container } = openSandbox(call);
  const inside = findLink(container, call.ifname);
  if (inside) setLink(container, inside, { alias: "" });
  removeRecord({ ...attachmentName(call), plugin });
}

function givePublication(call: AnyCall): void {
  const record = findRecord<PublicationDetails>({ ...attachmentName(call), plugin: "portmap" });
  if (!record) return;
  const host = call.resources.use(openRouteSocket());
  handBackPublication(record, describePublication(call, requiredPrevResult(call), host));
}

function giveIsolation(call: AnyCall): void {
  const record = findRecord<IsolationDetails>({ ...attachmentName(call), plugin: "firewall" });
  if (!record) return;
  const host = call.resources.use(openRouteSocket());
  const prevResult = requiredPrevResult(call);
  const { isolation } = isolationOf(call, { backend: "iptables" }, { host, prevResult });
  handBackIsolation(record, isolation);
}
