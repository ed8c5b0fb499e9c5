/** Elements of interfaces, which attachments share, on the kernel this machine runs; the oracle is nft. */
import { afterEach, expect } from "bun:test";
import { existsSync, readdirSync, rmSync } from "node:fs";
import type { GcCall } from "../cni/plugin.ts";
import { kernelTest } from "../testing/netns.ts";
import { NftHost, noNftReason } from "../testing/nft.ts";
import { noOwnRunReason } from "../testing/own-run.ts";
import type { Element } from "./element.ts";
import { addElements, checkElements } from "./elements.ts";
import {
  checkSharedElements,
  claimElements,
  releaseElements,
  releaseOwned,
  releaseStale,
} from "./shared-elements.ts";

const CLAIMS_DIR = "/run/weft/claims";
const test = (name: string, body: () => Promise<void>) =>
  kernelTest(name, body, noOwnRunReason ?? noNftReason);

const owner = (containerId: string, network = "net") => ({ network, containerId, ifname: "eth0" });
const ENTERING: Element = { set: "entering", key: ["cni0"], data: ["goto published"] };
const SHARED: Element[] = [
  { set: "pairs", key: ["cni0", "cni0"], data: ["goto icc-off"] },
  { set: "pairs", key: ["cni0", "end*"], data: ["accept"] },
  { set: "leaving", key: ["cni0"], data: ["goto isolation"] },
  ENTERING,
  { set: "isolated", key: ["cni0"] },
];

function shown(host: NftHost): string[] {
  return ["pairs", "leaving", "entering", "isolated"].flatMap((set) => host.elements(set));
}
function gc(network: string, ...valid: string[]): GcCall {
  const validAttachments = valid.map((containerID) => ({ containerID, ifname: "eth0" }));
  return { config: { name: network }, validAttachments } as unknown as GcCall; // it reads no more
}
const claims = () => (existsSync(CLAIMS_DIR) ? readdirSync(CLAIMS_DIR) : []);

afterEach(() => {
  if (!noOwnRunReason) rmSync(CLAIMS_DIR, { recursive: true, force: true });
});

test("claimElements() of several leaves each element once; the last to release deletes it", async () => {
  using host = await NftHost.make();
  for (const id of ["c1", "c1", "c2"]) claimElements(host.socket, SHARED, owner(id));
  expect(host.elements("pairs")).toEqual([
    '"cni0" . "cni0" comment "net" : goto icc-off',
    '"cni0" . "end*" comment "net" : accept',
  ]);
  checkElements(host.socket, SHARED);
  const all = shown(host);
  expect(all).toHaveLength(SHARED.length);
  for (let time = 0; time < 2; time++) releaseElements(host.socket, SHARED, owner("c1"));
  expect(shown(host)).toEqual(all);
  releaseElements(host.socket, SHARED, owner("c3")); // who claimed nothing
  expect(shown(host)).toEqual(all);
  for (let time = 0; time < 2; time++) releaseElements(host.socket, SHARED, owner("c2"));
  expect([...shown(host), ...claims()]).toEqual([]);
});

test("claimElements() of the strictest is in force while anybody claims it", async () => {
  using host = await NftHost.make();
  claimElements(host.socket, [ENTERING], owner("c1"));
  claimElements(host.socket, [{ ...ENTERING, data: ["drop"] }], owner("c2", "other"));
  expect(host.elements("entering")).toEqual(['"cni0" comment "other" : drop']);
  claimElements(host.socket, [ENTERING], owner("c3"));
  expect(host.elements("entering")).toEqual(['"cni0" comment "other" : drop']);
  checkSharedElements(host.socket, [ENTERING]);
  releaseElements(host.socket, [{ ...ENTERING, data: ["drop"] }], owner("c2", "other"));
  expect(host.elements("entering")).toEqual(['"cni0" comment "other" : goto published']);
  releaseElements(host.socket, [ENTERING], owner("c3"));
  releaseElements(host.socket, [ENTERING], owner("c1"));
  expect(shown(host)).toEqual([]);
});

test("claimElements() that is refused leaves nothing that releaseElements() does not take away", async () => {
  using host = await NftHost.make();
  host.load("table inet weft { }");
  const before = host.ruleset();
  expect(() => claimElements(host.socket, SHARED, owner("c1"))).toThrow("was not made by weft");
  releaseElements(host.socket, SHARED, owner("c1"));
  expect(host.ruleset()).toEqual(before);
  expect(claims()).toEqual([]);
});

test("releaseElements() is content where the elements, the table, or the claims are gone", async () => {
  for (const gone of ['delete element inet weft isolated { "cni0" }', "flush ruleset", "claims"]) {
    using host = await NftHost.make();
    claimElements(host.socket, SHARED, owner("c1"));
    if (gone === "claims") rmSync(CLAIMS_DIR, { recursive: true });
    else host.load(gone);
    releaseElements(host.socket, SHARED, owner("c1"));
    if (gone !== "flush ruleset") expect(shown(host)).toEqual([]);
    expect(claims()).toEqual([]);
  }
});

test("releaseOwned() releases what the attachment claims, for want of a record", async () => {
  using host = await NftHost.make();
  claimElements(host.socket, SHARED, owner("c1"));
  claimElements(host.socket, [ENTERING], owner("c2"));
  for (let time = 0; time < 2; time++) releaseOwned(host.socket, owner("c1"));
  expect(shown(host)).toEqual(['"cni0" comment "net" : goto published']);
  releaseOwned(host.socket, owner("c2", "other"));
  expect(shown(host)).toHaveLength(1);
  releaseOwned(host.socket, owner("c2"));
  expect([...shown(host), ...claims()]).toEqual([]);
});

test("releaseStale() releases what only attachments claim that are not valid", async () => {
  using host = await NftHost.make();
  claimElements(host.socket, SHARED, owner("c1"));
  claimElements(host.socket, [ENTERING], owner("c2"));
  claimElements(host.socket, SHARED.slice(0, 1), owner("c1", "other"));
  releaseStale(gc("net", "c1", "c2"), host.socket);
  expect(shown(host)).toHaveLength(SHARED.length);
  releaseStale(gc("net", "c2"), host.socket);
  expect(shown(host)).toEqual([
    '"cni0" . "cni0" comment "net" : goto icc-off',
    '"cni0" comment "net" : goto published',
  ]);
  releaseStale(gc("net"), host.socket);
  expect(shown(host)).toEqual(['"cni0" . "cni0" comment "net" : goto icc-off']);
});

test("releaseStale() with nobody valid deletes what nobody claims, and nothing of the administrator's", async () => {
  using host = await NftHost.make();
  claimElements(host.socket, SHARED, owner("c1"));
  addElements(host.socket, [{ set: "masq4", key: ["cni0", "10.9.0.2"] }], owner("c1"));
  host.load('add element inet weft leaving { "eth7" comment "mine" : drop, "eth8" : drop }');
  rmSync(CLAIMS_DIR, { recursive: true });
  releaseStale(gc("net", "c1"), host.socket);
  expect(shown(host)).toHaveLength(SHARED.length + 2);
  releaseStale(gc("net"), host.socket);
  expect(shown(host)).toEqual(['"eth7" comment "mine" : drop', '"eth8" : drop']);
  expect(host.elements("masq4")).toHaveLength(1);
});

test("claimElements() and releaseElements() of processes at once leave what is claimed, and no more", async () => {
  using host = await NftHost.make();
  const ids = Array.from({ length: 6 }, (_, i) => `c${i}`);
  const program = (id: string) => `
    import { claimElements, releaseElements } from "${import.meta.dir}/shared-elements.ts";
    import { openNetfilterSocket } from "${import.meta.dir}/../netfilter/socket.ts";
    const socket = openNetfilterSocket();
    const shared = ${JSON.stringify(SHARED)};
    const owner = ${JSON.stringify(owner(id))};
    for (let i = 0; i < 20; i++) {
      claimElements(socket, shared, owner);
      if (i < 19 || owner.containerId !== "c0") releaseElements(socket, shared, owner);
    }`;
  const codes = await Promise.all(
    ids.map((id) => {
      const command = ["nsenter", `--net=${host.host.path}`, process.execPath, "-e", program(id)];
      return Bun.spawn(command, { stderr: "inherit" }).exited;
    }),
  );
  expect(codes).toEqual(ids.map(() => 0));
  expect(shown(host)).toHaveLength(SHARED.length);
  releaseElements(host.socket, SHARED, owner("c0"));
  expect([...shown(host), ...claims()]).toEqual([]);
});
