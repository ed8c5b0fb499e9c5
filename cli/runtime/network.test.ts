import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Attachment } from "./attachment.ts";
import { addNetwork, checkNetwork, delNetwork, gcNetwork, networkStatus } from "./network.ts";
import { type NetworkList, parseNetworkList } from "./network-list.ts";
import type { Runtime } from "./plugin-request.ts";
import { type CachedAttachment, findCached, writeCached } from "./result-cache.ts";

interface Asked {
  readonly plugin: string;
  readonly command: string;
  readonly config: Record<string, unknown>;
  readonly variables: Record<string, string>;
}

let scratch: string;
let runtime: Runtime;

beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), "weft-runtime-"));
  runtime = {
    path: [join(scratch, "empty"), scratch],
    environment: { PATH: process.env["PATH"], KEPT: "kept", CNI_IFNAME: "leaked" },
    cacheDirectory: join(scratch, "results"),
  };
});
afterEach(() => rmSync(scratch, { recursive: true }));

const VERSIONS = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];

/** A plugin that writes down what it is asked, and answers ADD with an address of its own. */
function plugin(
  type: string,
  answers: Record<string, string> = {},
  versions: readonly string[] = VERSIONS,
): void {
  const script = `#!/bin/sh
[ $CNI_COMMAND = VERSION ] && echo '{"supportedVersions": ${JSON.stringify(versions)}}' && exit
{ echo ${type}; cat; echo; env | grep -E '^(CNI_|KEPT)'; echo; } >> ${scratch}/asked
case $CNI_COMMAND in
${Object.entries(answers)
  .map(([command, answer]) => `${command}) ${answer} ;;`)
  .join("\n")}
ADD) echo '{"ips": [{"address": "10.0.0.${type.length}/24"}]}' ;;
esac
`;
  writeFileSync(join(scratch, type), script, { mode: 0o755 });
}

const refuses = (msg: string) => `echo '{"code": 50, "msg": "${msg}", "details": "why"}'; exit 1`;

function asked(): Asked[] {
  const path = join(scratch, "asked");
  if (!existsSync(path)) return [];
  const blocks = readFileSync(path, "utf8").trim().split("\n\n");
  rmSync(path);
  return blocks.map((block) => {
    const [type = "", config = "", ...variables] = block.split("\n");
    const pairs = variables.map((line) => line.split(/=(.*)/s).slice(0, 2));
    const named: Record<string, string> = Object.fromEntries(pairs);
    return {
      plugin: type,
      command: named["CNI_COMMAND"] ?? "",
      config: JSON.parse(config),
      variables: named,
    };
  });
}
const commands = () => asked().map(({ plugin, command }) => `${plugin} ${command}`);

function network(keys: object = {}, ...plugins: object[]): NetworkList {
  const given = plugins.length > 0 ? plugins : [{ type: "one" }, { type: "three" }];
  return parseNetworkList(JSON.stringify({ cniVersion: "1.1.0", name: "net", plugins: given, ...keys }));
}

const attachment: Attachment = {
  containerId: "c1",
  ifname: "eth0",
  netns: "/proc/self/ns/net",
  args: [],
  capabilityArgs: {},
};

test("addNetwork() gives each plugin the result of the one before, and keeps the last", () => {
  plugin("one");
  plugin("three");
  const result = { cniVersion: "1.1.0", ips: [{ address: "10.0.0.5/24" }] };
  expect(addNetwork(runtime, network(), attachment)).toEqual(result);
  const [first, second] = asked();
  expect(first?.config).toEqual({ type: "one", name: "net", cniVersion: "1.1.0" });
  expect(second?.config["prevResult"]).toEqual({ cniVersion: "1.1.0", ips: [{ address: "10.0.0.3/24" }] });
  expect(findCached(runtime.cacheDirectory, "net", attachment)).toEqual({
    ...attachment,
    network: "net",
    list: network().text,
    result,
  });
});

test("addNetwork() sets every variable, and hands on the others", () => {
  plugin("one");
  addNetwork(runtime, network({}, { type: "one" }), {
    ...attachment,
    args: [
      ["IgnoreUnknown", "1"],
      ["IP", "10.0.0.9"],
    ],
  });
  expect(asked()[0]?.variables).toEqual({
    CNI_COMMAND: "ADD",
    CNI_CONTAINERID: "c1",
    CNI_NETNS: "/proc/self/ns/net",
    CNI_IFNAME: "eth0",
    CNI_ARGS: "IgnoreUnknown=1;IP=10.0.0.9",
    CNI_PATH: `${scratch}/empty:${scratch}`,
    KEPT: "kept",
  });
});

test("addNetwork() overrules name and version of a plugin, and gives it only the capabilities that it declares", () => {
  plugin("one");
  const config = {
    type: "one",
    name: "own",
    cniVersion: "0.3.1",
    mtu: 1400,
    capabilities: { mac: true, ips: false, aliases: true },
  };
  const capabilityArgs = { mac: "02:00:00:00:00:01", ips: ["10.0.0.1"], portMappings: [] };
  addNetwork(runtime, network({}, config), { ...attachment, capabilityArgs });
  expect(asked()[0]?.config).toEqual({
    type: "one",
    name: "net",
    cniVersion: "1.1.0",
    mtu: 1400,
    runtimeConfig: { mac: "02:00:00:00:00:01" },
  });
});

test("addNetwork() runs DEL on all plugins, last first, when one fails, and says what it said", () => {
  plugin("one");
  plugin("three", { ADD: refuses("no room") });
  plugin("fiveX");
  const list = network({}, { type: "one" }, { type: "three" }, { type: "fiveX" });
  expect(() => addNetwork(runtime, list, attachment)).toThrow(
    'plugin "three" failed ADD with code 50: no room\n  why\nDEL was run on every plugin: nothing is left',
  );
  expect(commands()).toEqual(["one ADD", "three ADD", "fiveX DEL", "three DEL", "one DEL"]);
  expect(existsSync(runtime.cacheDirectory)).toBe(false);
});

test("addNetwork() goes on with DEL when that fails as well, and says so", () => {
  plugin("one");
  plugin("three", { ADD: "exit 3", DEL: "kill -9 $$" });
  expect(() => addNetwork(runtime, network(), attachment)).toThrow(
    /status 3\n {2}no error message\nDEL failed as well:\nplugin "three" failed DEL .* killed by SIGKILL/,
  );
  expect(commands()).toEqual(["one ADD", "three ADD", "three DEL", "one DEL"]);
});

test("addNetwork() asks no plugin anything when one is missing", () => {
  plugin("one");
  expect(() => addNetwork(runtime, network(), attachment)).toThrow('failed to find plugin "three" in path');
  expect(asked()).toEqual([]);
});

test.each(["echo nonsense", "true", "echo '{\"ips\": [{}]}'"])(
  "addNetwork() refuses the result of %j",
  (answer) => {
    plugin("one", { ADD: answer });
    expect(() => addNetwork(runtime, network({}, { type: "one" }), attachment)).toThrow(
      'plugin "one" failed ADD with code 6: it returned no valid result',
    );
  },
);

test("addNetwork() runs a list of several versions in the highest that all plugins and their IPAM speak", () => {
  plugin("one");
  plugin("ipam", {}, ["0.4.0", "1.0.0"]);
  const list = network({ cniVersions: ["0.4.0", "1.0.0", "1.1.0"] }, { type: "one", ipam: { type: "ipam" } });
  expect(addNetwork(runtime, list, attachment)).toMatchObject({ cniVersion: "1.0.0" });
  expect(asked()[0]?.config["cniVersion"]).toBe("1.0.0");
});

test("addNetwork() says who speaks what when no version suits all", () => {
  plugin("one", {}, ["0.3.0"]);
  plugin("three");
  expect(() => addNetwork(runtime, network({ cniVersions: ["1.0.0"] }), attachment)).toThrow(
    'network "net" allows 1.0.0, 1.1.0, and no version suits all\n  plugin "one" speaks 0.3.0\n',
  );
});

test("delNetwork() gives the kept result to each plugin, last first, and forgets it", () => {
  plugin("one");
  plugin("three");
  addNetwork(runtime, network(), attachment);
  asked();
  delNetwork(runtime, network(), attachment);
  const calls = asked();
  expect(calls.map(({ plugin, command }) => `${plugin} ${command}`)).toEqual(["three DEL", "one DEL"]);
  for (const { config } of calls)
    expect(config["prevResult"]).toMatchObject({ ips: [{ address: "10.0.0.5/24" }] });
  expect(readdirSync(runtime.cacheDirectory)).toEqual([]);
});

test("delNetwork() gives no result to a version that has none, nor when nothing is kept", () => {
  plugin("one");
  const old = network({ cniVersion: "0.3.1" }, { type: "one" });
  addNetwork(runtime, old, attachment);
  delNetwork(runtime, old, attachment);
  delNetwork(runtime, network({}, { type: "one" }), attachment);
  const dels = asked().filter(({ command }) => command === "DEL");
  expect(dels.map(({ config }) => "prevResult" in config)).toEqual([false, false]);
});

test("delNetwork() stops at the first plugin that fails, and keeps the result for another try", () => {
  plugin("one");
  plugin("three", { DEL: refuses("busy") });
  addNetwork(runtime, network(), attachment);
  expect(() => delNetwork(runtime, network(), attachment)).toThrow(
    'plugin "three" failed DEL with code 50: busy',
  );
  expect(commands()).toEqual(["one ADD", "three ADD", "three DEL"]);
  expect(findCached(runtime.cacheDirectory, "net", attachment)).toBeDefined();
});

test("delNetwork() converts the kept result to the version of the list", () => {
  plugin("one");
  plugin("three");
  addNetwork(runtime, network(), attachment);
  asked();
  delNetwork(runtime, network({ cniVersion: "0.4.0" }), attachment);
  expect(asked()[0]?.config["prevResult"]).toEqual({
    cniVersion: "0.4.0",
    ips: [{ version: "4", address: "10.0.0.5/24" }],
    dns: {},
  });
});

const cached = (keys: Partial<CachedAttachment> = {}): CachedAttachment => ({
  ...attachment,
  network: "net",
  list: network().text,
  result: { cniVersion: "1.1.0", ips: [{ address: "10.0.0.5/24" }] },
  ...keys,
});

test("checkNetwork() gives the result to each plugin, first to last, and stops at a failure", () => {
  plugin("one");
  plugin("three", { CHECK: refuses("gone") });
  plugin("fiveX");
  const list = network({}, { type: "one" }, { type: "three" }, { type: "fiveX" });
  expect(() => checkNetwork(runtime, list, cached())).toThrow(
    'plugin "three" failed CHECK with code 50: gone',
  );
  const calls = asked();
  expect(calls.map(({ plugin }) => plugin)).toEqual(["one", "three"]);
  expect(calls[0]?.config["prevResult"]).toEqual(cached().result);
});

test("checkNetwork() and networkStatus() refuse a version that does not have them", () => {
  expect(() => checkNetwork(runtime, network({ cniVersion: "0.3.1" }), cached())).toThrow(
    'network "net" is of version 0.3.1, and CHECK came with 0.4.0',
  );
  expect(() => networkStatus(runtime, network({ cniVersion: "1.0.0" }))).toThrow("STATUS came with 1.1.0");
});

test("gcNetwork() names as valid what is kept and has its namespace, and runs DEL for the rest", () => {
  plugin("one");
  plugin("three");
  writeCached(runtime.cacheDirectory, cached());
  writeCached(runtime.cacheDirectory, cached({ containerId: "c2", netns: "" }));
  writeCached(runtime.cacheDirectory, cached({ containerId: "c3", netns: "/run/netns/none" }));
  writeCached(runtime.cacheDirectory, cached({ containerId: "c4", netns: "/none", network: "other" }));
  expect(gcNetwork(runtime, network()).map(({ containerId }) => containerId)).toEqual(["c3"]);
  const calls = asked();
  expect(calls.map(({ plugin, command }) => `${plugin} ${command}`)).toEqual([
    "three DEL",
    "one DEL",
    "one GC",
    "three GC",
  ]);
  expect(calls[0]?.variables).toMatchObject({ CNI_CONTAINERID: "c3", CNI_NETNS: "/run/netns/none" });
  const valid = [
    { containerID: "c1", ifname: "eth0" },
    { containerID: "c2", ifname: "eth0" },
  ];
  expect(calls[2]?.config).toEqual({
    type: "one",
    name: "net",
    cniVersion: "1.1.0",
    "cni.dev/valid-attachments": valid,
    "cni.dev/attachments": valid,
  });
  expect(calls[2]?.variables).toMatchObject({ CNI_CONTAINERID: "", CNI_IFNAME: "", CNI_NETNS: "" });
  expect(readdirSync(runtime.cacheDirectory).sort()).toEqual(["net-c1-eth0", "net-c2-eth0", "other-c4-eth0"]);
});

test("gcNetwork() says with an empty list that nothing is valid, and before 1.1.0 runs DEL alone", () => {
  plugin("one");
  gcNetwork(runtime, network({}, { type: "one" }));
  expect(asked()[0]?.config["cni.dev/valid-attachments"]).toEqual([]);
  const old = network({ cniVersion: "1.0.0" }, { type: "one" });
  writeCached(runtime.cacheDirectory, cached({ netns: "/none", list: old.text }));
  gcNetwork(runtime, old);
  expect(commands()).toEqual(["one DEL"]);
});

test("gcNetwork() and networkStatus() ask every plugin, and report all that failed", () => {
  for (const type of ["one", "three"])
    plugin(type, { GC: refuses(`${type} gc`), STATUS: refuses(`${type} status`) });
  expect(() => gcNetwork(runtime, network())).toThrow(/one gc\n {2}why\n.*three gc/);
  expect(() => networkStatus(runtime, network())).toThrow(/one status\n {2}why\n.*three status/);
  expect(commands()).toEqual(["one GC", "three GC", "one STATUS", "three STATUS"]);
});
