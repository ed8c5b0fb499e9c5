import { expect, test } from "bun:test";
import { parseAddress } from "../netaddr/address.ts";
import { parseMac } from "../netaddr/mac.ts";
import { linkByName } from "../rtnetlink/link.ts";
import { type FdbEntry, NTF_EXT_LEARNED, NTF_SELF, NUD_PERMANENT } from "../rtnetlink/neighbour.ts";
import { openRouteSocket, type RouteSocket } from "../rtnetlink/route-socket.ts";
import { kernelTest, lackingFor, TestNetns } from "../testing/netns.ts";
import { differences, type KernelEntries, programEntries, readEntries } from "./kernel-entries.ts";
import { KernelEvents } from "./kernel-events.ts";
import { entriesFor, type OverlayDevices, type OverlayView, type PeerEntries } from "./peers.ts";

const DEVICES: OverlayDevices = { mode: "bridged", vxlan: 7, bridge: 8, gateways: [] };
const MAC = "02:42:0a:05:00:02";
const OTHER_MAC = "02:42:0a:05:00:03";
const vteps = new Map([
  ["a", { address: "192.0.2.2" }],
  ["b", { address: "192.0.2.3" }],
]);
const VIEW: OverlayView = {
  vteps,
  endpoints: [
    { host: "a", mac: MAC, addresses: ["10.5.0.2", "fd00:5::2"], modRevision: 1n },
    { host: "b", mac: OTHER_MAC, addresses: ["10.5.0.3"], modRevision: 2n },
  ],
};

/** What the kernel would show of desired entries. */
function asKernel(desired: PeerEntries): KernelEntries {
  return {
    tunnel: [...desired.fdb.values()].map((entry) => ({ ...entry, flags: NTF_SELF | NTF_EXT_LEARNED })),
    bridged: [...desired.fdb.values()].map((entry) => ({ ...entry, flags: NTF_EXT_LEARNED, dst: undefined })),
    neighbours: [...desired.neighbours.values()],
    routes: [...desired.routes.values()],
    astray: new Set(),
  };
}

function texts(keys: ReturnType<typeof differences>): string[] {
  return keys.map(({ kind, key }) => `${kind} ${key}`);
}

test("differences() of what is as desired are none", () => {
  const desired = entriesFor(DEVICES, "own", VIEW);
  expect(differences(desired, asKernel(desired))).toEqual([]);
});

test("differences() puts what is missing before what uses it, and what is too many last", () => {
  const desired = entriesFor(DEVICES, "own", VIEW);
  const none = entriesFor(DEVICES, "own", { vteps, endpoints: [] });
  expect(texts(differences(desired, asKernel(none)))).toEqual([
    `fdb ${MAC}`,
    `fdb ${OTHER_MAC}`,
    "neighbours 10.5.0.2",
    "neighbours fd00:5::2",
    "neighbours 10.5.0.3",
  ]);
  expect(texts(differences(none, asKernel(desired)))).toEqual([
    "neighbours 10.5.0.2",
    "neighbours fd00:5::2",
    "neighbours 10.5.0.3",
    `fdb ${MAC}`,
    `fdb ${OTHER_MAC}`,
  ]);
});

test.each<[string, (kernel: KernelEntries) => void]>([
  ["leads to another host", ({ tunnel }) => replaceFirst(tunnel, { dst: parseAddress("192.0.2.9") })],
  ["leads nowhere", ({ tunnel }) => replaceFirst(tunnel, { dst: undefined })],
  ["is in the device's table alone", ({ bridged }) => void bridged.shift()],
  ["was learned by the bridge", ({ bridged }) => replaceFirst(bridged, { flags: 0 })],
  ["leads to another VNI", ({ astray }) => void astray.add(MAC)],
])("differences() finds a MAC that %s", (_how, change) => {
  const desired = entriesFor(DEVICES, "own", VIEW);
  const kernel = asKernel(desired);
  change(kernel);
  expect(texts(differences(desired, kernel))).toEqual([`fdb ${MAC}`]);
});

function replaceFirst(entries: FdbEntry[], parts: Partial<FdbEntry>): void {
  const [first] = entries;
  if (first) entries[0] = { ...first, ...parts };
}

const lacking = lackingFor("ip", "link", "add", "vx42", "type", "vxlan", "id", "42", "dstport", "4789");

/** A network's devices in a namespace of their own. */
async function makeDevices(): Promise<{ netns: TestNetns; socket: RouteSocket; devices: OverlayDevices }> {
  const netns = await TestNetns.make();
  netns.run(`ip link set lo up
    ip link add br42 address 02:00:00:00:00:01 type bridge vlan_default_pvid 1
    ip link add vx42 type vxlan id 42 dstport 4789 local 127.0.0.1 nolearning
    ip link set vx42 master br42 addrgenmode none up; ip link set br42 up
    bridge link set dev vx42 learning off neigh_suppress on flood off mcast_flood off bcast_flood off`);
  const socket = openRouteSocket(netns.netns);
  const devices = {
    ...DEVICES,
    vxlan: linkByName(socket, "vx42").index,
    bridge: linkByName(socket, "br42").index,
  };
  return { netns, socket, devices };
}

function read(socket: RouteSocket, devices: OverlayDevices): KernelEntries {
  const reading = readEntries(socket, devices);
  for (;;) {
    const step = reading.next();
    if (!step.done) continue;
    if (step.value) return step.value;
    throw new Error("The dump was interrupted");
  }
}

/** Compares and writes. @returns what differed */
function mend(socket: RouteSocket, devices: OverlayDevices, desired: PeerEntries): string[] {
  const keys = differences(desired, read(socket, devices));
  expect(programEntries(socket, devices, { desired, keys })).toEqual([]);
  return texts(keys);
}

kernelTest(
  "programEntries() of the differences makes a dirty kernel as desired, and leaves what is others'",
  async () => {
    const { netns, socket, devices } = await makeDevices();
    using _netns = netns;
    using _socket = socket;
    netns.run(`bridge fdb add 02:42:0a:05:00:99 dev vx42 self dst 192.0.2.99
      bridge fdb append 00:00:00:00:00:00 dev vx42 self dst 192.0.2.98
      bridge fdb append 00:00:00:00:00:00 dev vx42 self dst 192.0.2.97
      bridge fdb add 02:42:0a:05:00:96 dev vx42 master static
      bridge fdb add ${MAC} dev vx42 self dst 192.0.2.95 vni 7
      ip neigh add 10.5.0.2 lladdr 02:00:00:00:00:95 dev br42 nud permanent
      ip neigh add 10.5.0.94 lladdr 02:00:00:00:00:94 dev br42 nud permanent proto 193
      ip neigh add 10.5.0.93 lladdr 02:00:00:00:00:93 dev br42 nud permanent`);
    const desired = entriesFor(devices, "own", VIEW);
    expect(mend(socket, devices, desired).length).toBeGreaterThan(0);
    expect(mend(socket, devices, desired)).toEqual([]);
    const self = netns
      .run("bridge fdb show dev vx42")
      .split("\n")
      .filter((line) => line.includes(" self "));
    expect(self.map((line) => line.split(" ").slice(0, 3).join(" ")).sort()).toEqual([
      `${MAC} dst 192.0.2.2`,
      `${OTHER_MAC} dst 192.0.2.3`,
    ]);
    const bridged = netns.run("bridge fdb show dev vx42 | grep -v permanent");
    expect(bridged).not.toContain("02:42:0a:05:00:96");
    expect(bridged).toContain(`${MAC} extern_learn master br42`);
    const neighbours = netns.run("ip neigh show dev br42 nud all");
    expect(neighbours).toContain(`10.5.0.2 lladdr ${MAC} extern_learn NOARP proto 193`);
    expect(neighbours).toContain(`fd00:5::2 lladdr ${MAC} extern_learn NOARP proto 193`);
    expect(neighbours).not.toContain("10.5.0.94");
    expect(neighbours).toContain("10.5.0.93 lladdr 02:00:00:00:00:93 PERMANENT");

    mend(socket, devices, entriesFor(devices, "own", { vteps, endpoints: [] }));
    expect(read(socket, devices)).toMatchObject({ tunnel: [], bridged: [], neighbours: [] });
  },
  lacking,
);

kernelTest(
  "programEntries() says what the kernel refuses, and writes the rest",
  async () => {
    const { netns, socket, devices } = await makeDevices();
    using _netns = netns;
    using _socket = socket;
    const desired = entriesFor(devices, "own", VIEW);
    const entry = { ifindex: devices.vxlan, flags: NTF_SELF, state: NUD_PERMANENT };
    const dst = parseAddress("fd00::9"); // of a device that sends over IPv4
    desired.fdb.set(MAC, { ...entry, mac: parseMac(MAC), dst });
    const keys = differences(desired, read(socket, devices));
    const refused = programEntries(socket, devices, { desired, keys });
    expect(refused.map(({ key }) => key)).toEqual([MAC]);
    expect(texts(differences(desired, read(socket, devices)))).toEqual([`fdb ${MAC}`]);
  },
  lacking,
);

kernelTest(
  "KernelEvents tells of what others change on devices that count, and of nothing else",
  async () => {
    const { netns, socket, devices } = await makeDevices();
    using _netns = netns;
    using _socket = socket;
    netns.run("ip link add br9 type bridge; ip link set br9 up");
    using events = new KernelEvents(
      (ifindex) => [devices.vxlan, devices.bridge].includes(ifindex),
      netns.netns,
    );
    netns.run(`ip neigh add 10.5.0.2 lladdr ${MAC} dev br42 nud permanent proto 193
      ip neigh add 10.5.0.3 lladdr ${MAC} dev br9 nud permanent proto 193
      bridge fdb add ${MAC} dev vx42 self dst 192.0.2.9
      bridge fdb del ${MAC} dev vx42 self
      ip route add 10.5.1.0/24 dev vx42 proto 193
      ip route add 10.5.2.0/24 dev br9 proto 193
      ip route add 10.5.3.0/24 dev vx42
      ip -6 route add fd05::/64 dev vx42 proto 193
      ip -6 route replace fd05::/64 dev vx42 proto 193 mtu 1400
      ip route del 10.5.1.0/24
      ip addr add 192.0.2.1/32 dev lo
      ip link set vx42 down`);
    const seen: string[] = [];
    expect(
      events.receive((event) => {
        if (event.what !== "entry")
          seen.push(event.what === "link" ? `${event.name} ${event.isUp}` : "address");
        else seen.push(`${event.isGone ? "gone" : "there"} ${event.kind} ${event.key} ${event.isOurs}`);
      }, 1_000),
    ).toBe("none");
    // the kernel's own addresses and multicast neighbours of links that come up aside
    expect(seen.filter((line) => /10\.5|fd05|fdb/.test(line))).toEqual([
      "there neighbours 10.5.0.2 true",
      `there fdb ${MAC} false`,
      `gone fdb ${MAC} false`,
      "there routes 10.5.1.0/24 true",
      ...Array(2).fill("there routes fd05::/64 true"),
      "gone routes 10.5.1.0/24 true",
      "gone routes fd05::/64 true", // with the device
    ]);
    expect(seen).toContain("address");
    expect(seen).toContain("vx42 false");
  },
  lacking,
);
