import { expect, test } from "bun:test";
import { type Driver, readDriver, readDriverOptions } from "./driver-options.ts";

test("readDriverOptions() takes our names, Docker's and podman's", () => {
  expect(
    readDriverOptions("bridge", [
      "com.docker.network.bridge.name=br9",
      "com.docker.network.bridge.enable_icc=false",
      "com.docker.network.bridge.enable_ip_masquerade=0",
      "mtu=1400",
      "isolate=true",
    ]),
  ).toEqual({ bridge: "br9", icc: false, masquerade: false, mtu: 1400, isolation: "same-bridge" });
  expect(readDriverOptions("macvlan", ["parent=eth0.10", "macvlan_mode=private"])).toEqual({
    parent: "eth0.10",
    mode: "private",
  });
});

test("readDriverOptions() reads lists, and etcd=true for the host's own settings", () => {
  expect(readDriverOptions("vxlan", ["vni=7", "remotes=192.0.2.1, 192.0.2.2"])).toEqual({
    vni: 7,
    remotes: ["192.0.2.1", "192.0.2.2"],
  });
  expect(readDriverOptions("vxlan", ["etcd=true"])).toEqual({ etcd: [] });
  expect(readDriverOptions("vxlan", ["etcd=http://a:1,http://b:1"])).toEqual({
    etcd: ["http://a:1", "http://b:1"],
  });
});

test.each<[Driver, string, string]>([
  ["bridge", "parent=eth0", 'driver bridge has no option "parent": it has bridge, mtu, icc'],
  ["macvlan", "parnt=eth0", "did you mean parent?"],
  ["bridge", "icc", "--opt icc has no value: --opt icc=false"],
  ["bridge", "icc=no", "--opt icc=no: neither true nor false"],
  ["bridge", "mtu=9", "--opt mtu=9: not a number from 68 to 65535"],
  ["bridge", "mtu=1e3", "not a number"],
  ["bridge", "isolation=all", "not one of same-bridge, isolated, published, open"],
  ["macvlan", "vlan=4095", "not a number from 1 to 4094"],
])("readDriverOptions() refuses %s %s", (driver, pair, message) => {
  expect(() => readDriverOptions(driver, [pair])).toThrow(message);
});

test("readDriverOptions() refuses a key that is given twice, by whichever name", () => {
  const pairs = ["mtu=1400", "com.docker.network.driver.mtu=1300"];
  expect(() => readDriverOptions("bridge", pairs)).toThrow("is given twice");
});

test("readDriver() says what Docker's others are here", () => {
  expect(readDriver("ipvlan")).toBe("ipvlan");
  expect(() => readDriver("overlay")).toThrow("an overlay is --driver vxlan");
  expect(() => readDriver("host")).toThrow("weft run --network host");
  expect(() => readDriver("bridged")).toThrow("there are bridge, macvlan, ipvlan, vxlan, ptp");
});
