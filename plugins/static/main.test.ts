import { describe, expect, test } from "bun:test";
import { CniError } from "../../lib/cni/error.ts";
import { callPlugin } from "../../lib/cni/plugin.ts";
import { input } from "../../lib/testing/probe.ts";
import staticPlugin from "./main.ts";

interface Options {
  ipam?: object | null;
  keys?: object;
  args?: string;
}

function call(command: string, { ipam = { type: "static" }, keys = {}, args = "" }: Options = {}): string {
  const stdin = JSON.stringify({ cniVersion: "1.1.0", name: "net", type: "static", ipam, ...keys });
  return callPlugin(staticPlugin, { ...input(command, {}, { CNI_ARGS: args }), stdin });
}

function add(options: Options): Record<string, unknown> {
  return JSON.parse(call("ADD", options));
}

function refusal(act: () => unknown): { code: number; msg: string; details: string } {
  try {
    act();
  } catch (error) {
    if (error instanceof CniError) return { code: error.code, msg: error.msg, details: error.details };
    throw error;
  }
  throw new Error("not refused");
}

const ADDRESSES = [
  { address: "10.10.0.1/24", gateway: "10.10.0.254" },
  { address: "3ffe:ffff:0:01ff::1/64" },
];

describe("ADD", () => {
  test("ADD answers with addresses, routes and DNS settings as they are configured", () => {
    const dns = { nameservers: ["192.0.2.1"], domain: "example", search: ["a"], options: ["rotate"] };
    const routes = [{ dst: "0.0.0.0/0" }, { dst: "192.168.0.0/16", gw: "10.10.5.1", mtu: 1400, table: 9 }];
    expect(add({ ipam: { addresses: ADDRESSES, routes, dns } })).toEqual({
      cniVersion: "1.1.0",
      ips: [ADDRESSES[0], { address: "3ffe:ffff:0:1ff::1/64" }],
      routes,
      dns,
    });
  });

  test("ADD adds the addresses of CNI_ARGS, each with the gateway of its network", () => {
    const args = "IgnoreUnknown=1;IP=10.20.0.5/24, fd00::5/64;GATEWAY=10.20.0.1,fd00::1;K8S_POD_NAME=p";
    expect(add({ ipam: { addresses: [{ address: "10.20.0.4/24" }] }, args })["ips"]).toEqual([
      { address: "10.20.0.4/24" },
      { address: "10.20.0.5/24", gateway: "10.20.0.1" },
      { address: "fd00::5/64", gateway: "fd00::1" },
    ]);
  });

  test("ADD replaces all addresses by those of the convention, and these by those of the capability", () => {
    const ipam = { addresses: ADDRESSES };
    const conventional = { args: { cni: { ips: ["10.1.0.5/16"] } } };
    const args = "IP=10.20.0.5/24";
    expect(add({ ipam, keys: conventional, args })["ips"]).toEqual([{ address: "10.1.0.5/16" }]);
    const keys = { ...conventional, runtimeConfig: { ips: ["10.2.0.5/16", "fd00::2/64"] } };
    expect(add({ ipam, keys, args })["ips"]).toEqual([{ address: "10.2.0.5/16" }, { address: "fd00::2/64" }]);
  });

  test.each<[Options, code: number, msg: string, details: string]>([
    [{ ipam: null }, 7, "IPAM config missing 'ipam' key", 'set "ipam"'],
    [
      { ipam: { addresses: [{ address: "10.0.0.5" }] } },
      7,
      "the 'address' field is expected to be in CIDR notation, got: '10.0.0.5'",
      "no prefix length",
    ],
    [
      { args: "IP=10.0.0.5" },
      7,
      "the 'ip' field is expected to be in CIDR notation, got: '10.0.0.5'",
      "no prefix",
    ],
    [
      { keys: { args: { cni: { ips: ["10.0.0.5"] } } } },
      7,
      "an entry in the 'ips' field is NOT in CIDR notation, got: '10.0.0.5'",
      "no prefix length",
    ],
    [
      { keys: { runtimeConfig: { ips: ["x/24"] } } },
      7,
      "an entry in the 'ips' field is NOT in CIDR notation, got: 'x/24'",
      "Cannot parse",
    ],
    [{ args: "IP=10.0.0.5/24;GATEWAY=x" }, 7, "invalid gateway address: x", "GATEWAY in CNI_ARGS"],
    [
      { ipam: { addresses: [ADDRESSES[1], { address: "10.0.0.5/8", gateway: "y" }] } },
      7,
      "invalid gateway address: y",
      "ipam.addresses[1].gateway",
    ],
    [
      { ipam: { addresses: [{}] } },
      7,
      'failed to load netconf: missing "ipam.addresses[0].address": must be a string',
      "",
    ],
    [{ ipam: { routes: [{ dst: "x" }] } }, 7, "failed to load netconf: ipam.routes[0].dst: Cannot parse", ""],
    [
      { ipam: { addresses: [ADDRESSES[0], ADDRESSES[0]] }, keys: { cniVersion: "0.2.0" } },
      7,
      "CNI version 0.2.0 does not support more than 1 address per family",
      'set "cniVersion"',
    ],
  ])("ADD refuses %j", (options, code, msg, details) => {
    const error = refusal(() => call("ADD", options));
    expect(error.code).toBe(code);
    expect(error.msg).toStartWith(msg);
    expect(error.details).toContain(details);
  });
});

describe("CHECK", () => {
  const ipam = { addresses: ADDRESSES };
  const prevResult = { cniVersion: "1.1.0", ips: ADDRESSES };

  test("CHECK finds every configured address in the result, among others", () => {
    const ips = [{ address: "10.9.0.1/24" }, ...ADDRESSES];
    expect(call("CHECK", { ipam, keys: { prevResult: { ...prevResult, ips } } })).toBe("");
  });

  test.each([
    [{ ...prevResult, ips: ADDRESSES.slice(1) }, "10.10.0.1"],
    [{ ...prevResult, ips: [{ address: "10.10.0.1/24", gateway: "10.10.0.1" }, ADDRESSES[1]] }, "10.10.0.1"],
    [{ ...prevResult, ips: [{ address: "10.10.0.1/24" }, ADDRESSES[1]] }, "10.10.0.1"],
    [{ ...prevResult, ips: ADDRESSES.slice(0, 1) }, "3ffe:ffff:0:1ff::1"],
  ])("CHECK does not accept %j", (prevResult, address) => {
    expect(refusal(() => call("CHECK", { ipam, keys: { prevResult } }))).toMatchObject({
      code: 100,
      msg: `static: Failed to match addr ${address} on interface eth0`,
    });
  });

  test("CHECK needs a result", () => {
    expect(refusal(() => call("CHECK", { ipam })).msg).toBe("required prevResult missing");
  });
});

test.each(["DEL", "GC"])("%s has nothing to do, and no configuration keeps it from that", (command) => {
  const keys = { "cni.dev/valid-attachments": [] };
  expect(call(command, { keys })).toBe("");
  expect(call(command, { ipam: { addresses: "x" }, args: "x", keys })).toBe("");
  expect(call(command, { ipam: null, keys })).toBe("");
});

test("STATUS is ready as soon as the configuration can be given", () => {
  expect(call("STATUS", { ipam: { addresses: ADDRESSES } })).toBe("");
  expect(refusal(() => call("STATUS", { ipam: { addresses: [{ address: "x" }] } })).code).toBe(7);
});
