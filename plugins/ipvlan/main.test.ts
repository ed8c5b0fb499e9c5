/** ipvlan in namespaces of the kernel this machine runs, which may lack it; the oracle is ip. */
import { afterEach, beforeEach, test as bunTest, describe, expect } from "bun:test";
import { CniError } from "../../lib/cni/error.ts";
import { callPlugin } from "../../lib/cni/plugin.ts";
import { listClaimed } from "../../lib/state/claim.ts";
import { CniHost, linksOf, recordsThere } from "../../lib/testing/cni-host.ts";
import { thrownBy } from "../../lib/testing/made-up-things.ts";
import { kernelTest, lackingFor, noNetnsReason, TestNetns } from "../../lib/testing/netns.ts";
import { noOwnRunReason } from "../../lib/testing/own-run.ts";
import { input } from "../../lib/testing/probe.ts";
import staticPlugin from "../static/main.ts";
import ipvlanPlugin from "./main.ts";

const lacking = noNetnsReason ?? noOwnRunReason;
const noIpvlan =
  lacking ??
  lackingFor("sh", "-ec", "ip link add v0 type veth peer name v1; ip link add link v0 name i0 type ipvlan");
const IPAM = { type: "static", addresses: [{ address: "10.1.0.9/24" }, { address: "fd00::9/64" }] };
const WIRE = { master: "wire0", ipam: IPAM };
const IPS = [{ address: "10.1.0.9/24", gateway: "10.1.0.1" }];

let host: CniHost;
let c1: TestNetns;
let c2: TestNetns;
beforeEach(async () => {
  if (lacking !== undefined) return;
  host = await CniHost.make(
    "ip link add wire0 mtu 1400 type veth peer name far; ip link set far up; ip link set wire0 up",
  );
  [c1, c2] = [await TestNetns.make(), await TestNetns.make()];
});
afterEach(() => {
  for (const each of [host, c1, c2]) each?.[Symbol.dispose]();
});
const test = (name: string, body: () => void) => kernelTest(name, body, lacking);
const ipvlanTest = (name: string, body: () => void) => kernelTest(name, body, noIpvlan);
/** Where the kernel has none. */
const lackTest = (name: string, body: () => void) =>
  kernelTest(name, body, noIpvlan === undefined ? "this kernel has ipvlan interfaces" : lacking);

type Rest = { containerId?: string; netns?: string; valid?: string[] };
const ask = (command: string, config: object = WIRE, rest: Rest = {}): string =>
  host.ask(ipvlanPlugin, command, { netns: c1.path, config, ...rest }, [staticPlugin]);
const dataShown = () => c1.json("ip -j -d link show dev eth0")[0].linkinfo.info_data;
const nothingLeft = () =>
  expect([linksOf(c1), host.links(), recordsThere(), listClaimed()]).toEqual([
    [],
    ["far veth", "wire0 veth"],
    [],
    [],
  ]);

/** What ADD refuses before it looks at the host. */
function refusal(config: object): unknown {
  return thrownBy(() => callPlugin(ipvlanPlugin, input("ADD", { type: "ipvlan", ...config })));
}

const CHAINED_FAILURE = "chained master failure. PrevResult lacks a single named interface";
const INVALID: readonly [config: object, message: string][] = [
  [{ ipam: IPAM, mode: "l4" }, 'unknown ipvlan mode: "l4"'],
  [{ ipam: IPAM, flag: "" }, 'unknown ipvlan flag: ""'],
  [{ ipam: IPAM, flag: "x" }, 'unknown ipvlan flag: "x"'],
  [{ ipam: IPAM, master: 5 }, 'invalid value 5 for "master": must be a string'],
  [{ ipam: IPAM, mtu: 70_000 }, '70000 for "mtu"'],
  [{ ipam: IPAM, vlan: -1 }, "invalid VLAN ID -1 (must be between 0 and 4094)"],
  [{ ipam: IPAM, internal: true, vlan: 5 }, '"internal" makes a master that leads nowhere'],
  [{}, 'an ipvlan needs addresses; set "ipam", or put a plugin before it that gives some'],
  [{ prevResult: { cniVersion: "1.1.0", interfaces: [{ name: "eth0" }] } }, "an ipvlan needs addresses"],
];
bunTest.each([...INVALID])("%o is refused with code 7", (config, message) => {
  expect(refusal(config)).toMatchObject({ code: 7, message: expect.stringContaining(message) });
});

bunTest('null is as good as absent, and so is the mode "": then the namespace is looked for', () => {
  const config = { ipam: IPAM, mode: "", flag: null, master: null, mtu: null, vlan: null, internal: null };
  expect(refusal(config)).toMatchObject({ code: CniError.INVALID_ENVIRONMENT });
});

test("ADD after a plugin that has not one interface with a name cannot tell the master, and leaves nothing", () => {
  for (const interfaces of [[], [{ name: "" }], [{ name: "wire0" }, { name: "far" }]]) {
    const prevResult = { cniVersion: "1.1.0", interfaces, ips: IPS };
    expect(thrownBy(() => ask("ADD", { prevResult }))).toMatchObject({ code: 7, msg: CHAINED_FAILURE });
    nothingLeft();
  }
});

lackTest("ADD where the kernel has no ipvlan says so, and leaves nothing", () => {
  const message = "the kernel has no ipvlan interfaces; load the module ipvlan, or use a kernel that has it";
  expect(thrownBy(() => ask("ADD"))).toMatchObject({ code: 50, message });
  nothingLeft();
});

describe("ADD", () => {
  ipvlanTest("ADD answers with the interface and its addresses, in mode l2 and with flag bridge", () => {
    const result = JSON.parse(ask("ADD"));
    const [{ address: mac }] = host.netns.json("ip -j link show dev wire0");
    expect(result).toEqual({
      cniVersion: "1.1.0",
      interfaces: [{ name: "eth0", mac, mtu: 1400, sandbox: c1.path }],
      ips: [
        { address: "10.1.0.9/24", interface: 0 },
        { address: "fd00::9/64", interface: 0 },
      ],
    });
    expect(dataShown()).toEqual({ mode: "l2", bridge: true });
  });

  ipvlanTest("ADD takes mode, flag and MTU, and refuses a second of another mode on that master", () => {
    ask("ADD", { ...WIRE, mode: "l3s", flag: "private", mtu: 1300 });
    expect(dataShown()).toEqual({ mode: "l3s", private: true });
    expect(c1.json("ip -j link show dev eth0")[0].mtu).toBe(1300);
    expect(thrownBy(() => ask("ADD", WIRE, { containerId: "c2", netns: c2.path }))).toMatchObject({
      code: 7,
      msg: 'the ipvlans of "wire0" have mode and flag "l3s private", not "l2 bridge"',
    });
    expect([linksOf(c2), dataShown()]).toEqual([[], { mode: "l3s", private: true }]);
    ask("DEL");
    ask("ADD", WIRE, { containerId: "c2", netns: c2.path });
  });

  ipvlanTest("ADD takes addresses and the master of the plugin before", () => {
    const prevResult = { cniVersion: "1.1.0", interfaces: [{ name: "wire0" }], ips: IPS };
    const result = JSON.parse(ask("ADD", { prevResult }));
    expect([result.interfaces[0].name, result.ips]).toEqual(["eth0", [{ ...IPS[0], interface: 0 }]]);
    expect(c1.json("ip -j addr show dev eth0")[0].addr_info[0].local).toBe("10.1.0.9");
  });
});

ipvlanTest("CHECK is content, and not when mode or flag are others", () => {
  const prevResult = JSON.parse(ask("ADD"));
  expect(ask("CHECK", { ...WIRE, prevResult })).toBe("");
  expect(() => ask("CHECK", { ...WIRE, mode: "l3", prevResult })).toThrow(
    "ipvlan mode of eth0 is l2, not l3",
  );
  expect(() => ask("CHECK", { ...WIRE, flag: "vepa", prevResult })).toThrow(
    "ipvlan flag of eth0 is bridge, not vepa",
  );
});

ipvlanTest("DEL and GC take interface, record and claim, whatever the configuration says", () => {
  for (const clean of [
    () => ask("DEL", { master: 5, mode: [], ipam: { type: "static", addresses: 5 } }),
    () => ask("DEL", {}, { netns: "" }),
    () => ask("GC", { mode: "x" }),
  ]) {
    ask("ADD");
    for (let time = 0; time < 2; time++) expect(clean()).toBe("");
    nothingLeft();
  }
});

test("DEL has nothing to do where nothing is, with a configuration that ADD would refuse", () => {
  for (const config of [{}, { master: 5, mode: "x", flag: 1, ipam: { type: "static", addresses: 5 } }]) {
    expect(ask("DEL", config)).toBe("");
    expect(ask("GC", config)).toBe("");
  }
  nothingLeft();
});

test("STATUS is ready where the master is up, and says what is not available, or wrong", () => {
  expect(ask("STATUS")).toBe("");
  const CASES: readonly [config: object, code: number, message: string][] = [
    [{ ipam: IPAM }, 50, "no default route interface found"],
    [{ master: "eth9", ipam: IPAM }, 50, 'failed to lookup master "eth9"'],
    [{ master: "wire0", ipam: { type: "nope" } }, 50, 'failed to find plugin "nope"'],
    [{ ...WIRE, mode: "l4" }, 7, 'unknown ipvlan mode: "l4"'],
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
