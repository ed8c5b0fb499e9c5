/** A plugin for tests: it does nothing to the host and writes down what it was asked. */
import { Ajv } from "ajv";
import { AJV_OPTIONS } from "../cni/ajv-options.ts";
import type { NetConf, Validate } from "../cni/config.ts";
import type { Variables } from "../cni/environment.ts";
import type { Call, Plugin } from "../cni/plugin.ts";
import { netConfKeys, type Schema } from "../cni/schema.ts";
import { ALL_VERSIONS } from "../cni/version.ts";

export const probeSchema = {
  type: "object",
  properties: {
    ...netConfKeys,
    mtu: { type: "integer", minimum: 0, maximum: 65_535, default: 1500, description: "Bytes." },
    mode: {
      enum: ["bridge", "vepa"],
      default: "bridge",
      description: "Mode.",
      "x-message": 'unknown mode: "${value}"',
    },
    ranges: {
      type: "array",
      description: "Ranges.",
      items: {
        type: "object",
        properties: { subnet: { type: "string", description: "Prefix." } },
        required: ["subnet"],
        additionalProperties: false,
      },
    },
    sysctl: { type: "object", additionalProperties: { type: "string" }, description: "Settings." },
    owner: { anyOf: [{ type: "integer", minimum: 0 }, { type: "string" }], description: "Number or name." },
    tags: { type: "array", items: { type: "string" }, uniqueItems: true, description: "Tags." },
  },
  required: ["name"],
  additionalProperties: false,
} as const satisfies Schema;

/** The validator that the build would generate. */
export function compile(schema: Schema): Validate {
  return new Ajv(AJV_OPTIONS).compile(schema) as Validate; // not asynchronous: no schema of ours says $async
}

const validate = compile(probeSchema);

/** A plugin that answers as `parts` say, and the calls it got. */
export function probe(parts: Partial<Plugin> = {}): { plugin: Plugin; calls: Call[] } {
  const calls: Call[] = [];
  const noting = <R>(answer: ((call: Call) => R) | undefined, otherwise: R) => {
    return (call: Call): R => {
      calls.push(call);
      return answer ? answer(call) : otherwise;
    };
  };
  const plugin: Plugin = {
    name: "probe",
    versions: ALL_VERSIONS,
    schema: probeSchema,
    validate,
    ...parts,
    add: noting(parts.add, {}),
    del: noting(parts.del, undefined),
    check: noting(parts.check, undefined),
    gc: noting(parts.gc as Plugin["check"], undefined), // callPlugin() calls it with what it needs
    status: noting(parts.status, undefined),
  };
  return { plugin, calls };
}

/** Variables and stdin of a call that goes through, with what a test changes in them. */
export function input(
  command: string,
  config: Partial<NetConf> & Record<string, unknown> = {},
  variables: Variables = {},
): { environment: Variables; stdin: string } {
  return {
    environment: {
      CNI_COMMAND: command,
      CNI_CONTAINERID: "c1",
      CNI_NETNS: "/run/netns/none",
      CNI_IFNAME: "eth0",
      CNI_PATH: "/opt/cni/bin",
      ...variables,
    },
    stdin: JSON.stringify({ cniVersion: "1.1.0", name: "net", type: "probe", ...config }),
  };
}
