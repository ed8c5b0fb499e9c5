/**
 * What attachments have beside our own tables, in iptables and in firewalld's zones: looked
 * for as CHECK does, and put back as ADD puts it there, from nothing but the records.
 */
import { CniError } from "../lib/cni/error.ts";
import { addSources, checkSources, findFirewalld } from "../lib/isolate/firewalld.ts";
import { addIsolateRules, checkIsolateRules } from "../lib/isolate/iptables.ts";
import { type Details as IsolationDetails, recordedIsolation } from "../lib/isolate/isolate.ts";
import { addMasqueradeRules, checkMasqueradeRules } from "../lib/masquerade/iptables.ts";
import { type Details as MasqueradeDetails, recordedMasquerade } from "../lib/masquerade/masquerade.ts";
import { parseAddress } from "../lib/netaddr/address.ts";
import { addPublishRules, checkPublishRules } from "../lib/publish/iptables.ts";
import { type Details as PublicationDetails, recordedPublication } from "../lib/publish/publish.ts";
import type { AttachmentRecord } from "../lib/state/record.ts";

/** One thing that can be gone. */
interface Part {
  /** @throws CniError 100 when it is */
  check(): void;
  add(): void;
}

// biome-ignore lint/suspicious/noExplicitAny: the record's word for its plugin says whose details they are
export type AnyRecord = AttachmentRecord<any>;

const PARTS: Readonly<Record<string, (record: AnyRecord) => Part[]>> = {
  masquerade: masqueradeParts,
  portmap: publicationParts,
  firewall: isolationParts,
};

/** Puts back what of the record is missing. @returns whether anything was */
export function restoreRules(record: AnyRecord): boolean {
  const lacking = (PARTS[record.plugin]?.(record) ?? []).filter(isLacking);
  for (const part of lacking) part.add();
  return lacking.length > 0;
}

/** What of the record is missing, in the words of CHECK; undefined where nothing is. */
export function missingRules(record: AnyRecord): string | undefined {
  const lacking = (PARTS[record.plugin]?.(record) ?? []).flatMap((part) => faultOf(part) ?? []);
  return lacking.length > 0 ? lacking.join(", ") : undefined;
}

function isLacking(part: Part): boolean {
  return faultOf(part) !== undefined;
}

function faultOf({ check }: Part): string | undefined {
  try {
    check();
    return undefined;
  } catch (error) {
    if (error instanceof CniError && error.code === CniError.CHECK_FAILED) return error.msg;
    throw error;
  }
}

function masqueradeParts(record: AttachmentRecord<MasqueradeDetails>): Part[] {
  const target = recordedMasquerade(record);
  return target ? [{ check: () => checkMasqueradeRules(target), add: () => addMasqueradeRules(target) }] : [];
}

function publicationParts(record: AttachmentRecord<PublicationDetails>): Part[] {
  const publication = recordedPublication(record);
  if (!publication) return [];
  return [{ check: () => checkPublishRules(publication), add: () => addPublishRules(publication) }];
}

function isolationParts(record: AttachmentRecord<IsolationDetails>): Part[] {
  const { zone, addresses } = record.details;
  const isolation = recordedIsolation(record);
  return [
    ...(zone ? [zonePart(zone, addresses)] : []),
    ...(isolation
      ? [{ check: () => checkIsolateRules(isolation), add: () => addIsolateRules(isolation) }]
      : []),
  ];
}

/** Where firewalld does not run there is nothing of it to be missing. */
function zonePart(zone: string, texts: readonly string[]): Part {
  const addresses = texts.map(parseAddress);
  const onBus = (ask: typeof addSources) => () => {
    using bus = findFirewalld(process.env);
    if (bus) ask(bus, zone, addresses);
  };
  return { check: onBus(checkSources), add: onBus(addSources) };
}
