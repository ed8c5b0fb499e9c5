/** Keys that plugins which lease addresses out of ranges have in common. */
import { netConfKeys, type Schema } from "../cni/schema.ts";
import { routes } from "./routes.ts";

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

/** Of `ipam`: which addresses there are. */
export const leaseRangeKeys = {
  ranges: { ...rangeSets, description: "Sets of ranges; a container gets an address of each set." },
  ...rangeKeys,
  subnet: { type: "string", description: "A set of one range, before those of `ranges`: its network." },
  routes,
} as const satisfies Readonly<Record<string, Schema>>;

/** Of `ipam`. */
export const resolvConf = {
  type: "string",
  default: "",
  pattern: "^[^\\u0000]*$",
  description: "File in the form of /etc/resolv.conf, for the container's DNS settings.",
} as const satisfies Schema;

/** Of the configuration: which addresses are asked for by name. */
export const requestKeys = {
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
} as const satisfies Readonly<Record<string, Schema>>;
