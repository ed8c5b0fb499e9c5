/** macspoofchk on the kernel this machine runs; the oracle is nft. Frames are for conformance/. */
import { afterEach, beforeEach, expect } from "bun:test";
import type { NetConf } from "./cni/config.ts";
import { CniError } from "./cni/error.ts";
import type { Call, GcCall } from "./cni/plugin.ts";
import { parseMac } from "./netaddr/mac.ts";
import { closeNetfilterSocket } from "./netfilter/socket.ts";
import { inNetns } from "./netns/netns.ts";
import {
  addSpoofCheck,
  checkSpoofCheck,
  deleteSpoofCheck,
  type SpoofCheckConfig,
  staleSpoofCheckSteps,
} from "./spoof-check.ts";
import { listAllRecords, removeRecord, writeRecord } from "./state/record.ts";
import { thrownBy } from "./testing/made-up-things.ts";
import { kernelTest } from "./testing/netns.ts";
import { NftHost, noNftReason } from "./testing/nft.ts";

type SpoofCheckCall = Call<NetConf & SpoofCheckConfig>;

const NETWORK = "spoof-check";
const MAC = parseMac("02:00:00:00:00:01");
/** What the reference 1.9.1 leaves of an attachment. */
const REFERENCE = (id: string) => `
  chain cni-br-iface-${id}-eth0 { jump cni-br-iface-${id}-eth0-mac comment "macspoofchk-${id}-eth0"; }
  chain cni-br-iface-${id}-eth0-mac {
    ether saddr 86:99:02:d8:36:5e return comment "macspoofchk-${id}-eth0"
    drop comment "macspoofchk-${id}-eth0"
  }
  chain PREROUTING {
    type filter hook prerouting priority -300
    iifname "veth-${id}" jump cni-br-iface-${id}-eth0 comment "macspoofchk-${id}-eth0"
  }`;

let host: NftHost;
let undone: (() => void)[];
/** What the calls hold, until the end of the test. */
let calls: DisposableStack;

/** A call, of which only this is looked at. */
function call(containerId = "c1", { macspoofchk = true }: Partial<SpoofCheckConfig> = {}): SpoofCheckCall {
  const undo = { defer: (step: () => void) => undone.push(step) };
  const resources = new DisposableStack();
  calls.use(resources);
  const config = { name: NETWORK, macspoofchk };
  const parts = { config, containerId, ifname: "eth0", netnsPath: "", undo, resources };
  return parts as unknown as SpoofCheckCall;
}
const inHost = (action: () => void): void => inNetns(host.host.netns, action);
const records = () => listAllRecords().filter(({ network }) => network === NETWORK);

beforeEach(async () => {
  if (noNftReason !== undefined) return;
  undone = [];
  calls = new DisposableStack();
  host = await NftHost.make();
  closeNetfilterSocket();
});
afterEach(() => {
  calls?.dispose();
  closeNetfilterSocket();
  for (const record of records()) removeRecord(record);
  host?.[Symbol.dispose]();
});

const test = (name: string, body: () => void) => kernelTest(name, body, noNftReason);

test("addSpoofCheck() makes an element of the port and one of its MAC, and a record; DEL takes them away", () => {
  inHost(() => addSpoofCheck(call(), "veth1", MAC));
  expect(host.elements("checked", "bridge")).toEqual(['"veth1" comment "spoof-check/c1/eth0"']);
  expect(host.elements("macs", "bridge")).toEqual([
    '"veth1" . 02:00:00:00:00:01 comment "spoof-check/c1/eth0"',
  ]);
  expect(records()).toHaveLength(1);
  inHost(() => checkSpoofCheck(call(), "veth1", MAC));
  for (let time = 0; time < 2; time++) inHost(() => deleteSpoofCheck(call()));
  expect([...host.elements("checked", "bridge"), ...host.elements("macs", "bridge")]).toEqual([]);
  expect(records()).toEqual([]);
});

test("addSpoofCheck() beside a table of somebody else's changes nothing", () => {
  host.load("table bridge weft { }"); // somebody else's
  const before = host.ruleset();
  expect(() => inHost(() => addSpoofCheck(call(), "veth1", MAC))).toThrow("was not made by weft");
  expect([records(), undone]).toEqual([[], []]);
  expect(host.ruleset()).toEqual(before);
});

test("addSpoofCheck(), checkSpoofCheck(), deleteSpoofCheck() do nothing where it is not asked for", () => {
  const without = call("c1", { macspoofchk: false });
  inHost(() => addSpoofCheck(without, "veth1", MAC));
  inHost(() => checkSpoofCheck(without, "veth1", MAC));
  inHost(() => deleteSpoofCheck(without));
  expect([host.ruleset(), records(), undone]).toEqual([[], [], []]);
});

test("deleteSpoofCheck() goes by the record, also where it is not asked for any more", () => {
  inHost(() => addSpoofCheck(call(), "veth1", MAC));
  inHost(() => deleteSpoofCheck(call("c1", { macspoofchk: false })));
  expect(host.elements("checked", "bridge")).toEqual([]);
  expect(records()).toEqual([]);
});

test("checkSpoofCheck() names what is missing, such as the MAC of another", () => {
  inHost(() => addSpoofCheck(call(), "veth1", MAC));
  const other = parseMac("02:00:00:00:00:02");
  expect(thrownBy(() => inHost(() => checkSpoofCheck(call(), "veth1", other)))).toMatchObject({
    code: CniError.CHECK_FAILED,
    message: 'element macs { "veth1" . 02:00:00:00:00:02 } of table bridge weft not found',
  });
});

test("deleteSpoofCheck() without a record deletes what carries the name, ours and the reference's", () => {
  inHost(() => addSpoofCheck(call(), "veth1", MAC));
  inHost(() => addSpoofCheck(call("c2"), "veth2", MAC));
  for (const record of records()) removeRecord(record);
  host.load(`table bridge nat {${REFERENCE("c1")}\n}\ntable bridge nat {${REFERENCE("c2")}\n}`);
  inHost(() => deleteSpoofCheck(call()));
  expect(host.elements("checked", "bridge")).toEqual(['"veth2" comment "spoof-check/c2/eth0"']);
  expect(host.text()).not.toContain("c1-eth0");
  expect(host.text().match(/c2-eth0-mac/g)).toHaveLength(2);
  inHost(() => deleteSpoofCheck(call("c2")));
  expect(host.text()).not.toContain("cni-br-iface");
});

test("deleteSpoofCheck() without a record looks for nothing where weft's other records are", () => {
  writeRecord({
    network: NETWORK,
    containerId: "c1",
    ifname: "eth0",
    plugin: "bridge",
    netns: "",
    details: {},
  });
  host.load(`table bridge nat {${REFERENCE("c1")}\n}`);
  const before = host.ruleset();
  inHost(() => deleteSpoofCheck(call()));
  expect(host.ruleset()).toEqual(before);
});

test("staleSpoofCheckSteps() deletes those of attachments that are not valid", () => {
  inHost(() => addSpoofCheck(call(), "veth1", MAC));
  inHost(() => addSpoofCheck(call("c2"), "veth2", MAC));
  const gc = { ...call(), validAttachments: [{ containerID: "c2", ifname: "eth0" }] } as unknown as GcCall;
  inHost(() => {
    for (const step of staleSpoofCheckSteps(gc)) step();
  });
  expect(host.elements("checked", "bridge")).toEqual(['"veth2" comment "spoof-check/c2/eth0"']);
  expect(records().map(({ containerId }) => containerId)).toEqual(["c2"]);
});
