/** vlan in namespaces of the kernel this machine runs, which may lack it; the oracle is ip. */
import { afterEach, beforeEach, test as bunTest, expect } from "bun:test";
import { CniError } from "../../lib/cni/error.ts";
import { callPlugin } from "../../lib/cni/plugin.ts";
import { CniHost, linksOf, recordsThere } from "../../lib/testing/cni-host.ts";
import { thrownBy } from "../../lib/testing/made-up-things.ts";
import { kernelTest, lackingFor, noNetnsReason, TestNetns } from "../../lib/testing/netns.ts";
import { noOwnRunReason } from "../../lib/testing/own-run.ts";
import { input } from "../../lib/testing/probe.ts";
import staticPlugin from "../static/main.ts";
import vlanPlugin from "./main.ts";

const lacking = noNetnsReason ?? noOwnRunReason;
const noVlan =
  lacking ??
  lackingFor(
    "sh",
    "-ec",
    "ip link add v0 type veth peer name v1; ip link add link v0 name v0.5 type vlan id 5",
  );
const IPAM = { type: "static", addresses: [{ address: "10.1.0.9/24" }] };
const WIRE = { master: "wire0", vlanId: 5, ipam: IPAM };

let host: CniHost;
let c1: TestNetns;
beforeEach(async () => {
  if (lacking !== undefined) return;
  host = await CniHost.make(
    "ip link add wire0 mtu 1400 type veth peer name far; ip link set far up; ip link set wire0 up",
  );
  c1 = await TestNetns.make();
});
afterEach(() => {
  for (const each of [host, c1]) each?.[Symbol.dispose]();
});
const test = (name: string, body: () => void) => kernelTest(name, body, lacking);
const vlanTest = (name: string, body: () => void) => kernelTest(name, body, noVlan);
/** Where the kernel has none. */
const lackTest = (name: string, body: () => void) =>
  kernelTest(name, body, noVlan === undefined ? "this kernel has vlan interfaces" : lacking);

const ask = (
  command: string,
  config: object = WIRE,
  rest: { netns?: string; ifname?: string } = {},
): string => host.ask(vlanPlugin, command, { netns: c1.path, config, ...rest }, [staticPlugin]);
const shown = () => c1.json("ip -j -d link show dev eth0")[0];
const nothingLeft = () =>
  expect([linksOf(c1), host.links(), recordsThere()]).toEqual([[], ["far veth", "wire0 veth"], []]);

/** What ADD refuses before it looks at the host. */
function refusal(config: object): unknown {
  return thrownBy(() => callPlugin(vlanPlugin, input("ADD", { type: "vlan", ...config })));
}

const INVALID: readonly [config: object, message: string][] = [
  [{ vlanId: 5, ipam: IPAM }, '"master" field is required. It specifies the host interface name'],
  [{ master: "", ipam: IPAM }, '"master" field is required'],
  [{ master: "a b", ipam: IPAM }, 'invalid "master": "a b"'],
  [{ master: "wire0", vlanId: 5 }, 'a VLAN interface needs "ipam"'],
  [{ ...WIRE, ipam: {} }, 'a VLAN interface needs "ipam"'],
  [{ ...WIRE, vlanId: 4095 }, "invalid VLAN ID 4095 (must be between 0 and 4094)"],
  [{ ...WIRE, vlanId: -1 }, "invalid VLAN ID -1 (must be between 0 and 4094)"],
  [{ ...WIRE, vlanId: "5" }, '"vlanId"'],
  [{ ...WIRE, mtu: -1 }, '-1 for "mtu"'],
  [{ ...WIRE, linkInContainer: "no" }, '"linkInContainer"'],
];
bunTest.each([...INVALID])("%o is refused with code 7", (config, message) => {
  expect(refusal(config)).toMatchObject({ code: 7, message: expect.stringContaining(message) });
});

bunTest("null is as good as absent: then the namespace is looked for", () => {
  const config = { ...WIRE, vlanId: null, mtu: null, linkInContainer: null };
  expect(refusal(config)).toMatchObject({ code: CniError.INVALID_ENVIRONMENT });
});

lackTest("ADD where the kernel has no VLANs says which module has them, and leaves nothing", () => {
  const message = "the kernel has no vlan interfaces; load the module 8021q, or use a kernel that has it";
  expect(thrownBy(() => ask("ADD"))).toMatchObject({ code: 50, message });
  nothingLeft();
});

vlanTest("ADD answers with the interface, which has the VLAN and the master's MTU", () => {
  const result = JSON.parse(ask("ADD"));
  expect(result).toEqual({
    cniVersion: "1.1.0",
    interfaces: [{ name: "eth0", mac: shown().address, mtu: 1400, sandbox: c1.path }],
    ips: [{ address: "10.1.0.9/24", interface: 0 }],
  });
  expect(shown().linkinfo).toMatchObject({ info_kind: "vlan", info_data: { protocol: "802.1Q", id: 5 } });
  expect(thrownBy(() => ask("ADD", WIRE, { ifname: "eth1" }))).toMatchObject({
    code: 7,
    msg: 'VLAN 5 of "wire0" is in use already',
  });
  expect(linksOf(c1)).toEqual(["eth0 vlan"]);
});

vlanTest("CHECK is content, and not with another VLAN or another master", () => {
  const prevResult = JSON.parse(ask("ADD"));
  expect(ask("CHECK", { ...WIRE, prevResult })).toBe("");
  expect(() => ask("CHECK", { ...WIRE, vlanId: 6, prevResult })).toThrow("VLAN of eth0 is 5, not 6");
  expect(() => ask("CHECK", { ...WIRE, master: "far", prevResult })).toThrow(
    'the master of eth0 is not "far"',
  );
});

vlanTest("DEL and GC take interface and record, also when the master is gone", () => {
  const broken = { master: 5, vlanId: "x", ipam: { type: "static", addresses: 5 } };
  for (const [command, config, rest] of [
    ["DEL", broken, {}],
    ["DEL", {}, { netns: "" }],
    ["GC", broken, {}],
  ] as const) {
    ask("ADD");
    for (let time = 0; time < 2; time++) expect(ask(command, config, rest)).toBe("");
    nothingLeft();
  }
  ask("ADD");
  host.netns.run("ip link delete wire0");
  expect(ask("DEL")).toBe("");
  expect([linksOf(c1), recordsThere()]).toEqual([[], []]);
});

test("DEL has nothing to do where nothing is, with a configuration that ADD would refuse", () => {
  for (const config of [{}, { master: 5, vlanId: "x", ipam: { type: "static", addresses: 5 } }]) {
    for (const command of ["DEL", "GC"]) expect(ask(command, config)).toBe("");
  }
  nothingLeft();
});

test("STATUS is ready where the master is up, and says what is not available, or wrong", () => {
  expect(ask("STATUS")).toBe("");
  const CASES: readonly [config: object, code: number, message: string][] = [
    [{ ...WIRE, master: "eth9" }, 50, 'failed to lookup master "eth9"'],
    [{ ...WIRE, ipam: { type: "nope" } }, 50, 'failed to find plugin "nope"'],
    [{ ...WIRE, vlanId: 5000 }, 7, "invalid VLAN ID 5000"],
    [{ ipam: IPAM }, 7, '"master" field is required'],
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
