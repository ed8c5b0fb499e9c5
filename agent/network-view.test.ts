import { expect, test } from "bun:test";
import type { OverlayDevices } from "../lib/overlay/peers.ts";
import { entriesFor } from "../lib/overlay/peers.ts";
import { Keeper } from "./keeper.ts";
import { NetworkView, nothingTouched } from "./network-view.ts";

const BRIDGED: OverlayDevices = { mode: "bridged", vxlan: 7, bridge: 8, gateways: [] };
const ROUTED: OverlayDevices = { ...BRIDGED, mode: "routed" };
const HOSTS = ["own", "a", "b"];

let revision = 0n;

function put(view: NetworkView, host: string, attachment: string, mac: string, ...addresses: string[]) {
  const touched = nothingTouched();
  const value = { endpoint: { mac, addresses }, modRevision: ++revision };
  view.setEndpoint({ host, attachment }, value, touched);
  return touched;
}

function withdraw(view: NetworkView, host: string, attachment: string) {
  const touched = nothingTouched();
  view.setEndpoint({ host, attachment }, undefined, touched);
  return touched;
}

function reach(view: NetworkView, host: string, address: string | undefined) {
  const touched = nothingTouched();
  view.setVtep(host, address === undefined ? undefined : { address, lease: "1" }, touched);
  return touched;
}

/** What a keeper has to write, as text. */
function urgent(keeper: Keeper): string[] {
  return keeper.take("urgent", 100).map(({ kind, key }) => `${kind} ${key}`);
}

test("Keeper.update() writes what a container needs before what uses it, and takes it away after", () => {
  const view = new NetworkView();
  const keeper = new Keeper("net", BRIDGED, "own");
  reach(view, "own", "192.0.2.200");
  keeper.rebuild(view);
  keeper.update(view, put(view, "a", "c1", "02:42:0a:05:00:02", "10.5.0.2"));
  expect(urgent(keeper)).toEqual([]); // nobody knows how its host is reached
  keeper.update(view, reach(view, "a", "192.0.2.1"));
  expect(urgent(keeper)).toEqual(["fdb 02:42:0a:05:00:02", "neighbours 10.5.0.2"]);
  keeper.update(view, withdraw(view, "a", "c1"));
  expect(urgent(keeper)).toEqual(["neighbours 10.5.0.2", "fdb 02:42:0a:05:00:02"]);
  expect(keeper.desired.fdb.size).toBe(0);
});

test("Keeper.update() knows MACs and addresses however they are written", () => {
  const view = new NetworkView();
  const keeper = new Keeper("net", BRIDGED, "own");
  reach(view, "a", "192.0.2.1");
  keeper.rebuild(view);
  keeper.update(view, put(view, "a", "c1", "02-42-0A-05-00-02", "FD00:5:0::2"));
  expect(urgent(keeper)).toEqual(["fdb 02:42:0a:05:00:02", "neighbours fd00:5::2"]);
});

test("Keeper.update() passes over a lease that is another, and writes nothing that stays", () => {
  const view = new NetworkView();
  const keeper = new Keeper("net", BRIDGED, "own");
  reach(view, "a", "192.0.2.1");
  put(view, "a", "c1", "02:42:0a:05:00:02", "10.5.0.2");
  keeper.rebuild(view);
  const touched = nothingTouched();
  view.setVtep("a", { address: "192.0.2.1", lease: "2" }, touched);
  expect(touched.hosts.size).toBe(0);
  expect(view.vteps.get("a")?.lease).toBe("2");
  expect(keeper.update(view, put(view, "a", "c1", "02:42:0a:05:00:02", "10.5.0.2"))).toBe(0);
});

test("Keeper keeps what it has while the store has no host of the network, not even its own", () => {
  const view = new NetworkView();
  const keeper = new Keeper("net", BRIDGED, "own");
  reach(view, "own", "192.0.2.200");
  reach(view, "a", "192.0.2.1");
  put(view, "a", "c1", "02:42:0a:05:00:02", "10.5.0.2");
  keeper.rebuild(view);
  const gone = reach(view, "own", undefined);
  view.setVtep("a", undefined, gone);
  view.setEndpoint({ host: "a", attachment: "c1" }, undefined, gone);
  expect([keeper.update(view, gone), keeper.isKnown, keeper.desired.fdb.size]).toEqual([0, false, 1]);
  keeper.update(view, reach(view, "own", "192.0.2.200"));
  expect([keeper.isKnown, keeper.desired.fdb.size]).toEqual([true, 0]);
});

test("Keeper.update() tells of a value that cannot be read as long as it is there", () => {
  const view = new NetworkView();
  const keeper = new Keeper("net", BRIDGED, "own");
  reach(view, "a", "192.0.2.1");
  keeper.rebuild(view);
  keeper.update(view, put(view, "a", "c1", "01:00:5e:00:00:01", "10.5.0.2"));
  expect(keeper.desired.faults).toHaveLength(1);
  keeper.update(view, put(view, "a", "c2", "02:42:0a:05:00:03", "10.5.0.3"));
  expect([keeper.desired.faults.length, keeper.desired.fdb.size]).toEqual([1, 1]);
  keeper.update(view, withdraw(view, "a", "c1"));
  expect([keeper.desired.faults.length, keeper.desired.fdb.size]).toEqual([0, 1]);
});

test("Keeper.update() of mode routed writes a host's route", () => {
  const view = new NetworkView();
  const keeper = new Keeper("net", ROUTED, "own");
  reach(view, "own", "192.0.2.200");
  keeper.rebuild(view);
  const touched = nothingTouched();
  const subnets = [{ subnet: "10.5.2.0/24", gateway: "10.5.2.1" }];
  view.setVtep("a", { address: "192.0.2.2", mac: "02:00:00:00:00:0b", subnets, lease: "1" }, touched);
  keeper.update(view, touched);
  expect(urgent(keeper)).toEqual(["fdb 02:00:00:00:00:0b", "neighbours 10.5.2.1", "routes 10.5.2.0/24"]);
});

test("Keeper.update() comes, change by change, to what entriesFor() makes of the whole", () => {
  let seed = 20_261_121;
  const random = (below: number) => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    return Math.floor((seed / 2 ** 31) * below);
  };
  const view = new NetworkView();
  const keeper = new Keeper("net", BRIDGED, "own");
  reach(view, "d", "192.0.2.200"); // it stays: a network without any host is not believed
  keeper.rebuild(view);
  for (let step = 0; step < 2_000; step++) {
    const host = HOSTS[random(HOSTS.length)] ?? "";
    const attachment = `c${random(4)}`;
    const number = random(4); // few, so that containers move and meet
    const changes = [
      () => put(view, host, attachment, `02:42:0a:05:00:0${number}`, `10.5.0.${random(4)}`),
      () => withdraw(view, host, attachment),
      () => reach(view, host, `192.0.2.${number}`),
      () => reach(view, host, undefined),
    ];
    const change = changes[random(changes.length)];
    if (change) keeper.update(view, change());
    const { fdb, neighbours } = entriesFor(BRIDGED, "own", view);
    expect([...keeper.desired.fdb].sort()).toEqual([...fdb].sort());
    expect([...keeper.desired.neighbours].sort()).toEqual([...neighbours].sort());
  }
});
