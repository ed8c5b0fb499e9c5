import { expect, test } from "bun:test";
import { parsePrefix } from "../netaddr/prefix.ts";
import { input, probe } from "../testing/probe.ts";
import { CniError } from "./error.ts";
import { callPlugin, everyStep, type Plugin } from "./plugin.ts";

const OWN_NETNS = { CNI_NETNS: "/proc/self/ns/net" };
const ATTACHMENTS = "cni.dev/valid-attachments";

function failure(plugin: Plugin, call: ReturnType<typeof input>): unknown {
  try {
    callPlugin(plugin, call);
  } catch (error) {
    return error;
  }
  throw new Error("not refused");
}

test("callPlugin() answers VERSION on one line, in the version it was asked in", () => {
  const { plugin, calls } = probe({ versions: ["0.4.0", "1.0.0"] });
  const answer = (stdin: string) => callPlugin(plugin, { environment: { CNI_COMMAND: "VERSION" }, stdin });
  expect(answer('{"cniVersion":"0.4.0"}')).toBe(
    '{"cniVersion":"0.4.0","supportedVersions":["0.4.0","1.0.0"]}\n',
  );
  expect(answer('{"cniVersion":"0.1.0"}')).toBe(
    '{"cniVersion":"0.1.0","supportedVersions":["0.4.0","1.0.0"]}\n',
  );
  expect(answer("")).toBe('{"cniVersion":"1.1.0","supportedVersions":["0.4.0","1.0.0"]}\n');
  expect(calls).toEqual([]);
});

test("callPlugin() prints the result of ADD in the configuration's version, indented by four", () => {
  const { plugin } = probe({ add: () => ({ ips: [{ address: parsePrefix("10.1.0.5/16") }] }) });
  expect(callPlugin(plugin, input("ADD", { cniVersion: "1.0.0" }))).toBe(
    '{\n    "cniVersion": "1.0.0",\n    "ips": [\n        {\n            "address": "10.1.0.5/16"\n        }\n    ]\n}',
  );
  expect(JSON.parse(callPlugin(plugin, input("ADD", { cniVersion: "" })))).toEqual({
    cniVersion: "0.1.0",
    ip4: { ip: "10.1.0.5/16" },
    dns: {},
  });
});

test.each(["DEL", "CHECK", "GC", "STATUS"])("callPlugin() prints nothing for %s", (command) => {
  const { plugin, calls } = probe();
  expect(callPlugin(plugin, input(command, { [ATTACHMENTS]: [] }))).toBe("");
  expect(calls.map((call) => call.command as string)).toEqual([command]);
});

test("callPlugin() hands the plugin everything there is about the call", () => {
  const { plugin, calls } = probe({ argKeys: ["MAC"] });
  const prevResult = { cniVersion: "1.0.0", ips: [{ address: "10.1.0.5/16" }] };
  const given = input("CHECK", { prevResult, mtu: 9000 }, { CNI_ARGS: "MAC=a", CNI_PATH: "/a:/b", X: "y" });
  callPlugin(plugin, given);
  expect(calls).toEqual([
    expect.objectContaining({
      command: "CHECK",
      config: expect.objectContaining({ name: "net", mtu: 9000, mode: "bridge" }),
      stdin: given.stdin,
      containerId: "c1",
      netnsPath: "/run/netns/none",
      ifname: "eth0",
      args: { MAC: "a" },
      path: ["/a", "/b"],
      prevResult: { cniVersion: "1.0.0", ips: [{ address: parsePrefix("10.1.0.5/16") }] },
      environment: { ...given.environment, CNI_ARGS: "MAC=a;IgnoreUnknown=1" },
      own: new Map(),
      validAttachments: undefined,
    }),
  ]);
});

// Each call is wrong from the step on that its line is about:
// the steps before are right, and none after is reached.
test.each<
  [
    step: string,
    command: string,
    config: object | string,
    variables: Record<string, string>,
    code: number,
    msg: string,
  ]
>([
  ["a bad variable", "ADD", "", { CNI_CONTAINERID: "", CNI_IFNAME: "." }, 4, "interface name is . or .."],
  [
    "a missing variable",
    "ADD",
    "",
    { CNI_CONTAINERID: "" },
    4,
    "required env variables [CNI_CONTAINERID] missing",
  ],
  ["bad JSON", "FOO", "", {}, 6, "error unmarshall network config: unexpected end of JSON input"],
  ["a missing name", "FOO", { name: "", cniVersion: "9" }, {}, 7, "missing network name"],
  ["a bad name", "FOO", { name: "/", cniVersion: "9" }, {}, 7, "invalid characters found in network name"],
  ["an unknown command", "FOO", { cniVersion: "9", mtu: "" }, {}, 4, "unknown CNI_COMMAND: FOO"],
  [
    "a version without CHECK",
    "CHECK",
    { cniVersion: "0.3.1", mtu: "" },
    {},
    1,
    "config version does not allow CHECK",
  ],
  ["a version without GC", "GC", { cniVersion: "1.0.0", mtu: "" }, {}, 1, "config version does not allow GC"],
  [
    "a version without STATUS",
    "STATUS",
    { cniVersion: "1.0.0", mtu: "" },
    {},
    1,
    "config version does not allow STATUS",
  ],
  [
    "a later version in CHECK",
    "CHECK",
    { cniVersion: "2.0.0", mtu: "" },
    {},
    1,
    "plugin version does not allow CHECK",
  ],
  ["a bad version in ADD", "ADD", { cniVersion: "2.0.0", mtu: "" }, {}, 1, "incompatible CNI versions"],
  ["a bad version in DEL", "DEL", { cniVersion: "2.0.0", mtu: "" }, {}, 1, "incompatible CNI versions"],
  ["a bad key", "ADD", { mode: "x", tags: ["bad"] }, { CNI_ARGS: "x" }, 7, 'unknown mode: "x"'],
  ["a bad meaning", "ADD", { tags: ["bad"] }, { CNI_ARGS: "x" }, 7, "bad tag"],
  ["bad arguments", "ADD", { prevResult: { ips: 5 } }, { CNI_ARGS: "x" }, 4, 'ARGS: invalid pair "x"'],
  [
    "a bad prevResult",
    "ADD",
    { prevResult: { ips: 5 } },
    OWN_NETNS,
    7,
    "could not parse prevResult: ips: 5 is not a list",
  ],
  [
    "our own netns in ADD",
    "ADD",
    {},
    OWN_NETNS,
    8,
    "plugin's netns and netns from CNI_NETNS should not be the same",
  ],
  [
    "our own netns in DEL",
    "DEL",
    {},
    OWN_NETNS,
    8,
    "plugin's netns and netns from CNI_NETNS should not be the same",
  ],
])("callPlugin() refuses %s before it calls the plugin", (_, command, config, variables, code, msg) => {
  const { plugin, calls } = probe({
    argKeys: ["MAC"],
    verify(config) {
      if ("tags" in config) throw new CniError(CniError.INVALID_NETWORK_CONFIG, "bad tag");
    },
  });
  const given = input(command, typeof config === "object" ? { ...config } : {}, variables);
  const call = typeof config === "object" ? given : { ...given, stdin: config };
  expect(failure(plugin, call)).toMatchObject({ code, msg });
  expect(calls).toEqual([]);
});

test.each(["1", "true", "TRUE"])(
  "callPlugin() takes our own netns when CNI_NETNS_OVERRIDE is %s",
  (CNI_NETNS_OVERRIDE) => {
    const { plugin, calls } = probe();
    callPlugin(plugin, input("ADD", {}, { ...OWN_NETNS, CNI_NETNS_OVERRIDE }));
    callPlugin(plugin, input("DEL", {}, { ...OWN_NETNS, CNI_NETNS_OVERRIDE }));
    expect(calls.length).toBe(2);
    expect(failure(plugin, input("ADD", {}, { ...OWN_NETNS, CNI_NETNS_OVERRIDE: "0" }))).toMatchObject({
      code: 8,
    });
  },
);

test.each(["DEL", "GC"])(
  "callPlugin() carries out %s whatever is wrong in what it need not know",
  (command) => {
    const { plugin, calls } = probe({
      argKeys: ["MAC"],
      verify() {
        throw new Error("not for this command");
      },
    });
    const config = { mtu: "x", prevResult: { cniVersion: "0.3.0", ips: 5 }, [ATTACHMENTS]: [] };
    callPlugin(plugin, input(command, config, { CNI_ARGS: "X=1" }));
    expect(calls).toMatchObject([{ config: { mtu: 1500 }, args: {}, prevResult: undefined }]);
  },
);

test("callPlugin() does not look at the CNI_ARGS of a plugin that has no keys there", () => {
  const { plugin, calls } = probe();
  const given = input("ADD", {}, { CNI_ARGS: "nonsense" });
  callPlugin(plugin, given);
  expect(calls).toMatchObject([{ args: {}, environment: given.environment }]);
});

test("callPlugin() leaves CNI_ARGS as they are for delegates when it understood none of them", () => {
  const { plugin, calls } = probe({ argKeys: ["MAC"] });
  const CNI_ARGS = "IgnoreUnknown=1;IP=10.0.0.1";
  callPlugin(plugin, input("ADD", {}, { CNI_ARGS }));
  expect(calls).toMatchObject([{ args: { IP: "10.0.0.1" }, environment: { CNI_ARGS } }]);
});

test.each<[why: string, attachments: object, expected: unknown[]]>([
  ["not without a list", {}, []],
  ["not with null for a list", { [ATTACHMENTS]: null }, []],
  ["with an empty list", { [ATTACHMENTS]: [] }, [[]]],
  [
    "with a list",
    { [ATTACHMENTS]: [{ containerID: "c1", ifname: "eth0" }] },
    [[{ containerID: "c1", ifname: "eth0" }]],
  ],
])("callPlugin() collects garbage %s", (_, config, expected) => {
  const { plugin, calls } = probe();
  expect(callPlugin(plugin, input("GC", { ...config }))).toBe("");
  expect(calls.map((call) => call.validAttachments as unknown)).toEqual(expected);
});

test.each([{}, "c1", [{ containerID: "c1" }]])(
  "callPlugin() refuses GC with the attachments %j",
  (attachments) => {
    const { plugin, calls } = probe();
    expect(failure(plugin, input("GC", { [ATTACHMENTS]: attachments as [] }))).toMatchObject({ code: 7 });
    expect(calls).toEqual([]);
  },
);

/** A plugin whose ADD leaves things to undo and to close, then does `last`. */
function untidy(log: string[], last: () => void): Plugin {
  return probe({
    add({ undo, resources }) {
      resources.defer(() => log.push("close 1"));
      undo.defer(() => log.push("undo 1"));
      resources.defer(() => log.push("close 2"));
      undo.defer(() => log.push("undo 2"));
      last();
      return {};
    },
  }).plugin;
}

test("callPlugin() undoes a failed ADD in reverse, then closes what it opened", () => {
  const log: string[] = [];
  const error = new Error("first");
  const plugin = untidy(log, () => {
    throw error;
  });
  expect(failure(plugin, input("ADD"))).toBe(error);
  expect(log).toEqual(["undo 2", "undo 1", "close 2", "close 1"]);
});

test("callPlugin() undoes nothing of an ADD that went through", () => {
  const log: string[] = [];
  callPlugin(
    untidy(log, () => {}),
    input("ADD"),
  );
  expect(log).toEqual(["close 2", "close 1"]);
});

test("callPlugin() undoes an ADD whose result cannot be said in the configuration's version", () => {
  const log: string[] = [];
  const plugin = untidy(log, () => {});
  const msg = "cannot convert: no valid IP addresses";
  expect(failure(plugin, input("ADD", { cniVersion: "0.2.0" }))).toMatchObject({ msg });
  expect(log).toEqual(["undo 2", "undo 1", "close 2", "close 1"]);
});

test("callPlugin() reports the first error though undoing fails as well", () => {
  const log: string[] = [];
  const { plugin } = probe({
    add({ undo, resources }) {
      undo.defer(() => log.push("undo 1"));
      for (const text of ["undo a", "undo b"]) {
        undo.defer(() => {
          throw new Error(text);
        });
      }
      resources.defer(() => {
        throw new Error("close");
      });
      throw new CniError(CniError.TRY_AGAIN_LATER, "first", { details: "why" });
    },
  });
  expect(failure(plugin, input("ADD"))).toMatchObject({
    code: 11,
    msg: "first",
    details: "why; while cleaning up: undo b; undo a; while cleaning up: close",
  });
  expect(log).toEqual(["undo 1"]);
});

test("everyStep() runs every step and throws the one error, or all of them", () => {
  const log: number[] = [];
  const fail = (text: string) => () => {
    throw new Error(text);
  };
  everyStep(() => log.push(1));
  expect(() => everyStep(fail("a"), () => log.push(2))).toThrow(new Error("a"));
  let thrown: unknown;
  try {
    everyStep(fail("a"), () => log.push(3), fail("b"));
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(AggregateError);
  expect(thrown).toMatchObject({ errors: [new Error("a"), new Error("b")] });
  expect(log).toEqual([1, 2, 3]);
});
