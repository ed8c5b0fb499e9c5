/** The device by which a container's overlay reaches other hosts, as its attachment's record has it. */
import { type AttachmentName, findRecord } from "./state/record.ts";

export interface OverlayDevice {
  readonly device: string;
  readonly mode: "bridged" | "routed";
}

/** Of a container that plugin vxlan attached (lib/overlay/record.ts); else undefined. */
export function findOverlayDevice(name: AttachmentName): OverlayDevice | undefined {
  const { network, containerId, ifname } = name;
  return findRecord<OverlayDevice>({ plugin: "vxlan", network, containerId, ifname })?.details;
}
