/** The records of devices that containers have. */
import { isSameAttachment } from "../alias.ts";
import { ownRecords } from "../own-records.ts";
import { type AttachmentName, type AttachmentRecord, listAllRecords } from "../state/record.ts";
import type { HostDevice } from "./device.ts";

const PLUGIN = "host-device";

/** What a device is known by and was, and in which namespace it is: another may be at the path by now. */
export type DeviceRecord = AttachmentRecord<HostDevice & { readonly netnsInode: string }>;

export const RECORDS = ownRecords<DeviceRecord["details"]>(PLUGIN);

export function isDeviceRecord(record: AttachmentRecord<unknown>): record is DeviceRecord {
  return record.plugin === PLUGIN; // so it was written by takeDevice()
}

/** Those of every network. */
export function listDeviceRecords(): DeviceRecord[] {
  return listAllRecords().filter(isDeviceRecord);
}

/** Those of other attachments. */
export function listOtherRecords(attachment: AttachmentName): DeviceRecord[] {
  return listDeviceRecords().filter((record) => !isSameAttachment(record, attachment));
}
