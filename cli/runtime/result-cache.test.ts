import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type CachedAttachment, findCached, listCached, removeCached, writeCached } from "./result-cache.ts";

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "weft-cache-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

const attachment: CachedAttachment = {
  network: "net",
  containerId: "c1",
  ifname: "eth0",
  netns: "/run/netns/c1",
  args: [["IgnoreUnknown", "1"]],
  capabilityArgs: { mac: "02:00:00:00:00:01" },
  list: '{"name":"net","plugins":[{"type":"bridge"}]}',
  result: { cniVersion: "1.1.0", ips: [{ address: "10.0.0.2/24" }] },
};

test("writeCached() writes what libcni reads", () => {
  writeCached(join(directory, "made"), attachment);
  const path = join(directory, "made/net-c1-eth0");
  expect(JSON.parse(readFileSync(path, "utf8"))).toEqual({
    kind: "cniCacheV1",
    containerId: "c1",
    config: Buffer.from(attachment.list).toString("base64"),
    ifName: "eth0",
    networkName: "net",
    netns: "/run/netns/c1",
    cniArgs: [["IgnoreUnknown", "1"]],
    capabilityArgs: { mac: "02:00:00:00:00:01" },
    result: attachment.result,
  });
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(statSync(join(directory, "made")).mode & 0o777).toBe(0o700);
});

test("findCached() reads what writeCached() wrote, and removeCached() removes it", () => {
  writeCached(directory, attachment);
  expect(findCached(directory, "net", attachment)).toEqual(attachment);
  expect(findCached(directory, "net", { ...attachment, ifname: "eth1" })).toBeUndefined();
  removeCached(directory, "net", attachment);
  removeCached(directory, "net", attachment);
  expect(readdirSync(directory)).toEqual([]);
});

test("findCached() reads a file without arguments, as libcni writes it", () => {
  // libcni leaves out what is empty.
  const file =
    '{"kind":"cniCacheV1","containerId":"c1","config":"e30=","ifName":"eth0","networkName":"net","netns":"/n",' +
    '"result":{"cniVersion":"1.0.0"}}';
  writeFileSync(join(directory, "net-c1-eth0"), file);
  expect(findCached(directory, "net", attachment)).toEqual({
    ...attachment,
    netns: "/n",
    args: [],
    capabilityArgs: {},
    list: "{}",
    result: { cniVersion: "1.0.0" },
  });
});

test.each([
  "",
  "null",
  "[]",
  "{",
  '{"kind":"other"}',
  '{"kind":"cniCacheV1"}',
  '{"kind":"cniCacheV1","config":"%"}',
])("findCached() takes a file with %j for none", (text) => {
  writeFileSync(join(directory, "net-c1-eth0"), text);
  expect(findCached(directory, "net", attachment)).toBeUndefined();
  expect(listCached(directory, "net")).toEqual([]);
});

test("listCached() lists one network's, of whatever name the files are", () => {
  const names = ["net", "net-2"].flatMap((network) =>
    ["b", "a"].map((containerId) => ({ ...attachment, network, containerId })),
  );
  for (const each of names) writeCached(directory, each);
  expect(listCached(directory, "net").map(({ containerId }) => containerId)).toEqual(["a", "b"]);
  expect(listCached(join(directory, "absent"), "net")).toEqual([]);
});
