/** tap: its configuration. */
import type { FromSchema } from "json-schema-to-ts";
import { mac, runtimeConfigWithMac } from "../../lib/cni/mac-keys.ts";
import { netConfKeys, type Schema } from "../../lib/cni/schema.ts";

/** 2^32-1 stands for no id (uid_t -1). */
const id = { type: "integer", minimum: 0, maximum: 4_294_967_294 } as const;

export const schema = {
  title: "tap",
  description: "Makes a tap device in a container.",
  type: "object",
  properties: {
    multiQueue: {
      type: "boolean",
      default: false,
      description: "Let several files be attached, a queue each.",
    },
    mtu: {
      type: "integer",
      minimum: 0,
      maximum: 65521,
      default: 0,
      description: "MTU, in bytes; 0 leaves the kernel's.",
    },
    mac,
    owner: {
      ...id,
      description: "User id that may open it without CAP_NET_ADMIN. Without owner and group all users may.",
    },
    group: { ...id, description: "Group id that may open it without CAP_NET_ADMIN." },
    selinuxContext: {
      type: "string",
      default: "",
      description: "SELinux context of the device's label, which is the plugin's own otherwise.",
    },
    bridge: {
      type: "string",
      default: "",
      description: "Bridge in the container's namespace that the tap becomes a port of.",
    },
    ...netConfKeys,
    runtimeConfig: runtimeConfigWithMac,
  },
  required: ["name"],
  additionalProperties: false,
} as const satisfies Schema;

export type Config = FromSchema<typeof schema>;
