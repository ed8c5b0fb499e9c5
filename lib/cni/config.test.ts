import { expect, test } from "bun:test";
import type { FromSchema } from "json-schema-to-ts";
import { probe, probeSchema } from "../testing/probe.ts";
import { decodeConfig, type NetConf, validateConfig } from "./config.ts";
import { CniError } from "./error.ts";

type Config = FromSchema<typeof probeSchema>;

const { plugin } = probe();

function decode(config: object | string): Record<string, unknown> {
  return decodeConfig(
    typeof config === "string" ? config : JSON.stringify({ name: "net", ...config }),
    probeSchema,
  );
}

function parse(config: object, options = { lenient: false }): Config & NetConf {
  return validateConfig(
    decodeConfig(JSON.stringify({ name: "net", ...config }), probeSchema),
    plugin,
    options,
  );
}

function refusal(run: () => unknown): CniError {
  try {
    run();
  } catch (error) {
    if (error instanceof CniError) return error;
  }
  throw new Error("not refused");
}

test.each<[why: string, text: string, code: number, msg: string, details: string]>([
  ["nothing", "", 6, "error unmarshall network config: unexpected end of JSON input", ""],
  ["white space", " \n", 6, "error unmarshall network config: unexpected end of JSON input", ""],
  ["half an object", "{", 6, "error unmarshall network config: JSON Parse error: Expected '}'", ""],
  ["a list", "[]", 6, "error unmarshall network config: the configuration is not a JSON object", ""],
  ["null", "null", 6, "error unmarshall network config: the configuration is not a JSON object", ""],
  ["a name that is a number", '{"name":5}', 6, "error unmarshall network config: name is not a string", ""],
  [
    "a version that is a number",
    '{"name":"net","cniVersion":1}',
    6,
    "error unmarshall network config: cniVersion is not a string",
    "",
  ],
  ["no name", "{}", 7, "missing network name", ""],
  ["an empty name", '{"name":""}', 7, "missing network name", ""],
  ["a name that is null", '{"name":null}', 7, "missing network name", ""],
  ["a name with a slash", '{"name":"a/b"}', 7, "invalid characters found in network name", "a/b"],
  ["a name with a hyphen first", '{"name":"-a"}', 7, "invalid characters found in network name", "-a"],
])("decodeConfig() refuses %s", (_, text, code, msg, details) => {
  expect(refusal(() => decode(text))).toMatchObject({ code, msg, details });
});

test.each([{}, { cniVersion: "" }, { cniVersion: null }])(
  "decodeConfig() takes %j for version 0.1.0",
  (config) => {
    expect(decode(config)).toMatchObject({ cniVersion: "0.1.0", name: "net" });
  },
);

test.each<[why: string, text: string, expected: object]>([
  [
    "keys in any case",
    '{"NAME":"net","MTU":5,"IPAM":{"Type":"x"}}',
    { name: "net", mtu: 5, ipam: { type: "x" } },
  ],
  ["the later of two cases", '{"name":"net","mtu":5,"MTU":6}', { mtu: 6 }],
  ["the later of two equal keys", '{"name":"net","mtu":5,"mtu":6}', { mtu: 6 }],
  ["a value before null", '{"name":"net","mtu":5,"MTU":null}', { mtu: 5 }],
  ["keys in a list", '{"name":"net","ranges":[{"SUBNET":"a"}]}', { ranges: [{ subnet: "a" }] }],
  [
    "keys of a map as they are",
    '{"name":"net","sysctl":{"net.A":"1","net.a":"2"}}',
    { sysctl: { "net.A": "1", "net.a": "2" } },
  ],
  ["unknown keys inside ipam", '{"name":"net","ipam":{"subnet":"a"}}', { ipam: { subnet: "a" } }],
])("decodeConfig() takes %s", (_, text, expected) => {
  expect(decode(text)).toMatchObject(expected);
});

test("decodeConfig() leaves out null and unknown keys", () => {
  const text = '{"name":"net","mtu":null,"mut":5,"__proto__":{"mtu":1},"ranges":[{"subnet":"a","x":1}]}';
  expect(decode(text)).toStrictEqual({ name: "net", cniVersion: "0.1.0", ranges: [{ subnet: "a" }] });
});

test("validateConfig() fills in the defaults, also for null", () => {
  expect(parse({ mtu: null })).toMatchObject({ mtu: 1500, mode: "bridge", ipam: { type: "" } });
});

test.each<[config: object, msg: string]>([
  [{ mtu: "1500" }, 'invalid value "1500" for "mtu": must be an integer from 0 to 65535'],
  [{ mtu: -1 }, 'invalid value -1 for "mtu": must be an integer from 0 to 65535'],
  [{ mtu: 70000 }, 'invalid value 70000 for "mtu": must be an integer from 0 to 65535'],
  [{ ipam: "host-local" }, 'invalid value "host-local" for "ipam": must be an object'],
  [{ ipam: { type: 5 } }, 'invalid value 5 for "ipam.type": must be a string'],
  [{ ranges: [{ subnet: "a" }, {}] }, 'missing "ranges[1].subnet": must be a string'],
  [{ ranges: [{ subnet: [] }] }, 'invalid value [] for "ranges[0].subnet": must be a string'],
  [{ ranges: {} }, 'invalid value {} for "ranges": must be a list'],
  [{ sysctl: { "net.a": 1 } }, 'invalid value 1 for "sysctl.net.a": must be a string'],
  [{ owner: true }, 'invalid value true for "owner": must be an integer of at least 0 or a string'],
  [
    { tags: ["a", "a"] },
    'invalid value ["a","a"] for "tags": must NOT have duplicate items (items ## 1 and 0 are identical)',
  ],
  [{ capabilities: [] }, 'invalid value [] for "capabilities": must be an object'],
])("validateConfig() refuses %j by key, value and what is allowed", (config, text) => {
  expect(refusal(() => parse(config))).toMatchObject({
    code: 7,
    msg: `failed to load netconf: ${text}`,
    details: "",
  });
});

test("validateConfig() says what a schema prescribes in its words", () => {
  expect(refusal(() => parse({ mode: "l2" })).msg).toBe('unknown mode: "l2"');
  expect(refusal(() => parse({ mode: { $: "$&" } })).msg).toBe('unknown mode: "{"$":"$&"}"');
});

test("validateConfig() reports every violation: one as the message, the others as details", () => {
  expect(refusal(() => parse({ mtu: -1, mode: "l2" }))).toMatchObject({
    msg: 'failed to load netconf: invalid value -1 for "mtu": must be an integer from 0 to 65535',
    details: 'unknown mode: "l2"',
  });
});

test("validateConfig() takes a wrong key for an absent one when it is lenient", () => {
  const config = {
    mtu: "x",
    mode: 5,
    ipam: { type: 5, subnet: "a" },
    ranges: [{ subnet: "a" }, {}],
    tags: ["a"],
    owner: [],
  };
  const { cniVersion, name, mtu, mode, ipam, tags, ...rest } = parse(config, { lenient: true });
  expect({ mtu, mode, ipam, tags }).toEqual({
    mtu: 1500,
    mode: "bridge",
    ipam: { type: "", subnet: "a" },
    tags: ["a"],
  });
  expect(rest).toEqual({});
});

test("validateConfig() does not stumble over a key that is required when it is lenient", () => {
  const strict = { ...probeSchema, required: ["name", "mode"] };
  const validate = Object.assign(() => false, {
    errors: [
      {
        instancePath: "",
        schemaPath: "#/required",
        keyword: "required",
        params: { missingProperty: "mode" },
      },
    ],
  });
  const decoded = decodeConfig('{"name":"net"}', strict);
  expect(validateConfig(decoded, { schema: strict, validate }, { lenient: true }).name).toBe("net");
});

test.each([
  [{ containerID: "c1" }],
  [{ containerID: "", ifname: "eth0" }],
  [{ containerID: 1, ifname: "eth0" }],
  ["c1"],
  [null],
])("validateConfig() refuses the valid attachment %j also when it is lenient", (attachment) => {
  const config = {
    mtu: "x",
    "cni.dev/valid-attachments": [{ containerID: "c1", ifname: "eth0" }, attachment],
  };
  const error = refusal(() => parse(config, { lenient: true }));
  expect(error.code).toBe(7);
  expect(error.msg).toContain('"cni.dev/valid-attachments[1]');
});

test("the type of a configuration is that of its schema", () => {
  const config = parse({ ranges: [{ subnet: "10.0.0.0/8" }], mode: "vepa", sysctl: { a: "b" } });
  const mtu: number = config.mtu;
  const mode: "bridge" | "vepa" = config.mode;
  const subnet: string | undefined = config.ranges?.[0]?.subnet;
  const setting: string | undefined = config.sysctl?.["a"];
  const ipamType: string = config.ipam.type;
  expect({ mtu, mode, subnet, setting, ipamType }).toEqual({
    mtu: 1500,
    mode: "vepa",
    subnet: "10.0.0.0/8",
    setting: "b",
    ipamType: "",
  });
  // @ts-expect-error a key that is not in the schema
  expect(config.mut).toBeUndefined();
});
