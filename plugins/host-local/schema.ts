/** host-local: its configuration. */
import type { FromSchema } from "json-schema-to-ts";
import { netConfKeys, type Schema } from "../../lib/cni/schema.ts";
import { routes } from "../../lib/ipam/routes.ts";

const rangeKeys = {
  subnet: { type: "string", description: "Network of the range, as 10.0.0.0/24." },
  rangeStart: { type: "string", description: "First address to lease; the network's first unless given." },
  rangeEnd: { type: "string", description: "Last address to lease; the network's last unless given." },
  gateway: {
    type: "string",
    description: "Gateway of the network, never leased; its first address unless given.",
  },
} as const satisfies Readonly<Record<string, Schema>>;

/** Sets of ranges: an address is leased from each set. */
const rangeSets = {
  type: "array",
  default: [],
  items: {
    type: "array",
    items: { type: "object", properties: rangeKeys, required: ["subnet"], additionalProperties: false },
  },
} as const;

const ips = { type: "array", items: { type: "string" }, default: [] } as const;

export const schema = {
  title: "host-local",
  description: "Leases addresses out of ranges that belong to this host alone.",
  type: "object",
  properties: {
    ...netConfKeys,
    ipam: {
      type: "object",
      description: "Address management.",
      properties: {
        type: { type: "string", default: "", description: "`host-local`." },
        ranges: { ...rangeSets, description: "Sets of ranges; a container gets an address of each set." },
        ...rangeKeys,
        subnet: { type: "string", description: "A set of one range, before those of `ranges`: its network." },
        routes,
        dataDir: {
          type: "string",
          default: "/var/lib/cni/networks",
          pattern: "^[^\\u0000]*$",
          description: "Directory of the leases, in which each network has its own.",
        },
        resolvConf: {
          type: "string",
          default: "",
          pattern: "^[^\\u0000]*$",
          description: "File in the form of /etc/resolv.conf, for the container's DNS settings.",
        },
      },
      additionalProperties: false,
    },
    args: {
      type: "object",
      default: {},
      description: netConfKeys.args.description,
      properties: {
        cni: {
          type: "object",
          default: {},
          description: "Arguments by convention.",
          properties: { ips: { ...ips, description: "Addresses to lease." } },
        },
      },
    },
    runtimeConfig: {
      type: "object",
      default: {},
      description: netConfKeys.runtimeConfig.description,
      properties: {
        ips: { ...ips, description: "Capability ips: addresses to lease." },
        ipRanges: {
          ...rangeSets,
          description: "Capability ipRanges: sets of ranges, before those of `ipam`.",
        },
      },
    },
  },
  required: ["name"],
  additionalProperties: false,
} as const satisfies Schema;

export type Config = FromSchema<typeof schema>;
