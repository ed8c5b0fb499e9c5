/** The keys of plugins that masquerade. */
import type { Schema } from "../cni/schema.ts";

export const masqueradeKeys = {
  ipMasq: {
    type: "boolean",
    default: false,
    description: "Masquerade what containers send out of their subnets.",
  },
  ipMasqBackend: {
    enum: ["auto", "iptables", "nftables"],
    description: "What masquerades; auto, the default, is nftables where the kernel has it.",
    "x-message": 'unknown ipMasqBackend ${value}: use "auto", "iptables" or "nftables"',
  },
} as const satisfies Readonly<Record<string, Schema>>;
