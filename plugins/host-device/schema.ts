/** host-device: its configuration. */
import type { FromSchema } from "json-schema-to-ts";
import { netConfKeys, type Schema } from "../../lib/cni/schema.ts";

export const schema = {
  title: "host-device",
  description: "Moves a device of the host into the container, and back.",
  type: "object",
  properties: {
    device: {
      type: "string",
      default: "",
      description: "The device by its name on the host: eth1. One of these four is to be given.",
    },
    hwaddr: { type: "string", default: "", description: "The device by its MAC." },
    kernelpath: {
      type: "string",
      default: "",
      description: "The device by its directory in /sys/devices: /sys/devices/pci0000:00/0000:00:1f.6.",
    },
    pciBusID: {
      type: "string",
      default: "",
      description: "The device by its address on the PCI bus: 0000:00:1f.6.",
    },
    DPDKMode: {
      type: "boolean",
      default: false,
      description:
        "Move nothing: a program drives the device. Not looked at where the key is an address on a bus: then the driver that the device has tells.",
    },
    ...netConfKeys,
    runtimeConfig: {
      type: "object",
      default: {},
      description: netConfKeys.runtimeConfig.description,
      properties: {
        deviceID: {
          type: "string",
          default: "",
          description: "Capability deviceID: address on the PCI or the auxiliary bus, instead of pciBusID.",
        },
      },
    },
  },
  required: ["name"],
  additionalProperties: false,
} as const satisfies Schema;

export type Config = FromSchema<typeof schema>;
