/** dummy in namespaces of the kernel this machine runs, which may lack it; the oracle is ip. */
import { afterEach, beforeEach, test as bunTest, expect } from "bun:test";
import { CniError } from "../../lib/cni/error.ts";
import { callPlugin } from "../../lib/cni/plugin.ts";
import { CniHost, linksOf, recordsThere } from "../../lib/testing/cni-host.ts";
import { thrownBy } from "../../lib/testing/made-up-things.ts";
import { kernelTest, lackingFor, noNetnsReason, TestNetns } from "../../lib/testing/netns.ts";
import { noOwnRunReason } from "../../lib/testing/own-run.ts";
import { input } from "../../lib/testing/probe.ts";
import staticPlugin from "../static/main.ts";
import dummyPlugin from "./main.ts";

const lacking = noNetnsReason ?? noOwnRunReason;
const noDummy = lacking ?? lackingFor("ip", "link", "add", "d0", "type", "dummy");
const WITH_IPAM = {
  ipam: { type: "static", addresses: [{ address: "10.1.0.9/24" }, { address: "fd00::9/64" }] },
};

let host: CniHost;
let c1: TestNetns;
beforeEach(async () => {
  if (lacking !== undefined) return;
  [host, c1] = [await CniHost.make(), await TestNetns.make()];
});
afterEach(() => {
  for (const each of [host, c1]) each?.[Symbol.dispose]();
});
const test = (name: string, body: () => void) => kernelTest(name, body, lacking);
const dummyTest = (name: string, body: () => void) => kernelTest(name, body, noDummy);
/** Where the kernel has none. */
const lackTest = (name: string, body: () => void) =>
  kernelTest(name, body, noDummy === undefined ? "this kernel has dummy interfaces" : lacking);

const ask = (command: string, config: object = WITH_IPAM, rest: { netns?: string } = {}): string =>
  host.ask(dummyPlugin, command, { netns: c1.path, config, ...rest }, [staticPlugin]);
const nothingLeft = () => expect([linksOf(c1), host.links(), recordsThere()]).toEqual([[], [], []]);
const NO_IPAM = {
  code: 7,
  message:
    'dummy interface requires an IPAM configuration; set "ipam" with a "type", such as "host-local" or "static"',
};

bunTest.each<[config: object]>([[{}], [{ ipam: null }], [{ ipam: {} }], [{ ipam: { type: "" } }]])(
  "%o is refused with code 7: a dummy without addresses is of no use",
  (config) => {
    const request = input("ADD", { type: "dummy", ...config });
    expect(thrownBy(() => callPlugin(dummyPlugin, request))).toMatchObject(NO_IPAM);
  },
);

bunTest("with ipam the namespace is looked for", () => {
  const request = input("ADD", { type: "dummy", ...WITH_IPAM });
  expect(thrownBy(() => callPlugin(dummyPlugin, request))).toMatchObject({
    code: CniError.INVALID_ENVIRONMENT,
  });
});

lackTest("ADD where the kernel has no dummies says so, and leaves nothing", () => {
  const message = "the kernel has no dummy interfaces; load the module dummy, or use a kernel that has it";
  expect(thrownBy(() => ask("ADD"))).toMatchObject({ code: 50, message });
  nothingLeft();
});

dummyTest(
  "ADD answers with the interface, whose addresses are there at once; CHECK is content until it is down",
  () => {
    const prevResult = JSON.parse(ask("ADD"));
    const [shown] = c1.json("ip -j -d addr show dev eth0");
    expect(prevResult).toEqual({
      cniVersion: "1.1.0",
      interfaces: [{ name: "eth0", mac: shown.address, mtu: 1500, sandbox: c1.path }],
      ips: [
        { address: "10.1.0.9/24", interface: 0 },
        { address: "fd00::9/64", interface: 0 },
      ],
    });
    expect(shown.linkinfo.info_kind).toBe("dummy");
    expect(shown.addr_info.some(({ tentative }: { tentative?: boolean }) => tentative)).toBe(false);
    expect(ask("CHECK", { ...WITH_IPAM, prevResult })).toBe("");
    c1.run("ip link set eth0 down");
    expect(thrownBy(() => ask("CHECK", { ...WITH_IPAM, prevResult }))).toMatchObject({
      code: 100,
      msg: "Container interface eth0 is down",
    });
  },
);

dummyTest("DEL and GC take interface and record, whatever the configuration says", () => {
  for (const [command, config, rest] of [
    ["DEL", {}, {}],
    ["DEL", { ipam: { type: "static", addresses: 5 } }, { netns: "" }],
    ["GC", {}, {}],
  ] as const) {
    ask("ADD");
    for (let time = 0; time < 2; time++) expect(ask(command, config, rest)).toBe("");
    nothingLeft();
  }
});

test("DEL and GC have nothing to do where nothing is, with a configuration that ADD would refuse", () => {
  for (const config of [{}, { ipam: { type: "static", addresses: 5 } }]) {
    for (const command of ["DEL", "GC"]) expect(ask(command, config)).toBe("");
  }
  nothingLeft();
});

test("STATUS is ready where IPAM is, and says what is not available, or wrong", () => {
  expect(ask("STATUS")).toBe("");
  expect(thrownBy(() => ask("STATUS", {}))).toMatchObject(NO_IPAM);
  expect(thrownBy(() => ask("STATUS", { ipam: { type: "nope" } }))).toMatchObject({
    code: 50,
    msg: expect.stringContaining('failed to find plugin "nope"'),
  });
});
