import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CniError } from "../../lib/cni/error.ts";
import { callPlugin, type Plugin } from "../../lib/cni/plugin.ts";
import { ipamAdd } from "../../lib/ipam/delegate.ts";
import { findFile } from "../../lib/sys/file.ts";
import { input, probe } from "../../lib/testing/probe.ts";
import hostLocal from "./main.ts";

let dataDir: string;
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "weft-host-local-"));
});
afterEach(() => {
  const status = findFile(`${dataDir}/net`);
  if (status)
    rmSync(`/run/weft/leases/${status.dev.toString(16)}-${status.ino}`, { recursive: true, force: true });
  rmSync(dataDir, { recursive: true });
});

const FAILED = "failed to allocate for range 0:";

interface Options {
  ipam?: object | null;
  keys?: object;
  id?: string;
  ifname?: string;
  args?: string;
}

const ONE = { ranges: [[{ subnet: "10.1.2.0/24" }]] };
const DUAL = { ranges: [[{ subnet: "10.1.2.0/24" }], [{ subnet: "fd00:1::/64" }]] };
/** Hosts .2 and .3. */
const TWO_HOSTS = { ranges: [[{ subnet: "10.1.2.0/24", rangeEnd: "10.1.2.3" }]] };

function requestOf(
  command: string,
  { ipam = ONE, keys = {}, id = "c1", ifname = "eth0", args = "" }: Options,
) {
  const config = { cniVersion: "1.1.0", name: "net", type: "host-local" };
  const stdin = JSON.stringify({
    ...config,
    ipam: ipam && { type: "host-local", dataDir, ...ipam },
    ...keys,
  });
  const variables = { CNI_CONTAINERID: id, CNI_IFNAME: ifname, CNI_ARGS: args };
  return { environment: input(command, {}, variables).environment, stdin };
}

function call(command: string, options: Options = {}): string {
  return callPlugin(hostLocal, requestOf(command, options));
}

function add(options: Options = {}): { ips: { address: string; gateway: string }[] } {
  return JSON.parse(call("ADD", options));
}

function addressesOf({ ips }: ReturnType<typeof add>): string {
  return ips.map(({ address }) => address).join(" ");
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

/** The leases, as "address=containerId/ifname". */
function leases(): string {
  const names = existsSync(`${dataDir}/net`) ? readdirSync(`${dataDir}/net`) : [];
  return names
    .filter((name) => /^\d+\.|:/.test(name))
    .sort()
    .map((name) => `${name}=${readFileSync(`${dataDir}/net/${name}`, "utf8").replace("\r\n", "/")}`)
    .join(" ");
}

function writeLease(address: string, content: string): void {
  mkdirSync(`${dataDir}/net`, { recursive: true });
  writeFileSync(`${dataDir}/net/${address}`, content);
}

describe("ADD", () => {
  test("ADD leases an address of each set, with its gateway, and passes on routes and DNS settings", () => {
    writeFileSync(`${dataDir}/resolv.conf`, "nameserver 192.0.2.1\nsearch a.example b.example\n");
    const routes = [{ dst: "0.0.0.0/0" }, { dst: "fd00::/8", gw: "fd00:1::9", mtu: 1400 }];
    const ipam = { ...DUAL, routes, resolvConf: `${dataDir}/resolv.conf` };
    expect(JSON.parse(call("ADD", { ipam }))).toEqual({
      cniVersion: "1.1.0",
      ips: [
        { address: "10.1.2.2/24", gateway: "10.1.2.1" },
        { address: "fd00:1::2/64", gateway: "fd00:1::1" },
      ],
      routes,
      dns: { nameservers: ["192.0.2.1"], search: ["a.example", "b.example"] },
    });
    expect(leases()).toBe("10.1.2.2=c1/eth0 fd00:1::2=c1/eth0");
  });

  test("ADD takes sets of ranges from the runtime before its own", () => {
    const ipam = { subnet: "10.2.0.0/24", gateway: "10.2.0.254", ranges: [[{ subnet: "10.3.0.0/24" }]] };
    const keys = { runtimeConfig: { ipRanges: [[{ subnet: "10.1.0.0/24", rangeStart: "10.1.0.9" }]] } };
    expect(add({ ipam, keys }).ips).toEqual([
      { address: "10.1.0.9/24", gateway: "10.1.0.1" },
      { address: "10.2.0.1/24", gateway: "10.2.0.254" },
      { address: "10.3.0.2/24", gateway: "10.3.0.1" },
    ]);
  });

  test("ADD goes from one range of a set to the next, each with its own subnet and gateway", () => {
    const ipam = {
      ranges: [
        [{ subnet: "10.1.0.0/30" }, { subnet: "10.2.0.0/16", rangeEnd: "10.2.0.2", gateway: "10.2.9.9" }],
      ],
    };
    const ips = ["a", "b", "c"].flatMap((id) => add({ ipam, id }).ips);
    expect(ips).toEqual([
      { address: "10.1.0.2/30", gateway: "10.1.0.1" },
      { address: "10.2.0.1/16", gateway: "10.2.9.9" },
      { address: "10.2.0.2/16", gateway: "10.2.9.9" },
    ]);
    expect(refusal(() => add({ ipam, id: "d" }))).toMatchObject({
      code: 11,
      msg: `${FAILED} no IP addresses available in range set: 10.1.0.1-10.1.0.2,10.2.0.1-10.2.0.2`,
    });
  });

  test("ADD leases what was asked for, with or without prefix length", () => {
    const keys = {
      args: { cni: { ips: ["fd00:1::77"] } },
      runtimeConfig: { ips: ["10.1.2.9/24", "10.1.2.9"] },
    };
    expect(addressesOf(add({ ipam: DUAL, keys }))).toBe("10.1.2.9/24 fd00:1::77/64");
    const args = "IgnoreUnknown=1;K8S_POD_NAME=p;IP=10.1.2.77";
    expect(addressesOf(add({ ipam: DUAL, id: "c2", args }))).toBe("10.1.2.77/24 fd00:1::78/64");
  });

  test.each<[Options, code: number, msg: string, details: string]>([
    [
      { args: "IP=10.1.2.5" },
      11,
      `${FAILED} requested IP address 10.1.2.5 is not available in range set 10.1.2.1-10.1.2.254`,
      "leased to other eth0",
    ],
    [{ args: "IP=10.1.2.1" }, 7, `${FAILED} requested ip 10.1.2.1 is subnet's gateway`, ""],
    [{ args: "IP=10.9.9.9" }, 7, "failed to allocate all requested IPs: 10.9.9.9", "10.1.2.1-10.1.2.254"],
    [
      { keys: { runtimeConfig: { ips: ["10.1.2.8", "10.1.2.9"] } } },
      7,
      "failed to allocate all requested IPs: 10.1.2.9",
      "one address",
    ],
    [
      { ipam: { ranges: [[{ subnet: "10.1.2.0/24", rangeEnd: "10.1.2.255" }]] }, args: "IP=10.1.2.255" },
      7,
      `${FAILED} requested IP address 10.1.2.255 is not available in range set 10.1.2.1-10.1.2.255`,
      "broadcast",
    ],
    [{ args: "IP=10.1.2" }, 7, "invalid IP address 10.1.2", "IP in CNI_ARGS"],
    [{ keys: { args: { cni: { ips: ["x"] } } } }, 7, "invalid IP address x", "args.cni.ips[0]"],
    [{ ipam: null }, 7, "IPAM config missing 'ipam' key", 'set "ipam"'],
    [{ ipam: {} }, 7, "no IP ranges specified", 'set "ipam.ranges"'],
    [
      { ipam: { ...ONE, resolvConf: "/nope" } },
      7,
      'open "/nope": ENOENT (no such file or directory)',
      'set "ipam.resolvConf"',
    ],
    [
      { ipam: { ...ONE, routes: [{ dst: "x" }] } },
      7,
      "failed to load netconf: ipam.routes[0].dst: Cannot parse",
      "",
    ],
    [
      { ipam: { ranges: [[{ subnet: 5 }]] } },
      7,
      'failed to load netconf: invalid value 5 for "ipam.ranges[0][0].subnet": must be a string',
      "",
    ],
    [
      { ipam: { ranges: [{ subnet: "10.1.2.0/24" }] } },
      7,
      'failed to load netconf: invalid value {"subnet":"10.1.2.0/24"} for "ipam.ranges[0]": must be a list',
      "",
    ],
  ])("ADD refuses %j and changes nothing", (options, code, msg, details) => {
    writeLease("10.1.2.5", "other\r\neth0");
    const error = refusal(() => add(options));
    expect(error).toMatchObject({ code });
    expect(error.msg).toStartWith(msg);
    expect(error.details).toContain(details);
    expect(leases()).toBe("10.1.2.5=other/eth0");
  });

  test("ADD gives back what it leased when a later set is full", () => {
    const ipam = {
      ranges: [[{ subnet: "10.1.2.0/24" }], [{ subnet: "fd00:1::/126", rangeEnd: "fd00:1::2" }]],
    };
    add({ ipam });
    expect(refusal(() => add({ ipam, id: "c2" }))).toMatchObject({
      code: 11,
      msg: "failed to allocate for range 1: no IP addresses available in range set: fd00:1::1-fd00:1::2",
    });
    expect(leases()).toBe("10.1.2.2=c1/eth0 fd00:1::2=c1/eth0");
  });

  test("ADD gives back what it leased when nobody takes the answer", () => {
    const deliver = () => {
      throw new Error("nobody reads");
    };
    expect(() => callPlugin(hostLocal, { ...requestOf("ADD", {}), deliver })).toThrow("nobody reads");
    expect(leases()).toBe("");
  });

  test("ADD refuses an attachment that has an address, which it keeps", () => {
    add();
    const error = refusal(() => add());
    expect(error.msg).toBe(
      `${FAILED} 10.1.2.2 has been allocated to c1, duplicate allocation is not allowed`,
    );
    expect(error.details).toContain(`"${dataDir}/net/10.1.2.2"`);
    expect(refusal(() => add({ args: "IP=10.1.2.9" })).msg).toContain("duplicate allocation");
    expect(leases()).toBe("10.1.2.2=c1/eth0");
    expect(addressesOf(add({ ifname: "eth1" }))).toBe("10.1.2.3/24");
  });

  test("ADD in the process of another plugin keeps the address of a first when it refuses a second", () => {
    symlinkSync(process.execPath, `${dataDir}/host-local`);
    const { plugin } = probe({ add: (call) => ipamAdd(call) });
    const { environment, stdin } = requestOf("ADD", {});
    const through = () =>
      callPlugin(plugin, {
        environment: { ...environment, CNI_PATH: dataDir },
        stdin,
        own: new Map([["host-local", hostLocal as Plugin]]),
      });
    through();
    expect(refusal(through).msg).toContain("duplicate allocation");
    expect(leases()).toBe("10.1.2.2=c1/eth0");
  });
});

describe("DEL", () => {
  test("DEL releases every address of the attachment, and again is nothing", () => {
    add({ ipam: DUAL });
    add({ ipam: DUAL, ifname: "eth1" });
    call("DEL", { ipam: DUAL });
    call("DEL", { ipam: DUAL });
    expect(leases()).toBe("10.1.2.3=c1/eth1 fd00:1::3=c1/eth1");
  });

  test("DEL releases leases of the older form when the attachment has no other", () => {
    writeLease("10.1.2.5", "c1");
    writeLease("10.1.2.6", "c2");
    add({ ipam: { ranges: [[{ subnet: "10.9.0.0/24" }]] } });
    call("DEL");
    expect(leases()).toBe("10.1.2.5=c1 10.1.2.6=c2");
    call("DEL");
    expect(leases()).toBe("10.1.2.6=c2");
  });

  test.each<Options>([
    { ipam: {} },
    { ipam: { ranges: "x" } },
    { ipam: { ranges: [[{ subnet: "10.0.0.0/33", rangeStart: 5 }]], routes: [{}] } },
    { keys: { prevResult: "x", runtimeConfig: { ips: ["x"] } }, args: "x" },
  ])("DEL releases whatever the configuration says: %j", (options) => {
    add();
    call("DEL", options);
    expect(leases()).toBe("");
  });

  test("DEL and GC make nothing where there is nothing", () => {
    call("DEL");
    call("GC", { keys: { "cni.dev/valid-attachments": [] } });
    expect(readdirSync(dataDir)).toEqual([]);
    call("DEL", { ipam: { dataDir: `${dataDir}/no/where` } });
    expect(readdirSync(dataDir)).toEqual([]);
  });
});

describe("CHECK", () => {
  const text = "host-local: Failed to find address added by container c1";

  function check(result: object | undefined, options: Options = {}): string {
    return call("CHECK", { ipam: DUAL, ...options, keys: { prevResult: result } });
  }

  test("CHECK finds the addresses that ADD leased, and passes over those of others", () => {
    const result = add({ ipam: DUAL });
    const ips = [...result.ips, { address: "192.0.2.5/24", gateway: "192.0.2.1" }];
    expect(check({ ...result, ips })).toBe("");
    expect(check(undefined)).toBe("");
  });

  test.each<[what: string, tamper: () => void, details: string]>([
    ["a lease is gone", () => rmSync(`${dataDir}/net/fd00:1::2`), "fd00:1::2 is not leased"],
    ["a lease is another's", () => writeLease("10.1.2.2", "c9\r\neth0"), "10.1.2.2 is leased to c9 eth0"],
    [
      "a lease is another interface's",
      () => writeLease("10.1.2.2", "c1\r\neth9"),
      "10.1.2.2 is leased to c1 eth9",
    ],
    ["a lease is empty", () => writeLease("10.1.2.2", ""), "10.1.2.2 is not leased"],
    [
      "the container has another address instead",
      () => {
        rmSync(`${dataDir}/net/10.1.2.2`);
        writeLease("10.1.2.9", "c1\r\neth0");
      },
      "10.1.2.2 is not leased",
    ],
  ])("CHECK notices that %s", (_, tamper, details) => {
    const result = add({ ipam: DUAL });
    tamper();
    expect(refusal(() => check(result))).toEqual({ code: 100, msg: text, details });
  });

  test("CHECK accepts a lease of the older form", () => {
    const result = add({ ipam: DUAL });
    writeLease("10.1.2.2", "c1");
    expect(check(result)).toBe("");
  });

  test("CHECK without a result wants a lease at least", () => {
    expect(refusal(() => check(undefined))).toMatchObject({ code: 100, msg: text });
    expect(readdirSync(dataDir)).toEqual([]);
    add({ ipam: DUAL, id: "c2" });
    expect(refusal(() => check(undefined))).toMatchObject({ code: 100, msg: text });
  });
});

describe("GC", () => {
  const gc = (...valid: [containerID: string, ifname: string][]) =>
    call("GC", {
      keys: { "cni.dev/valid-attachments": valid.map(([containerID, ifname]) => ({ containerID, ifname })) },
    });

  test("GC releases what is not valid, and leaves the other files", () => {
    for (const id of ["c1", "c2"]) for (const ifname of ["eth0", "eth1"]) add({ id, ifname });
    writeLease("10.1.2.7", "c3");
    writeLease("10.1.2.8", "c4");
    writeLease("10.1.2.9", "");
    gc(["c1", "eth1"], ["c2", "eth0"], ["c3", "net7"]);
    expect(leases()).toBe("10.1.2.3=c1/eth1 10.1.2.4=c2/eth0 10.1.2.7=c3");
    expect(
      readdirSync(`${dataDir}/net`)
        .filter((name) => !/^\d/.test(name))
        .sort(),
    ).toEqual(["boot_id", "last_reserved_ip.0", "lock"]);
  });

  test("GC releases everything when nothing is valid, and nothing when the runtime does not say", () => {
    add();
    call("GC");
    expect(leases()).toBe("10.1.2.2=c1/eth0");
    gc();
    expect(leases()).toBe("");
  });
});

describe("STATUS", () => {
  test("STATUS is ready while each set has a free address, and makes nothing", () => {
    expect(call("STATUS", { ipam: TWO_HOSTS })).toBe("");
    expect(readdirSync(dataDir)).toEqual([]);
    add({ ipam: TWO_HOSTS });
    expect(call("STATUS", { ipam: TWO_HOSTS })).toBe("");
  });

  test("STATUS names the ranges of which every address is leased", () => {
    const ipam = { ranges: [...ONE.ranges, [{ subnet: "10.9.0.0/24", rangeEnd: "10.9.0.3" }]] };
    for (const id of ["c1", "c2"]) add({ ipam, id });
    expect(refusal(() => call("STATUS", { ipam }))).toMatchObject({
      code: 50,
      msg: "no IP addresses available in range set: 10.9.0.1-10.9.0.3",
    });
    call("DEL", { ipam });
    expect(call("STATUS", { ipam })).toBe("");
  });

  test("STATUS does not accept a configuration that ADD would refuse", () => {
    expect(refusal(() => call("STATUS", { ipam: {} })).code).toBe(7);
  });
});
