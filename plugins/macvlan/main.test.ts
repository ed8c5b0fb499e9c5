/** macvlan in namespaces of the kernel this machine runs; the oracle is ip. */
import { afterEach, beforeEach, test as bunTest, describe, expect } from "bun:test";
import { CniError } from "../../lib/cni/error.ts";
import { callPlugin } from "../../lib/cni/plugin.ts";
import { CniHost, linksOf, recordsThere } from "../../lib/testing/cni-host.ts";
import { thrownBy } from "../../lib/testing/made-up-things.ts";
import { kernelTest, lackingFor, noNetnsReason, TestNetns } from "../../lib/testing/netns.ts";
import { noOwnRunReason } from "../../lib/testing/own-run.ts";
import { input } from "../../lib/testing/probe.ts";
import staticPlugin from "../static/main.ts";
import macvlanPlugin from "./main.ts";

const lacking =
  noNetnsReason ??
  noOwnRunReason ??
  lackingFor("sh", "-ec", "ip link add v0 type veth peer name v1; ip link add link v0 name m0 type macvlan");
const IPAM = { type: "static", addresses: [{ address: "10.1.0.9/24", gateway: "10.1.0.1" }] };
const WIRE = { master: "wire0", ipam: IPAM };

let host: CniHost;
let c1: TestNetns;
beforeEach(async () => {
  if (lacking !== undefined) return;
  host = await CniHost.make(`ip link add wire0 mtu 1400 type veth peer name far; ip link set far up
    ip link set wire0 up; ip addr add 10.1.0.2/24 dev wire0`);
  c1 = await TestNetns.make();
});
afterEach(() => {
  for (const each of [host, c1]) each?.[Symbol.dispose]();
});
const test = (name: string, body: () => void) => kernelTest(name, body, lacking);

const ask = (
  command: string,
  config: object = WIRE,
  rest: { netns?: string; valid?: string[] } = {},
): string => host.ask(macvlanPlugin, command, { netns: c1.path, config, ...rest }, [staticPlugin]);
const add = (config: object = WIRE) => JSON.parse(ask("ADD", config));
const shown = () => c1.json("ip -j -d link show dev eth0")[0];
/** The link, and what its kind says of it. */
const modeShown = () => shown().linkinfo.info_data;
const nothingLeft = () =>
  expect([linksOf(c1), host.links(), recordsThere()]).toEqual([[], ["far veth", "wire0 veth"], []]);

/** What ADD refuses before it looks at the host. */
function refusal(config: object, args = ""): unknown {
  const request = input("ADD", { type: "macvlan", ...config }, { CNI_ARGS: args });
  return thrownBy(() => callPlugin(macvlanPlugin, request));
}

const INVALID: readonly [config: object, message: string][] = [
  [{ mode: "x" }, 'unknown macvlan mode: "x"'],
  [{ mode: 4 }, 'unknown macvlan mode: "4"'],
  [{ master: 5 }, 'invalid value 5 for "master": must be a string'],
  [{ master: "a b" }, 'invalid "master": "a b"'],
  [{ mtu: -1 }, '-1 for "mtu"'],
  [{ mtu: 65_536 }, '65536 for "mtu"'],
  [{ vlan: 4095 }, "invalid VLAN ID 4095 (must be between 0 and 4094)"],
  [{ bcqueuelen: -1 }, '-1 for "bcqueuelen"'],
  [{ bcqueuelen: 2 ** 32 }, '4294967296 for "bcqueuelen"'],
  [{ mac: "x" }, 'invalid "mac": "x"'],
  [{ mac: "01:00:5e:00:00:01" }, 'invalid "mac": "01:00:5e:00:00:01"'],
  [{ linkInContainer: "yes" }, '"linkInContainer"'],
  [{ linkInContainer: true, master: "eth0", vlan: 5 }, 'with "linkInContainer"'],
  [{ internal: true, master: "eth0" }, '"internal" makes a master that leads nowhere'],
  [{ hostAccess: 1 }, '"hostAccess"'],
  [{ hostAccess: true, mode: "vepa", ipam: { type: "static" } }, '"hostAccess" is not for mode vepa'],
  [{ hostAccessAddresses: ["10.1.0.2/24"] }, 'invalid "hostAccessAddresses": "10.1.0.2/24"'],
  [{ hostAccessAddresses: [5] }, '"hostAccessAddresses[0]"'],
];
bunTest.each([...INVALID])("%o is refused with code 7", (config, message) => {
  expect(refusal(config)).toMatchObject({ code: 7, message: expect.stringContaining(message) });
});

bunTest("the MAC is the runtime's, else that of CNI_ARGS, else the configuration's", () => {
  const of = (mac: string) => ({ code: 7, msg: `invalid "mac": "${mac}"` });
  expect(refusal({ mac: "a", runtimeConfig: { mac: "c" } }, "MAC=b")).toMatchObject(of("c"));
  expect(refusal({ mac: "a" }, "MAC=b")).toMatchObject(of("b"));
  expect(refusal({ mac: "a" })).toMatchObject(of("a"));
});

bunTest("null is as good as absent: then the namespace is looked for", () => {
  const keys = [
    "mode",
    "master",
    "mtu",
    "vlan",
    "bcqueuelen",
    "mac",
    "internal",
    "hostAccess",
    "linkInContainer",
  ];
  const config = Object.fromEntries(
    [...keys, "hostAccessAddresses", "runtimeConfig"].map((key) => [key, null]),
  );
  expect(refusal(config)).toMatchObject({ code: CniError.INVALID_ENVIRONMENT });
});

describe("ADD", () => {
  test("ADD answers with the interface, its addresses and its sandbox", () => {
    const result = add();
    expect(result).toEqual({
      cniVersion: "1.1.0",
      interfaces: [{ name: "eth0", mac: shown().address, mtu: 1400, sandbox: c1.path }],
      ips: [{ address: "10.1.0.9/24", gateway: "10.1.0.1", interface: 0 }],
    });
    expect(shown()).toMatchObject({
      mtu: 1400,
      flags: expect.arrayContaining(["UP"]),
      linkinfo: { info_kind: "macvlan" },
    });
    expect(modeShown()).toMatchObject({ mode: "bridge", bcqueuelen: 1000 });
    expect(c1.json("ip -j addr show dev eth0")[0].addr_info[0].local).toBe("10.1.0.9");
  });

  test("ADD without ipam makes an interface that is up", () => {
    expect(add({ master: "wire0" }).ips).toBeUndefined();
    expect(shown().flags).toContain("UP");
  });

  test("ADD takes what is configured: mode, MTU, MAC, queue", () => {
    add({ master: "wire0", mode: "passthru", mtu: 1300 });
    expect([shown().mtu, modeShown().mode]).toEqual([1300, "passthru"]);
    ask("DEL");
    add({ master: "wire0", mode: "", bcqueuelen: 77, runtimeConfig: { mac: "02:00:00:00:00:99" } });
    expect(shown().address).toBe("02:00:00:00:00:99");
    expect(modeShown()).toMatchObject({ mode: "bridge", bcqueuelen: 77 });
  });

  test("ADD that is refused leaves nothing, and says why", () => {
    const REFUSED: readonly [config: object, code: number, message: string][] = [
      [{ ipam: IPAM }, 7, "no default route interface found"],
      [{ master: "eth9" }, 7, 'failed to lookup master "eth9"'],
      [{ master: "wire0", mtu: 1401 }, 7, "invalid MTU 1401, must be [0, master MTU(1400)]"],
      [{ master: "wire0", ipam: { type: "static", addresses: [{ address: "x" }] } }, 7, "CIDR notation"],
      [{ master: "wire0", ipam: { type: "nope" } }, 7, 'failed to find plugin "nope"'],
      [
        { ...WIRE, hostAccess: true, ipam: { type: "static", addresses: [{ address: "10.7.0.9/24" }] } },
        7,
        "10.7.0.0/24",
      ],
    ];
    for (const [config, code, message] of REFUSED) {
      expect(thrownBy(() => add(config))).toMatchObject({ code, message: expect.stringContaining(message) });
      nothingLeft();
    }
  });

  test("ADD of mode passthru beside another names what is in the way", () => {
    add();
    const act = () =>
      host.ask(macvlanPlugin, "ADD", {
        netns: c1.path,
        ifname: "eth1",
        config: { master: "wire0", mode: "passthru" },
      });
    expect(thrownBy(act)).toMatchObject({
      code: 7,
      msg: '"wire0" is in use: a macvlan in mode passthru needs it for itself',
    });
    expect(linksOf(c1)).toEqual(["eth0 macvlan"]);
  });
});

describe("CHECK", () => {
  const CASES: readonly (readonly [config: object, command: string, message: string])[] = [
    [{}, "ip link set eth0 type macvlan mode private", "macvlan mode of eth0 is private, not bridge"],
    [{ bcqueuelen: 500 }, "ip link set eth0 type macvlan bcqueuelen 77", "bcqueuelen of eth0 is 77, not 500"],
    [{}, "ip link delete eth0; ip link add eth0 type bridge", "of type macvlan"],
    [{}, "ip addr delete 10.1.0.9/24 dev eth0", "Failed to match addr 10.1.0.9/24 on interface eth0"],
    [{}, "ip link set eth0 down", "Container interface eth0 is down"],
  ];
  for (const [keys, command, message] of CASES) {
    test(`CHECK is content, and not after: ${command}`, () => {
      const config = { ...WIRE, ...keys };
      const { interfaces, ...rest } = add(config);
      const prevResult = { ...rest, interfaces: [{ name: "eth0", sandbox: c1.path }] };
      expect([interfaces.length, ask("CHECK", { ...config, prevResult })]).toEqual([1, ""]);
      c1.run(command);
      expect(thrownBy(() => ask("CHECK", { ...config, prevResult }))).toMatchObject({
        code: 100,
        message: expect.stringContaining(message),
      });
    });
  }

  test("CHECK needs a result", () => {
    add();
    expect(thrownBy(() => ask("CHECK"))).toMatchObject({ code: 7, msg: "required prevResult missing" });
  });
});

test("DEL works with a configuration that ADD would refuse, with none of a namespace, and again", () => {
  const broken = {
    master: 5,
    mode: "x",
    mtu: "y",
    mac: [],
    ipam: { type: "static", addresses: 5 },
    hostAccess: 2,
  };
  for (const rest of [{}, { netns: "" }]) {
    add();
    for (let time = 0; time < 2; time++) expect(ask("DEL", broken, rest)).toBe("");
    nothingLeft();
  }
});

test("DEL takes what hostAccess made with the last container, also when that is not asked for any more", () => {
  add({ ...WIRE, hostAccess: true });
  expect(ask("DEL")).toBe("");
  nothingLeft();
});

test("DEL takes the interface and the shim of hostAccess when the master is gone", () => {
  add({ ...WIRE, hostAccess: true });
  expect(host.links()).toContain("mvh-wire0 macvlan");
  host.netns.run("ip link delete wire0");
  expect(ask("DEL", { ...WIRE, hostAccess: true })).toBe("");
  expect([linksOf(c1), host.links(), recordsThere()]).toEqual([[], [], []]);
});

test("GC takes what is not valid any more, whatever the configuration says by now", () => {
  add({ ...WIRE, hostAccess: true });
  expect(ask("GC", { ...WIRE, hostAccess: true }, { valid: ["c1"] })).toBe("");
  expect(linksOf(c1)).toEqual(["eth0 macvlan"]);
  expect(ask("GC", { master: 5, ipam: IPAM }, { valid: ["c2"] })).toBe("");
  nothingLeft();
});

describe("STATUS", () => {
  test("STATUS is ready where the master is up, and IPAM is", () => {
    for (const config of [WIRE, { master: "wire0" }, { ...WIRE, hostAccess: true }]) {
      expect(ask("STATUS", config)).toBe("");
    }
  });

  test("STATUS says what is not available, and what is wrong", () => {
    const CASES: readonly [config: object, code: number, message: string][] = [
      [{ ipam: IPAM }, 50, "no default route interface found"],
      [{ master: "eth9" }, 50, 'failed to lookup master "eth9"'],
      [{ master: "wire0", ipam: { type: "nope" } }, 50, 'failed to find plugin "nope"'],
      [{ master: "wire0", mode: "x" }, 7, 'unknown macvlan mode: "x"'],
      [{ master: "wire0", ipam: { type: "static", addresses: [{ address: "x" }] } }, 7, "CIDR notation"],
    ];
    for (const [config, code, message] of CASES) {
      expect(thrownBy(() => ask("STATUS", config))).toMatchObject({
        code,
        message: expect.stringContaining(message),
      });
    }
    host.netns.run("ip link set wire0 down");
    expect(thrownBy(() => ask("STATUS"))).toMatchObject({ code: 50, msg: 'master "wire0" is down' });
  });
});
