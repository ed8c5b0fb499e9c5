/**
 * The life of a container's published ports, under either backend.
 *
 * A record is there before anything else. It gets its elements only when the ports are claimed, and loses
 * them before the claims are given up: at no point does it name elements that are another container's.
 */
import { attachmentName, isSameAttachment } from "../alias.ts";
import { type Backend, checkBackendAvailable, chooseBackend } from "../backend.ts";
import { setHairpin } from "../bridge-port.ts";
import { staleAttachments } from "../cni/call.ts";
import type { NetConf } from "../cni/config.ts";
import { CniError } from "../cni/error.ts";
import { type Call, everyStep, type GcCall } from "../cni/plugin.ts";
import type { Result } from "../cni/result.ts";
import { requirePrograms } from "../iptables/change.ts";
import { hasNftables } from "../iptables/kernel-tables.ts";
import { formatPrefix, parsePrefix } from "../netaddr/prefix.ts";
import { netfilterSocket } from "../netfilter/socket.ts";
import { findNetns } from "../netns/netns.ts";
import { ownRecords } from "../own-records.ts";
import { openRouteSocket } from "../rtnetlink/route-socket.ts";
import { isOf, isStaleIn } from "../state/claim.ts";
import {
  type AttachmentName,
  type AttachmentRecord,
  findRecord,
  hasRecords,
  type RecordKey,
  recordedInterfaces,
  removeRecord,
  updateRecord,
} from "../state/record.ts";
import type { Entries } from "../weft-table/element.ts";
import {
  addElements,
  checkElements,
  deleteElements,
  deleteOwned,
  deleteStale,
} from "../weft-table/elements.ts";
import { WEFT_TABLE } from "../weft-table/ruleset.ts";
import { lockTables, prepareTable } from "../weft-table/table-lock.ts";
import { forgetOtherConnections, forgetOwnConnections } from "./connections.ts";
import { containerAddresses, describePublication } from "./describe-publication.ts";
import {
  checkHairpin,
  checkRouteLocalnet,
  disableRouteLocalnet,
  disableRouteLocalnetOf,
  enableRouteLocalnet,
  portWithoutHairpin,
  unsetHairpin,
} from "./host-settings.ts";
import {
  addPublishRules,
  checkPublishRules,
  deletePublishRules,
  deleteStalePublishRules,
} from "./iptables.ts";
import {
  checkPublishChains,
  deleteReferenceRules,
  PUBLISH_SETS,
  publishChains,
  publishElements,
} from "./nftables.ts";
import {
  checkPortClaims,
  claimPorts,
  claimsOf,
  type Holders,
  lockPorts,
  releaseAllPorts,
  releasePorts,
} from "./port-claims.ts";
import {
  askedBackend,
  type PortMapping,
  type PublishConfig,
  parsePortMappings,
  readablePorts,
} from "./port-mappings.ts";
import type { Publication } from "./publication.ts";

const PLUGIN = "portmap";

/** Which packets are masqueraded on their way to the container. */
type Marking = Pick<Publication, "snat" | "masqAll" | "markMasqBit" | "externalSetMarkChain">;

/** What its record tells. */
export interface Details extends Entries {
  readonly backend: Backend;
  /** The host's interface to the container. */
  readonly via: string;
  readonly addresses: readonly string[];
  readonly portMappings: readonly PortMapping[];
  readonly conditionsV4?: readonly string[] | undefined;
  readonly conditionsV6?: readonly string[] | undefined;
  /** The rest of what iptables' rules are made of. */
  readonly marking?: Marking | undefined;
  /** The port of a bridge that was put into hairpin mode. */
  readonly hairpinPort?: string | undefined;
}

const RECORDS = ownRecords<Details>(PLUGIN);

type PublishCall = Call<NetConf & PublishConfig>;

/** Publishes what is asked for, in place of what was published before. Undone when ADD fails. */
export function publish(call: PublishCall, prevResult: Result): void {
  const { portMappings } = call.config.runtimeConfig;
  const key = RECORDS.key(call);
  if (portMappings.length === 0) {
    unpublish(call, key);
    return;
  }
  const host = call.resources.use(openRouteSocket());
  const publication = describePublication(call, prevResult, host);
  const { addresses, conditionsV4, conditionsV6 } = publication;
  const backend = backendOf(call);
  const isNftables = backend === "nftables";
  if (!isNftables) refuseSecondInterface(key);
  const elements = isNftables ? publishElements(publication) : [];
  const chains = isNftables ? publishChains(publication) : [];
  unpublish(call, key);

  const hairpinPort = portWithoutHairpin(host, prevResult, publication);
  const details = {
    backend,
    via: publication.via,
    addresses: addresses.map(formatPrefix),
    portMappings,
    conditionsV4,
    conditionsV6,
    marking: isNftables ? undefined : markingOf(publication),
  };
  const record = { ...key, netns: call.netnsPath, details: { ...details, hairpinPort } };
  if (isNftables) prepareTable(call, netfilterSocket(), WEFT_TABLE);
  RECORDS.write(call, record.details, () => unpublish(call, key));
  claimPorts(claimsOf(publication), publication, holders(call));
  if (isNftables) {
    updateRecord<Details>({ ...record, details: { ...record.details, elements, chains } });
    addElements(netfilterSocket(), elements, publication, chains);
  } else addPublishRules(publication);
  enableRouteLocalnet(publication);
  if (hairpinPort) setHairpin(host, hairpinPort, { on: true });
  forgetOtherConnections({ netfilter: netfilterSocket(), host }, publication);
}

/** As the record says; without one, what there is under the attachment's name, ours and the reference's. */
export function deletePublication(call: PublishCall): void {
  const key = RECORDS.key(call);
  const { portMappings } = call.config.runtimeConfig;
  if (findRecord<Details>(key)) unpublish(call, key);
  else if (portMappings.length > 0 || !hasRecords(key)) deleteUnrecorded(call);
}

/** @throws CniError 100 that says what is missing */
export function checkPublication(call: PublishCall, prevResult: Result): void {
  if (call.config.runtimeConfig.portMappings.length === 0) return;
  const host = call.resources.use(openRouteSocket());
  const publication = describePublication(call, prevResult, host);
  const details = RECORDS.find(call)?.details;
  checkPortClaims(claimsOf(publication), publication);
  if ((details?.backend ?? backendOf(call)) === "iptables") checkPublishRules(publication);
  else {
    checkElements(netfilterSocket(), publishElements(publication));
    checkPublishChains(netfilterSocket(), publication);
  }
  checkRouteLocalnet(publication);
  if (details?.hairpinPort) checkHairpin(host, details.hairpinPort);
  const port = portWithoutHairpin(host, prevResult, publication);
  if (port) {
    const since = "bridged packets are filtered since ADD (net.bridge.bridge-nf-call-iptables)";
    throw new CniError(CniError.CHECK_FAILED, `Interface ${port} needs hairpin mode`, { details: since });
  }
}

/** GC: a step for each attachment that the network no longer owns, and for what no record tells of. */
export function stalePublicationSteps(call: GcCall & PublishCall): (() => void)[] {
  const { name } = call.config;
  const isStale = (owner: AttachmentName) =>
    owner.network === name && staleAttachments(call, [owner]).length > 0;
  return [
    ...RECORDS.staleSteps(call, (record) => unpublish(call, record)),
    () => hasNftables() && deleteStale(call, netfilterSocket(), { sets: PUBLISH_SETS }),
    () => deleteStalePublishRules(call),
    () => releaseAllPorts(isStale),
    () => disableRouteLocalnetOf(netfilterSocket(), isStaleIn(name, call.validAttachments)),
  ];
}

/** @throws CniError 50 when this host has no backend, or not the one that is asked for */
export function checkPublishAvailable(config: PublishConfig): void {
  checkBackendAvailable(chooseBackend(askedBackend(config), { needsForwardAccept: false }));
}

/** What an attachment has in iptables, as its record tells; undefined where it has nothing there. */
export function recordedPublication(record: AttachmentRecord<Details>): Publication | undefined {
  const { via, marking } = record.details;
  if (!marking) return undefined;
  const { addresses, ports, ...conditions } = publishedBy(record.details);
  const families = addresses.map(({ address }) => address.family);
  const leading = ports.filter(({ hostIp }) => !hostIp || families.includes(hostIp.family));
  return { ...record, via, ...marking, ...conditions, addresses, ports: leading };
}

/**
 * The reference's chains are a container's, so that those of a second interface would replace the first's.
 */
function refuseSecondInterface(key: RecordKey): void {
  const other = recordedInterfaces(key)
    .map((ifname) => findRecord<Details>({ ...key, ifname }))
    .find((record) => record?.details.backend === "iptables" && record.ifname !== key.ifname);
  if (!other) return;
  const { network, containerId, ifname } = other;
  const msg = `container "${containerId}" publishes ports of "${ifname}" on network "${network}" by iptables`;
  const details = 'its chains hold one interface of a network; set "backend": "nftables" for more';
  throw new CniError(CniError.INVALID_NETWORK_CONFIG, msg, { details });
}

function markingOf(publication: Publication): Marking {
  const { snat, masqAll, markMasqBit, externalSetMarkChain } = publication;
  return { snat, masqAll, markMasqBit, externalSetMarkChain };
}

function backendOf({ config }: PublishCall): Backend {
  return chooseBackend(askedBackend(config), { needsForwardAccept: false });
}

/** Takes away what the record says, so that it can be done again after a kill anywhere in between. */
function unpublish(call: Call, key: RecordKey): void {
  const record = findRecord<Details>(key);
  if (!record) return;
  const { backend, via, hairpinPort } = record.details;
  const published = publishedBy(record.details);
  using _tables = lockTables({ shared: true });
  if (backend === "iptables") {
    requirePrograms("nat");
    deletePublishRules(key);
  }
  {
    using _lock = lockPorts();
    // Again, now that nobody changes it: whoever took the ports over has taken the record away, and then the
    // elements of those keys are the new container's.
    const current = findRecord<Details>(key);
    const { elements = [] } = current?.details ?? {};
    if (current && elements.length > 0) {
      deleteElements(netfilterSocket(), elements);
      updateRecord<Details>({ ...current, details: { ...current.details, elements: [], chains: [] } });
    }
    releasePorts(claimsOf(published), key);
  }
  disableRouteLocalnet(netfilterSocket(), { ...key, via });
  if (hairpinPort) unsetHairpin(call.resources.use(openRouteSocket()), hairpinPort);
  forgetOwnConnections(netfilterSocket(), published);
  removeRecord(key);
}

function deleteUnrecorded(call: PublishCall): void {
  const name = attachmentName(call);
  const { config, prevResult = {} } = call;
  everyStep(
    () => hasNftables() && deleteOwned(netfilterSocket(), name, { sets: PUBLISH_SETS }),
    () => hasNftables() && deleteReferenceRules(netfilterSocket(), name),
    () => deletePublishRules(name),
    () => releaseAllPorts((owner) => isSameAttachment(owner, name)),
    () => disableRouteLocalnetOf(netfilterSocket(), isOf(name)),
    () => {
      const published = { addresses: containerAddresses(call, prevResult), ports: readablePorts(config) };
      forgetOwnConnections(netfilterSocket(), published);
    },
  );
}

/** A container whose namespace is gone, or that no record tells of, is no more. */
function holders(call: Call): Holders {
  return {
    isGone(holder) {
      const record = findRecord<Details>({ plugin: PLUGIN, ...holder });
      if (!record) return true;
      using netns = findNetns(record.netns);
      return netns === undefined;
    },
    evict(holder) {
      unpublish(call, { plugin: PLUGIN, ...holder });
      releaseAllPorts((owner) => isSameAttachment(owner, holder));
    },
  };
}

function publishedBy({ addresses, portMappings, conditionsV4, conditionsV6 }: Details) {
  const ports = parsePortMappings({ runtimeConfig: { portMappings } });
  return { addresses: addresses.map(parsePrefix), ports, conditionsV4, conditionsV6 };
}
