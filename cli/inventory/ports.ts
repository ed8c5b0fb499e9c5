/** The ports of this host that lead to containers, and whether the rules for them are there. */
import type { JsonObject } from "../../lib/cni/json.ts";
import { type Address, parseAddress } from "../../lib/netaddr/address.ts";
import type { AttachmentRecord } from "../../lib/state/record.ts";
import { type Element, type Entries, elementName } from "../../lib/weft-table/element.ts";
import { entriesOf } from "../../lib/weft-table/table-life.ts";
import type { AttachmentView, PublishedPort } from "./attachment.ts";
import { type FilterView, hasElement } from "./filter.ts";
import { compareTexts } from "./namespaces.ts";
import { isOwnAddress } from "./own-address.ts";

export interface PortView extends PublishedPort {
  readonly container: string;
  readonly containerId: string;
  readonly network: string;
  readonly ifname: string;
  /** Where it leads, by family: "172.17.0.2:80", "[fd00:17::2]:80". */
  readonly to: readonly string[];
  /** Who has the rules; "other" where another plugin than weft's has made them. */
  readonly by: "nftables" | "iptables" | "other";
  readonly state: PortState;
}

/**
 * "missing": a rule for it is not there; "no such address": it is published on one that no interface of this
 * host has; "unknown": nobody told us of its rules.
 */
export type PortState = "open" | "missing" | "no such address" | "unknown";

/** What is known of the host, and of its packet filters. */
interface HostFacts {
  /** Of the host's interfaces. */
  readonly addresses: readonly Address[];
  readonly filter: FilterView;
  /** Whether rules of iptables are missing that a record tells of. */
  readonly isLacking: (record: AttachmentRecord<JsonObject>) => boolean;
}

/** By port, protocol and address. */
export function listPorts(attachments: readonly AttachmentView[], host: HostFacts): PortView[] {
  return attachments
    .flatMap((attachment) => portsOf(attachment, host))
    .sort(
      (a, b) =>
        a.hostPort - b.hostPort || compareTexts(a.protocol, b.protocol) || compareTexts(a.hostIP, b.hostIP),
    );
}

function portsOf(attachment: AttachmentView, host: HostFacts): PortView[] {
  const { container, containerId, network, ifname, ports, addresses } = attachment;
  if (ports.length === 0) return [];
  const record = attachment.records.find(({ plugin }) => plugin === "portmap");
  const by = record ? (record.details["backend"] === "iptables" ? "iptables" : "nftables") : "other";
  const areMissing = record && by === "iptables" ? host.isLacking(record) : undefined;
  const known = record ? (record.details["addresses"] as string[]) : addresses; // portmap wrote its own
  const stateOf = (port: PublishedPort): PortState => {
    const ofRules = record ? rulesState(port, { areMissing, record, filter: host.filter }) : "unknown";
    return ofRules !== "missing" && isElsewhere(port, host) ? "no such address" : ofRules;
  };
  return ports.map((port) => ({
    ...port,
    container,
    containerId,
    network,
    ifname,
    to: destinations(port, known),
    by,
    state: stateOf(port),
  }));
}

/** Whether nobody has the address it is published on: what is no address is passed over. */
function isElsewhere({ hostIP }: PublishedPort, { addresses }: HostFacts): boolean {
  try {
    return hostIP !== "" && !isOwnAddress(parseAddress(hostIP), addresses);
  } catch {
    return false;
  }
}

function rulesState(
  port: PublishedPort,
  options: {
    /** Those of iptables. */
    areMissing: boolean | undefined;
    record: AttachmentRecord<JsonObject>;
    filter: FilterView;
  },
): "open" | "missing" {
  const { areMissing, record, filter } = options;
  if (areMissing !== undefined) return areMissing ? "missing" : "open";
  const { elements } = entriesOf(record as AttachmentRecord<Entries>); // which looks through it
  const own = elements.filter((element) => isFor(element, port));
  return own.length > 0 && own.every((element) => hasElement(filter, elementName(element)))
    ? "open"
    : "missing";
}

/** Whether an element of one of the sets of published ports is about this one. */
function isFor({ set, key }: Element, { hostPort, protocol, hostIP }: PublishedPort): boolean {
  const name = /^(port|hostport|range|hostrange|condition)[46]$/.exec(set)?.[1];
  if (name === undefined) return false;
  const [address, elementProtocol, elementPort] = name.startsWith("host") ? key : ["", ...key];
  const isAnywhere = ["", "0.0.0.0", "::"].includes(hostIP);
  const isThere = name === "condition" || (address === "" ? isAnywhere : address === hostIP);
  const [first = 0, last = first] = String(elementPort).split("-").map(Number);
  return isThere && elementProtocol === protocol && first <= hostPort && hostPort <= last;
}

/** The first address of each family, where a hostIP is of that family or there is none. */
function destinations({ containerPort, hostIP }: PublishedPort, addresses: readonly string[]): string[] {
  const bare = addresses.map((text) => text.split("/")[0] ?? "");
  const first = [bare.find((text) => !text.includes(":")), bare.find((text) => text.includes(":"))];
  return first
    .filter((text) => text !== undefined)
    .filter((text) => hostIP === "" || hostIP.includes(":") === text.includes(":"))
    .map((text) => (text.includes(":") ? `[${text}]:${containerPort}` : `${text}:${containerPort}`));
}
