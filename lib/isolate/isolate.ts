/** What the firewall plugin does for an attachment, whichever backend keeps the rules. */
import { attachmentName } from "../alias.ts";
import { checkBackendAvailable } from "../backend.ts";
import { type Call, everyStep, type GcCall } from "../cni/plugin.ts";
import type { Result } from "../cni/result.ts";
import { requirePrograms } from "../iptables/change.ts";
import { hasNftables } from "../iptables/kernel-tables.ts";
import { type Address, formatAddress, parseAddress } from "../netaddr/address.ts";
import { netfilterSocket } from "../netfilter/socket.ts";
import { ownRecords } from "../own-records.ts";
import { openRouteSocket } from "../rtnetlink/route-socket.ts";
import { type AttachmentName, type AttachmentRecord, removeRecord } from "../state/record.ts";
import type { Entries } from "../weft-table/element.ts";
import { WEFT_TABLE } from "../weft-table/ruleset.ts";
import {
  checkSharedElements,
  claimElements,
  releaseElements,
  releaseOwned,
  releaseStale,
} from "../weft-table/shared-elements.ts";
import { checkTable } from "../weft-table/table-life.ts";
import { lockTables, prepareTable } from "../weft-table/table-lock.ts";
import { checkPortIsolated, checkPortJoined, isolatePort, joinPort } from "./bridge-port.ts";
import { addSources, checkSources, findFirewalld, openFirewalld, removeSources } from "./firewalld.ts";
import {
  addIsolateRules,
  checkIsolateRules,
  deleteIsolateRules,
  deleteStaleIsolateRules,
} from "./iptables.ts";
import type { Isolation } from "./isolation.ts";
import { isolationElements } from "./nftables.ts";
import {
  addressesOf,
  chooseFirewalld,
  chooseKeepers,
  type IsolateCall,
  isAuto,
  isolationOf,
  type Keepers,
  overlayPort,
  portToIsolate,
  zoneOf,
} from "./request.ts";

/** What its record tells. */
export interface Details extends Keepers, Entries {
  readonly addresses: readonly string[];
  /** The rest of what iptables' rules are made of. */
  readonly policy?: Omit<Isolation, keyof AttachmentName | "addresses"> | undefined;
  /** The port of the bridge that was isolated for the container. */
  readonly port?: string | undefined;
}

const RECORDS = ownRecords<Details>("firewall");

/** Isolates the container that prevResult describes. Undone when ADD fails. */
export function addIsolation(call: IsolateCall, prevResult: Result): void {
  const host = call.resources.use(openRouteSocket());
  const bus = chooseFirewalld(call);
  const keepers = chooseKeepers(call, bus);
  const { isolation, via } = isolationOf(call, keepers, { host, prevResult });
  const { network: _network, containerId: _containerId, ifname: _ifname, addresses, ...policy } = isolation;
  const port = portToIsolate(host, isolation, { prevResult, via });
  const shared = keepers.backend === "nftables" ? isolationElements(isolation) : [];

  const before = RECORDS.find(call);
  if (before) deleteRecorded(call, before); // a killed ADD's, of another configuration perhaps
  const details: Details = {
    ...keepers,
    addresses: addresses.map(formatAddress),
    policy: keepers.backend === "iptables" ? policy : undefined,
    shared,
    // isolated already: by whom it is to be put back, or by somebody else
    port: port?.port?.isolated === 1 && port.name !== before?.details.port ? undefined : port?.name,
  };
  if (keepers.backend === "nftables") prepareTable(call, netfilterSocket(), WEFT_TABLE);
  RECORDS.write(call, details, (record) => deleteRecorded(call, record));
  if (bus && keepers.zone) addSources(bus, keepers.zone, addresses);
  if (shared.length > 0) claimElements(netfilterSocket(), shared, attachmentName(call));
  if (keepers.backend === "iptables") addIsolateRules(isolation);
  if (details.port) isolatePort(host, details.port);
  const toOthers = port && overlayPort(call, host);
  if (toOthers) isolatePort(host, toOthers.name);
}

/** As the record says; without one, what there is of the attachment and of its addresses. */
export function deleteIsolation(call: IsolateCall): void {
  const record = RECORDS.find(call);
  if (record) deleteRecorded(call, record);
  else deleteUnrecorded(call);
}

/** @throws CniError 100 that says what is missing */
export function checkIsolation(call: IsolateCall, prevResult: Result): void {
  const host = call.resources.use(openRouteSocket());
  const recorded = RECORDS.find(call)?.details;
  const keepers = recorded ?? chooseKeepers(call, chooseFirewalld(call));
  const { isolation, via } = isolationOf(call, keepers, { host, prevResult });
  if (keepers.zone) {
    const bus = call.resources.use(openFirewalld(call.environment));
    checkSources(bus, keepers.zone, isolation.addresses);
  }
  if (keepers.backend === "nftables") {
    checkTable(netfilterSocket(), WEFT_TABLE);
    checkSharedElements(netfilterSocket(), isolationElements(isolation));
  }
  if (keepers.backend === "iptables") checkIsolateRules(isolation);
  const port = portToIsolate(host, isolation, { prevResult, via });
  const toOthers = port && overlayPort(call, host);
  for (const each of [port, toOthers]) if (each) checkPortIsolated(each);
  if (port) return;
  if (recorded?.port) checkPortJoined(host, recorded.port);
}

/** GC: a step for each attachment that the network no longer owns, and for what no record tells of. */
export function staleIsolationSteps(call: GcCall & IsolateCall): (() => void)[] {
  return [
    ...RECORDS.staleSteps(call, (record) => deleteRecorded(call, record)),
    () => hasNftables() && releaseStale(call, netfilterSocket()),
    () => deleteStaleIsolateRules(call),
  ];
}

/** @throws CniError 50 unless the host has what would keep the rules */
export function checkIsolationAvailable(call: IsolateCall): void {
  const { backend } = chooseKeepers(call, chooseFirewalld(call));
  if (backend) checkBackendAvailable(backend);
}

/** What an attachment has in iptables, as its record tells; undefined where it has nothing there. */
export function recordedIsolation(record: AttachmentRecord<Details>): Isolation | undefined {
  const { policy, addresses } = record.details;
  return policy && { ...record, ...policy, addresses: addresses.map(parseAddress) };
}

function deleteRecorded(call: Call, record: AttachmentRecord<Details>): void {
  const { zone, backend, shared = [], port } = record.details;
  const addresses = record.details.addresses.map(parseAddress);
  using _lock = lockTables({ shared: true });
  everyStep(
    () => zone && removeFromZone(call, zone, addresses),
    () => backend === "nftables" && releaseElements(netfilterSocket(), shared, record),
    () => {
      if (backend !== "iptables") return;
      requirePrograms("filter");
      deleteIsolateRules({ ...record, addresses });
    },
    () => port && joinPort(call.resources.use(openRouteSocket()), port),
  );
  removeRecord(record);
}

/** An ADD of the reference's, or of ours with its record lost. */
function deleteUnrecorded(call: IsolateCall): void {
  const { backend } = call.config;
  const addresses = addressesOf(call.prevResult);
  const mayBeInZone = (isAuto(backend) || backend === "firewalld") && addresses.length > 0;
  everyStep(
    () => mayBeInZone && removeFromZone(call, zoneOf(call.config), addresses),
    () => hasNftables() && releaseOwned(netfilterSocket(), attachmentName(call)),
    () => deleteIsolateRules({ ...attachmentName(call), addresses }),
  );
}

/** Where firewalld does not run any more, it has taken its zones along. */
function removeFromZone(call: Call, zone: string, addresses: readonly Address[]): void {
  using bus = findFirewalld(call.environment);
  if (bus) removeSources(bus, zone, addresses);
}
