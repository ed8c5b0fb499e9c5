/** The records of devices that containers have. */
import { type AttachmentRecord, listAllRecords } from "../state/record.ts";
import type { HostDevice } from "./device.ts";

export const PLUGIN = "host-device";

export type DeviceRecord = AttachmentRecord<HostDevice>;

export function isDeviceRecord(record: AttachmentRecord<unknown>): record is DeviceRecord {
  return record.plugin === PLUGIN; // so it was written by takeDevice()
}

/** Those of every network. */
export function listDeviceRecords(): DeviceRecord[] {
  return listAllRecords().filter(isDeviceRecord);
}
