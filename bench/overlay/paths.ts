/**
 * What goes through weft's overlay and through the same one by hand: both between the same two hosts, with a
 * VNI each, in rounds in which they take turns in an order of chance.
 */
import type { Container } from "../../conformance/fixtures/host.ts";
import { generator, shuffled } from "../statistics.ts";
import { floodingByHand, programmedByHand } from "./by-hand.ts";
import type { PathFigures, PathSeries } from "./figures.ts";
import { Site } from "./hosts.ts";

const ROUNDS = 15;
const SECONDS = 1;
const PINGS = 20_000;
const START_TIMEOUT_MS = 5_000;
const START_PAUSE_MS = 50;

type Kind = "static remotes" | "etcd";

/** From a container of the first host to one of the second. */
interface Path {
  readonly client: Container;
  readonly server: Container;
  readonly address: string;
}

interface Pair {
  readonly name: Kind;
  readonly weft: Path;
  readonly byHand: Path;
}

export async function measurePaths(dir: string, rounds = ROUNDS): Promise<PathFigures[]> {
  await using site = await Site.open(2, dir);
  await site.startStore();
  await site.startAgents();
  const pairs: Pair[] = [
    {
      name: "static remotes",
      weft: await weftPath(site, "static remotes"),
      byHand: await floodingPath(site),
    },
    { name: "etcd", weft: await weftPath(site, "etcd"), byHand: await programmedPath(site) },
  ];
  const figures = pairs.map(({ name }) => ({ name, weft: noSeries(), byHand: noSeries() }));
  const contestants = pairs.flatMap(({ weft, byHand }, i) => [
    { path: weft, series: figures[i]?.weft },
    { path: byHand, series: figures[i]?.byHand },
  ]);
  for (const { path } of contestants) await listen(path);
  const random = generator(rounds);
  for (let round = -1; round < rounds; round++) {
    for (const { path, series } of shuffled(contestants, random)) {
      const [gigabits, roundTripUs] = [await measureRate(path), await measureRoundTrip(path)];
      if (round < 0) continue; // to warm up
      series?.gigabits.push(gigabits);
      series?.roundTripUs.push(roundTripUs);
    }
  }
  return figures;
}

function noSeries(): PathSeries {
  return { gigabits: [], roundTripUs: [] };
}

async function weftPath(site: Site, kind: Kind): Promise<Path> {
  const [first, second] = [site.fabric.at(0), site.fabric.at(1)];
  const vni = kind === "etcd" ? 102 : 101;
  const config = (address: string) => ({
    name: `net${vni}`,
    type: "vxlan",
    vni,
    dev: "eth0",
    ...(kind === "etcd" ? { etcd: {} } : { remotes: [first.address4, second.address4] }),
    ipam: { type: "static", addresses: [{ address }] },
  });
  const [client] = await site.add(first, `c${vni}`, config(`10.${vni}.0.2/24`));
  const [server] = await site.add(second, `c${vni}`, config(`10.${vni}.0.3/24`));
  return { client, server, address: `10.${vni}.0.3` };
}

async function floodingPath({ fabric }: Site): Promise<Path> {
  const [first, second] = [fabric.at(0), fabric.at(1)];
  const options = { vni: 201 };
  const client = await floodingByHand(first, { ...options, remote: second, address: "10.201.0.2/24" });
  const server = await floodingByHand(second, { ...options, remote: first, address: "10.201.0.3/24" });
  return { client, server, address: "10.201.0.3" };
}

async function programmedPath({ fabric }: Site): Promise<Path> {
  const [first, second] = [fabric.at(0), fabric.at(1)];
  const [address, remoteAddress] = ["10.202.0.2/24", "10.202.0.3/24"];
  const vni = 202;
  const client = await programmedByHand(first, { vni, remote: second, address, remoteAddress });
  const back = { vni, remote: first, address: remoteAddress, remoteAddress: address };
  const server = await programmedByHand(second, back);
  return { client, server, address: "10.202.0.3" };
}

/** Starts iperf3 on the server, which ends with its host. */
async function listen({ server }: Path): Promise<void> {
  server.start("iperf3", ["--server"]);
  const deadline = performance.now() + START_TIMEOUT_MS;
  while ((await server.exec("ss", ["-Hltn", "sport = 5201"])).stdout === "") {
    if (performance.now() > deadline) throw new Error("iperf3 does not listen");
    await Bun.sleep(START_PAUSE_MS);
  }
}

async function measureRate({ client, address }: Path): Promise<number> {
  const flow = ["--client", address, "--time", `${SECONDS}`, "--json"];
  const report = JSON.parse((await client.exec("iperf3", flow)).stdout);
  return report.end.sum_received.bits_per_second / 1e9;
}

/**
 * One ping at a time, each as soon as the one before has its answer: the time of all, because ping tells
 * whole microseconds of one, which are 6 % of it.
 */
async function measureRoundTrip({ client, address }: Path): Promise<number> {
  const { stdout } = await client.exec("ping", ["-n", "-q", "-f", "-c", `${PINGS}`, address]);
  const [, received, totalMs] = /(\d+) received.* time (\d+)ms/.exec(stdout) ?? [];
  if (Number(received) !== PINGS) throw new Error(`ping ${address}: ${stdout}`);
  return (Number(totalMs) * 1e3) / PINGS;
}
