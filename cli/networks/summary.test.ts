import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseNetworkList, readNetworks } from "../runtime/network-list.ts";
import { leasesOf } from "./leases.ts";
import { makingOf, networkText, writeNetworkFile } from "./network-file.ts";
import { summaryOf } from "./summary.ts";

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "weft-networks-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

const MAKING = { driver: "bridge", created: "2026-01-02T03:04:05.000Z", labels: { team: "db" } };
const ranges = [[{ subnet: "10.1.0.0/24" }], [{ subnet: "fd00:1::/64", rangeStart: "fd00:1::10" }]];
const PLUGINS = [
  {
    type: "bridge",
    bridge: "br9",
    dns: { nameservers: ["192.0.2.53"] },
    ipam: { type: "host-local", ranges },
  },
  { type: "firewall", internal: true },
];

test("writeNetworkFile() writes what everybody reads, and nothing over what is there", () => {
  const text = networkText("blue", PLUGINS, MAKING);
  mkdirSync(join(directory, "made"));
  const path = writeNetworkFile(join(directory, "made"), "blue", text);
  expect(path).toBe(join(directory, "made/weft-blue.conflist"));
  expect(readFileSync(path, "utf8")).toBe(text);
  expect(statSync(path).mode & 0o777).toBe(0o644);
  expect(() => writeNetworkFile(join(directory, "made"), "blue", "{}")).toThrow(`${path} is there already`);
  expect(readdirSync(join(directory, "made"))).toEqual(["weft-blue.conflist"]);
  expect(parseNetworkList(text).cniVersions).toEqual(["1.0.0", "1.1.0"]);
});

test("summaryOf() tells what was made, and of whom", () => {
  writeNetworkFile(directory, "blue", networkText("blue", PLUGINS, MAKING));
  const [network] = readNetworks(directory).networks;
  expect(network && summaryOf(network)).toEqual({
    name: "blue",
    driver: "bridge",
    file: join(directory, "weft-blue.conflist"),
    isOurs: true,
    created: MAKING.created,
    labels: { team: "db" },
    subnets: [
      { subnet: "10.1.0.0/24", gateway: "10.1.0.1", ranges: [] },
      {
        subnet: "fd00:1::/64",
        gateway: "fd00:1::1",
        ranges: ["fd00:1::10-fd00:1::ffff:ffff:ffff:ffff"],
      },
    ],
    bridge: "br9",
    parent: undefined,
    isInternal: true,
    plugins: ["bridge", "firewall"],
    nameservers: ["192.0.2.53"],
  });
});

test("summaryOf() makes the best of a file that others wrote", () => {
  const given = (plugin: object) => {
    const text = JSON.stringify({ cniVersion: "1.0.0", name: "old", plugins: [plugin] });
    return summaryOf({ ...parseNetworkList(text), file: "/etc/cni/net.d/10-old.conflist" });
  };
  const ipam = { type: "host-local", subnet: "10.1.0.0/24", gateway: "10.1.0.9" };
  expect(given({ type: "bridge", ipam })).toMatchObject({
    isOurs: false,
    bridge: "cni0",
    subnets: [{ subnet: "10.1.0.0/24", gateway: "10.1.0.9", ranges: [] }],
  });
  expect(given({ type: "macvlan", master: "eth0", vlan: 10, ipam: { type: "dhcp" } })).toMatchObject({
    parent: "eth0.10",
    subnets: [],
  });
  expect(
    given({ type: "vxlan", vni: 7, ipam: { type: "host-local", ranges: [[{ subnet: "x" }]] } }),
  ).toMatchObject({
    bridge: "vxbr7",
    subnets: [],
  });
});

test("makingOf() wants both our name of the file and our mark in it", () => {
  const ours = { name: "blue", file: "/x/weft-blue.conflist", text: networkText("blue", PLUGINS, MAKING) };
  expect(makingOf(ours)).toEqual(MAKING);
  expect(makingOf({ ...ours, file: "/x/10-blue.conflist" })).toBeUndefined();
  expect(makingOf({ ...ours, text: '{"name": "blue"}' })).toBeUndefined();
});

test("leasesOf() counts what is leased, not what else host-local keeps there", () => {
  const network = (ipam: object) =>
    parseNetworkList(
      JSON.stringify({ cniVersion: "1.0.0", name: "net", plugins: [{ type: "bridge", ipam }] }),
    );
  mkdirSync(join(directory, "net"));
  for (const name of ["10.1.0.2", "fd00::2", "lock", "boot_id", "last_reserved_ip.0"])
    writeFileSync(join(directory, "net", name), "");
  expect(leasesOf(network({ type: "host-local", dataDir: directory }))).toBe(2);
  expect(leasesOf(network({ type: "host-local", dataDir: join(directory, "absent") }))).toBe(0);
  expect(leasesOf(network({ type: "static" }))).toBeUndefined();
});
