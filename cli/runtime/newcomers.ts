/** Attachments that a runtime has made, or makes just now, since somebody listed those that there were. */
import { isSameAttachment } from "../../lib/alias.ts";
import { type AttachmentName, listNetworkRecords } from "../../lib/state/record.ts";

/** ADD writes its record before it makes anything, so that what has none is nobody's yet. */
export function newcomersOn(network: string, known: readonly AttachmentName[]): AttachmentName[] {
  return listNetworkRecords<unknown>(network).filter(
    (record) => !known.some((each) => isSameAttachment(each, record)),
  );
}
