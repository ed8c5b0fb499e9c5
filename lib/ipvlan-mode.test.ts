import { afterEach, test as bunTest, describe, expect } from "bun:test";
import { existsSync, readdirSync, rmSync } from "node:fs";
import type { Call, GcCall } from "./cni/plugin.ts";
import { claimIpvlanMode, releaseIpvlanMode, releaseStaleIpvlanModes } from "./ipvlan-mode.ts";
import type { Master } from "./master.ts";
import { claim } from "./state/claim.ts";
import { thrownBy } from "./testing/made-up-things.ts";
import { noOwnRunReason } from "./testing/own-run.ts";

const CLAIMS_DIR = "/run/weft/claims";
const reason = noOwnRunReason ? ` [skipped: ${noOwnRunReason}]` : "";
const test = (name: string, body: () => void) => bunTest.skipIf(reason !== "")(name + reason, body);
afterEach(() => {
  if (!noOwnRunReason) rmSync("/run/weft", { recursive: true, force: true });
});

let undone: (() => void)[] = [];
/** A call, of which only this is looked at. */
function call(containerId = "c1", network = "net", valid: readonly string[] = []): GcCall {
  undone = [];
  const validAttachments = valid.map((containerID) => ({ containerID, ifname: "eth0" }));
  const undo = { defer: (step: () => void) => undone.push(step) };
  return {
    config: { name: network },
    containerId,
    ifname: "eth0",
    undo,
    validAttachments,
  } as unknown as GcCall;
}
const on = (name: string) => ({ link: { name } }) as Master;
const claimed = () => (existsSync(CLAIMS_DIR) ? readdirSync(CLAIMS_DIR).sort() : []);
const claimL2 = (of: Call, master = "eth0") => claimIpvlanMode(of, on(master), "l2", "bridge");

describe("claimIpvlanMode()", () => {
  test("claimIpvlanMode() has a master of one mode for all that claim it, of whatever network", () => {
    claimL2(call());
    claimL2(call("c2"));
    claimL2(call("c1", "other"));
    expect(claimed()).toEqual(["ipvlan eth0 l2 bridge"]);
    expect(readdirSync(`${CLAIMS_DIR}/ipvlan eth0 l2 bridge`).sort()).toEqual([
      "c1:eth0:net",
      "c1:eth0:other",
      "c2:eth0:net",
    ]);
  });

  test("claimIpvlanMode() refuses another mode, and another flag, and says who is in the way", () => {
    claimL2(call());
    expect(thrownBy(() => claimIpvlanMode(call("c2"), on("eth0"), "l3", "bridge"))).toMatchObject({
      code: 7,
      msg: 'the ipvlans of "eth0" have mode and flag "l2 bridge", not "l3 bridge"',
      details: expect.stringContaining("c1"),
    });
    expect(() => claimIpvlanMode(call("c2"), on("eth0"), "l2", "private")).toThrow('not "l2 private"');
    expect([undone, claimed()]).toEqual([[], ["ipvlan eth0 l2 bridge"]]);
  });

  test("claimIpvlanMode() minds each master by itself, also one whose name begins the same", () => {
    claimL2(call());
    claimIpvlanMode(call("c2"), on("eth0.10"), "l3", "bridge");
    claimIpvlanMode(call("c3"), on("eth"), "l3s", "vepa");
    expect(claimed()).toEqual(["ipvlan eth l3s vepa", "ipvlan eth0 l2 bridge", "ipvlan eth0.10 l3 bridge"]);
  });

  test("an ADD that fails takes its claim back, and no other's", () => {
    claimL2(call());
    claimL2(call("c2"));
    for (const step of undone) step();
    expect(readdirSync(`${CLAIMS_DIR}/ipvlan eth0 l2 bridge`)).toEqual(["c1:eth0:net"]);
  });
});

test("releaseIpvlanMode() frees the master with the last, and leaves claims of other things", () => {
  claim("link eth0.10", { network: "net", containerId: "c1", ifname: "eth0" });
  claimL2(call());
  claimL2(call("c2"));
  releaseIpvlanMode(call());
  expect(() => claimIpvlanMode(call(), on("eth0"), "l3", "bridge")).toThrow('not "l3 bridge"');
  releaseIpvlanMode(call("c2"));
  releaseIpvlanMode(call("c2"));
  claimIpvlanMode(call(), on("eth0"), "l3", "bridge");
  expect(claimed()).toEqual(["ipvlan eth0 l3 bridge", "link eth0.10"]);
});

test("releaseStaleIpvlanModes() frees for those of its network that are not valid", () => {
  claimL2(call());
  claimL2(call("c2"));
  claimL2(call("c3", "other"));
  releaseStaleIpvlanModes(call("", "net", ["c2"]));
  expect(readdirSync(`${CLAIMS_DIR}/ipvlan eth0 l2 bridge`).sort()).toEqual(["c2:eth0:net", "c3:eth0:other"]);
  for (const network of ["net", "other"]) releaseStaleIpvlanModes(call("", network));
  expect(claimed()).toEqual([]);
});
