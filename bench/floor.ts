/**
 * The kernel's floor: the netlink messages of an ADD and of a DEL, sent again
 * and again by one warm process, on sockets that stay open. What a plugin
 * takes beyond that is its own: a process, a configuration, files, a result.
 */
import { parseAddress } from "../lib/netaddr/address.ts";
import { randomMac } from "../lib/netaddr/mac.ts";
import { type Prefix, parsePrefix } from "../lib/netaddr/prefix.ts";
import { openNetns } from "../lib/netns/netns.ts";
import { addAddress, listAddresses } from "../lib/rtnetlink/address.ts";
import {
  awaitRunning,
  createLink,
  createVeth,
  deleteLink,
  findLink,
  linkByIndex,
  linkByName,
  setLink,
} from "../lib/rtnetlink/link.ts";
import { appendRoute } from "../lib/rtnetlink/route.ts";
import { openRouteSocket } from "../lib/rtnetlink/route-socket.ts";
import type { Families } from "./cases.ts";
import { makeNetns } from "./host.ts";

const WARM_UP_ROUNDS = 50;
const CARRIER_TIMEOUT_MS = 2_000;

const GATEWAYS: Readonly<Record<Families, readonly string[]>> = {
  v4: ["10.63.0.1/16"],
  "v4 + v6": ["10.63.0.1/16", "fd00:63::1/64"],
};

/** @returns milliseconds, a round each, by step */
export function measureFloor(name: string, rounds: number): Map<string, number[]> {
  const families = name.replace(/^bridge /, "");
  if (families === "v4" || families === "v4 + v6") return measureBridge(families, rounds);
  return name === "loopback" ? measureLoopback(rounds) : new Map();
}

function measureBridge(families: Families, rounds: number): Map<string, number[]> {
  const short = families.replaceAll(/\W/g, "");
  const [bridgeName, hostName] = [`${short}-floor`, `${short}-port`];
  using netns = openNetns(makeNetns(`${short}-floor`));
  using host = openRouteSocket();
  using container = openRouteSocket(netns);
  const gateways = GATEWAYS[families].map(parsePrefix);

  createLink(host, { name: bridgeName, kind: "bridge", mac: randomMac() });
  const bridge = linkByName(host, bridgeName);
  for (const gateway of gateways) addAddress(host, bridge, gateway, { nodad: true });
  setLink(host, bridge, { up: true });

  const add = () => {
    findLink(container, "eth0");
    const { index: master } = linkByName(host, bridgeName);
    const peer = { name: "eth0", netns, mac: randomMac() };
    createVeth(host, { name: hostName, master, mac: randomMac(), alias: "floor", peer });
    setLink(host, { name: hostName }, { up: true, linkLocal: false, port: { mode: 0, isolated: 0 } });
    const inside = linkByName(container, "eth0");
    for (const gateway of gateways) addAddress(container, inside, second(gateway), { nodad: true });
    setLink(container, inside, { up: true });
    for (const { address } of gateways) {
      const dst = parsePrefix(address.family === 4 ? "0.0.0.0/0" : "::/0");
      appendRoute(container, { dst, oif: inside.index, gateway: address });
      listAddresses(host, bridge);
    }
    if (!awaitRunning(host, hostName, CARRIER_TIMEOUT_MS)) throw new Error(`${hostName} has no carrier`);
  };
  const del = () => {
    const { link: outside = 0 } = linkByName(container, "eth0");
    linkByIndex(host, outside);
    deleteLink(container, linkByName(container, "eth0"));
  };
  return timeSteps({ ADD: add, DEL: del }, rounds);
}

/** The prefix with the address after its own. */
function second({ address, length }: Prefix): Prefix {
  const text = address.family === 4 ? "10.63.0.2" : "fd00:63::2";
  return { address: parseAddress(text), length };
}

function measureLoopback(rounds: number): Map<string, number[]> {
  using netns = openNetns(makeNetns("lo-floor"));
  using container = openRouteSocket(netns);
  const add = () => {
    const lo = linkByName(container, "lo");
    setLink(container, lo, { up: true });
    listAddresses(container, lo);
  };
  const del = () => setLink(container, linkByName(container, "lo"), { up: false });
  return timeSteps({ ADD: add, DEL: del }, rounds);
}

function timeSteps(steps: Readonly<Record<string, () => void>>, rounds: number): Map<string, number[]> {
  const times = new Map(Object.keys(steps).map((name) => [name, [] as number[]])); // filled below
  for (let round = -WARM_UP_ROUNDS; round < rounds; round++) {
    for (const [name, step] of Object.entries(steps)) {
      const startNs = Bun.nanoseconds();
      step();
      if (round >= 0) times.get(name)?.push((Bun.nanoseconds() - startNs) / 1e6);
    }
  }
  return times;
}
