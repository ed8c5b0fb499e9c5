/**
 * Attachments of the reference plugins made weft's, while their containers go on: recorded, named by an
 * alias, with their rules where weft has its own. What ADD would make is found or made beside what is
 * there, and what the reference made goes only then.
 */
import { attachmentAlias, attachmentName } from "../../lib/alias.ts";
import { gatewayLinkName } from "../../lib/bridge-gateway.ts";
import { requiredPrevResult } from "../../lib/cni/call.ts";
import { CniError } from "../../lib/cni/error.ts";
import type { Call } from "../../lib/cni/plugin.ts";
import { hasNftables } from "../../lib/iptables/kernel-tables.ts";
import { addIsolation, type Details as IsolationDetails } from "../../lib/isolate/isolate.ts";
import { replaceReferenceIsolation } from "../../lib/isolate/reference.ts";
import { addMasquerade, type Details as MasqueradeDetails } from "../../lib/masquerade/masquerade.ts";
import { replaceReferenceMasquerade } from "../../lib/masquerade/reference.ts";
import { netfilterSocket } from "../../lib/netfilter/socket.ts";
import { netnsInode } from "../../lib/netns/netns.ts";
import { ownRecords } from "../../lib/own-records.ts";
import { type Details as PublicationDetails, publish } from "../../lib/publish/publish.ts";
import { replaceReferencePublication } from "../../lib/publish/reference.ts";
import { linkByName, setLink } from "../../lib/rtnetlink/link.ts";
import { openSandbox } from "../../lib/sandbox.ts";
import { addSpoofCheck, deleteReferenceRules as deleteReferenceSpoofCheck } from "../../lib/spoof-check.ts";
import {
  type AttachmentName,
  type AttachmentRecord,
  findRecord,
  removeRecord,
} from "../../lib/state/record.ts";
import { findHostEnd } from "../../lib/veth.ts";

// biome-ignore lint/suspicious/noExplicitAny: each plugin's schema has made its configuration what it is
type AnyCall = Call<any>;

/** What is done for an attachment of a plugin, in place of ADD: undone where any of it fails. */
export const TAKING_OVER: Readonly<Record<string, (call: AnyCall) => void>> = {
  bridge: (call) => takePair(call, "bridge"),
  ptp: (call) => takePair(call, "ptp"),
  macvlan: (call) => takeContainerLink(call, "macvlan"),
  ipvlan: (call) => takeContainerLink(call, "ipvlan"),
  vlan: (call) => takeContainerLink(call, "vlan"),
  dummy: (call) => takeContainerLink(call, "dummy"),
  tap: (call) => takeContainerLink(call, "tap"),
  portmap: (call) => publish(call, requiredPrevResult(call)),
  firewall: (call) => addIsolation(call, requiredPrevResult(call)),
};

function takePair(call: AnyCall, plugin: "bridge" | "ptp"): void {
  const { config } = call;
  const { ips } = requiredPrevResult(call);
  const { host, container } = openSandbox(call);
  const inside = linkByName(container, call.ifname);
  const outside = findHostEnd(host, inside);
  if (!outside) {
    throw new CniError(CniError.INTERNAL, `${call.ifname} has no other end on this host`);
  }
  ownRecords(plugin).write(call, { hostName: outside.name }, removeRecord);
  call.undo.defer(() => setLink(host, outside, { alias: outside.alias }));
  setLink(host, outside, { alias: attachmentAlias(attachmentName(call)) });
  const isGateway = config.isGateway === true || config.isDefaultGateway === true;
  const bridge = isGateway ? gatewayLinkName(config.bridge, config.vlan) : config.bridge;
  if (plugin === "bridge") addSpoofCheck(call, outside.name, inside.mac);
  addMasquerade(call, plugin === "ptp" ? outside.name : bridge, ips);
}

function takeContainerLink(call: AnyCall, plugin: string): void {
  const { container, netns } = openSandbox(call);
  const inside = linkByName(container, call.ifname);
  ownRecords(plugin).write(call, { netnsInode: netnsInode(netns) }, removeRecord);
  call.undo.defer(() => setLink(container, inside, { alias: inside.alias }));
  setLink(container, inside, { alias: attachmentAlias(attachmentName(call)) });
}

/** Deletes the reference's rules of an attachment that has been taken over. Again is nothing. */
export function removeReferenceRules(name: AttachmentName): void {
  const record = (plugin: string) => findRecord({ ...name, plugin });
  const masquerade = record("masquerade") as AttachmentRecord<MasqueradeDetails> | undefined; // its plugin's
  if (masquerade) replaceReferenceMasquerade(masquerade);
  const publication = record("portmap") as AttachmentRecord<PublicationDetails> | undefined; // its plugin's
  if (publication) replaceReferencePublication(publication);
  const isolation = record("firewall") as AttachmentRecord<IsolationDetails> | undefined; // its plugin's
  if (isolation) replaceReferenceIsolation(isolation);
  if (record("macspoofchk") && hasNftables()) deleteReferenceSpoofCheck(netfilterSocket(), name);
}
