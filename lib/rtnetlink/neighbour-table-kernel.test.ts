/** The tables of neighbours on the kernel this machine runs; the oracle is ip -s ntable. */
import { expect } from "bun:test";
import { kernelTest, TestNetns } from "../testing/netns.ts";
import { readNeighbourTable } from "./neighbour-table.ts";
import { openRouteSocket } from "./route-socket.ts";

/** They are one for all namespaces, so that others change the number of entries meanwhile. */
const OTHERS = 50;

kernelTest("readNeighbourTable() has the limit and the entries that ip ntable shows", async () => {
  using netns = await TestNetns.make();
  netns.run("ip link set lo up && ip link add v0 type veth peer name v1 && ip link set v0 up");
  netns.run("ip neigh add 192.0.2.9 lladdr 02:00:00:00:00:01 dev v0");
  using socket = openRouteSocket(netns.netns);
  for (const [family, name] of [
    [4, "arp_cache"],
    [6, "ndisc_cache"],
  ] as const) {
    const shown = netns.run(`ip -s ntable show name ${name}`);
    const number = (key: string) => Number(new RegExp(`\\b${key} (\\d+)`).exec(shown)?.[1]);
    const table = readNeighbourTable(socket, family);
    expect(table).toMatchObject({ name, limit: number("thresh3"), refusals: number("table_fulls") });
    expect(Math.abs((table?.entries ?? -OTHERS) - number("entries"))).toBeLessThan(OTHERS);
  }
});
