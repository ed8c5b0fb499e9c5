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

test("findCached() reads a file of libcni's, and takes from the caller the namespace that is not in it", () => {
  // As libcni 1.1.2 wrote it, a single configuration having been made a list.
  const file =
    '{"kind":"cniCacheV1","containerId":"cnitool-296747069b8a02dc4e2a","config":"eyJjbmlWZXJzaW9uIjoiMC40LjAiLCJuYW1lIjoic2luZ2xlIiwicGx1Z2lucyI6W3siYnJpZGdlIjoiYnIxIiwiY25pVmVyc2lvbiI6IjAuNC4wIiwiaXBhbSI6eyJyYW5nZXMiOltbeyJzdWJuZXQiOiIxMC4yLjAuMC8yNCJ9XV0sInR5cGUiOiJob3N0LWxvY2FsIn0sIm5hbWUiOiJzaW5nbGUiLCJ0eXBlIjoiYnJpZGdlIn1dfQ==","ifName":"eth0","networkName":"single","cniArgs":[["IgnoreUnknown","1"]],"capabilityArgs":{"mac":"02:00:00:00:00:07"},"result":{"cniVersion":"0.4.0","dns":{},"interfaces":[{"mac":"6a:8b:9f:3e:93:6f","name":"br1"},{"mac":"ba:59:0a:97:61:8d","name":"vethd141e3a5"},{"mac":"56:aa:2c:c4:5c:66","name":"eth0","sandbox":"/var/run/netns/blue"}],"ips":[{"address":"10.2.0.3/24","gateway":"10.2.0.1","interface":2,"version":"4"}]}}';
  const id = "cnitool-296747069b8a02dc4e2a";
  writeFileSync(join(directory, `single-${id}-eth0`), file);
  const asked = {
    ...attachment,
    containerId: id,
    netns: "/var/run/netns/blue",
    args: [],
    capabilityArgs: {},
  };
  expect(findCached(directory, "single", asked)).toMatchObject({
    network: "single",
    containerId: id,
    netns: "/var/run/netns/blue",
    args: [["IgnoreUnknown", "1"]],
    capabilityArgs: { mac: "02:00:00:00:00:07" },
    list: expect.stringMatching(/^\{"cniVersion":"0.4.0","name":"single","plugins":\[.*\]\}$/),
    result: { cniVersion: "0.4.0", ips: [{ address: "10.2.0.3/24", version: "4" }] },
  });
  expect(listCached(directory, "single")).toMatchObject([{ containerId: id, netns: "/var/run/netns/blue" }]);
  writeFileSync(
    join(directory, `single-${id}-eth0`),
    file.replace('"sandbox":"/var/run/netns/blue"', '"mtu":1500'),
  );
  expect(listCached(directory, "single")).toMatchObject([{ containerId: id, netns: "" }]);
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
