/**
 * The records of a plugin, or of a part of one such as masquerading: what ADD
 * leaves behind, before it touches anything, for CHECK, DEL and GC to go by.
 */
import { attachmentName } from "./alias.ts";
import { staleAttachments } from "./cni/call.ts";
import type { Call, GcCall } from "./cni/plugin.ts";
import {
  type AttachmentRecord,
  findRecord,
  listRecords,
  type RecordKey,
  writeRecord,
} from "./state/record.ts";

export interface OwnRecords<Details> {
  key(call: Call): RecordKey;
  find(call: Call): AttachmentRecord<Details> | undefined;
  /**
   * ADD: writes the call's, in place of one that is there. `undo` takes back, when ADD fails, what it tells
   * of.
   */
  write(call: Call, details: Details, undo: (record: AttachmentRecord<Details>) => void): void;
  /** GC: a step for each attachment of the network that is not valid any more. */
  staleSteps(call: GcCall, undo: (record: AttachmentRecord<Details>) => void): (() => void)[];
}

/** Those under the name, which each of their files bears. */
export function ownRecords<Details>(plugin: string): OwnRecords<Details> {
  const key = (call: Call) => ({ plugin, ...attachmentName(call) });
  return {
    key,
    find: (call) => findRecord<Details>(key(call)),
    write(call, details, undo) {
      const earlier = findRecord<Details>(key(call));
      if (earlier) undo(earlier); // of an ADD whose DEL never came
      const record = { ...key(call), netns: call.netnsPath, details };
      call.undo.defer(() => undo(record));
      writeRecord(record);
    },
    staleSteps(call, undo) {
      const records = staleAttachments(call, listRecords<Details>(plugin, call.config.name));
      return records.map((record) => () => undo(record));
    },
  };
}
