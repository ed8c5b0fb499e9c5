import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findNetwork, parseNetworkList } from "./network-list.ts";

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "weft-networks-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

const put = (name: string, content: unknown) => {
  mkdirSync(join(directory, name, ".."), { recursive: true });
  writeFileSync(join(directory, name), typeof content === "string" ? content : JSON.stringify(content));
};
const list = (name: string, ...types: string[]) => ({
  cniVersion: "1.0.0",
  name,
  plugins: types.map((type) => ({ type })),
});
const types = (name: string) => findNetwork(directory, name).plugins.map(({ type }) => type);

test("findNetwork() finds by name, not by file, lists before single configurations", () => {
  put("00-z.conf", { name: "net", type: "single" });
  put("90-a.conflist", list("net", "second"));
  put("10-b.conflist", list("net", "first"));
  put("20-c.conflist", list("other", "other"));
  expect(types("net")).toEqual(["first"]);
  expect(types("other")).toEqual(["other"]);
});

test("findNetwork() takes a single configuration for a list of one", () => {
  put("a.json", { cniVersion: "0.4.0", name: "net", type: "ptp", mtu: 1400 });
  const { plugins, cniVersions, text } = findNetwork(directory, "net");
  expect(plugins).toEqual([{ cniVersion: "0.4.0", name: "net", type: "ptp", mtu: 1400 }]);
  expect(cniVersions).toEqual(["0.4.0"]);
  expect(parseNetworkList(text).plugins).toEqual(plugins);
});

test("findNetwork() adds the plugins of the directory of that name, unless told not to", () => {
  put("a.conflist", list("net", "inlined"));
  put("b.conflist", { ...list("closed", "inlined"), loadOnlyInlinedPlugins: true });
  for (const name of ["net", "closed"]) {
    put(`${name}/20.conf`, { type: "later" });
    put(`${name}/10.conf`, { type: "sooner" });
    put(`${name}/30.json`, { type: "ignored" });
  }
  expect(types("net")).toEqual(["inlined", "sooner", "later"]);
  expect(types("closed")).toEqual(["inlined"]);
  expect(parseNetworkList(findNetwork(directory, "net").text).plugins).toHaveLength(3);
});

test("findNetwork() passes over a file it cannot read, and tells of it when the network is not there", () => {
  put("00.conflist", "nonsense");
  put("10.conflist", list("net", "bridge"));
  put("README.md", "not a network");
  expect(types("net")).toEqual(["bridge"]);
  expect(() => findNetwork(directory, "absent")).toThrow(
    /^no network "absent" in .*: it has net\n {2}.*00\.conflist: JSON Parse error/,
  );
});

test("findNetwork() says where it looked", () => {
  expect(() => findNetwork(directory, "net")).toThrow("it has none (NETCONFPATH says where)");
  expect(() => findNetwork(join(directory, "absent"), "net")).toThrow("ENOENT");
});

test.each([
  [{ plugins: [{ type: "a" }] }, '"name" is missing'],
  [{ name: "../x", plugins: [{ type: "a" }] }, '"name" is "../x"'],
  [{ name: "net" }, '"plugins" is missing'],
  [{ name: "net", plugins: [] }, '"plugins" is missing: a list of plugins; of one alone it is "type"'],
  [{ name: "net", plugins: {} }, '"plugins" is {}'],
  [{ name: "net", plugins: [{ type: "a" }, {}] }, '"plugins[1].type" is missing'],
  [{ name: "net", plugins: [{ type: 7 }] }, '"plugins[0].type" is 7'],
  [
    { name: "net", cniVersion: "9.9.9", plugins: [{ type: "a" }] },
    '"cniVersion" is "9.9.9", not one of 0.1.0',
  ],
  [{ name: "net", cniVersions: "1.0.0", plugins: [{ type: "a" }] }, '"cniVersions" is "1.0.0"'],
  [{ name: "net", disableGC: "yes", plugins: [{ type: "a" }] }, '"disableGC" is "yes", not true or false'],
  [[], "not a JSON object"],
])("parseNetworkList() refuses %j", (json, message) => {
  expect(() => parseNetworkList(JSON.stringify(json))).toThrow(message);
});

test("parseNetworkList() reads flags as words as well, and every version that is known, ascending", () => {
  const json = {
    ...list("net", "a"),
    cniVersions: ["1.1.0", "0.4.0", "7.0.0"],
    disableCheck: "TRUE",
    disableGC: true,
  };
  expect(parseNetworkList(JSON.stringify(json))).toMatchObject({
    cniVersions: ["0.4.0", "1.0.0", "1.1.0"],
    disableCheck: true,
    disableGC: true,
  });
  expect(parseNetworkList('{"name": "net", "plugins": [{"type": "a"}]}').cniVersions).toEqual(["0.1.0"]);
});
