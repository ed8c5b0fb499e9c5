/**
 * How long after ADD's answer the containers of all other hosts reach the new one. Each of them asks for it
 * all the time, and by ARP anew every few milliseconds, where a kernel left alone would wait a second.
 */
import type { Container } from "../../conformance/fixtures/host.ts";
import type { ReachFigures } from "./figures.ts";
import { type Config, Site } from "./hosts.ts";

const ROUNDS = 31;
const HOSTS = 4;
const ASKED_EVERY_MS = 5;
const VNI = 400;
const ADDRESS = "10.40.0.99";
/** Where the time of ADD's begin and end is left. */
const TIMES = "/run/times";

export async function measureReach(dir: string, rounds = ROUNDS): Promise<ReachFigures> {
  await using site = await Site.open(HOSTS, dir);
  await site.startStore();
  await site.startAgents();
  const config = (address: string) => ({
    name: "reach",
    type: "vxlan",
    vni: VNI,
    dev: "eth0",
    etcd: {},
    ipam: { type: "static", addresses: [{ address: `${address}/24` }] },
  });
  const askers: Container[] = [];
  for (const [i, at] of site.fabric.hosts.entries()) {
    const [container] = await site.add(at, "asker", config(`10.40.0.${i + 2}`));
    if (i > 0) askers.push(container);
    await container.sysctl("net/ipv4/neigh/eth0/retrans_time_ms", ASKED_EVERY_MS);
  }
  const reachableMs: number[] = [];
  const addMs: number[] = [];
  for (let round = -1; round < rounds; round++) {
    const figures = await measureOne(site, askers, config(ADDRESS));
    if (round < 0) continue; // to warm up
    reachableMs.push(figures.reachableMs);
    addMs.push(figures.addMs);
  }
  return { hosts: HOSTS - 1, askedEveryMs: ASKED_EVERY_MS, reachableMs, addMs };
}

async function measureOne(site: Site, askers: readonly Container[], config: Config) {
  const { host } = site.fabric.at(0);
  const container = await host.container("new");
  const pings = askers.map((asker) => {
    return asker.start("ping", ["-n", "-D", "-i", `${ASKED_EVERY_MS / 1e3}`, ADDRESS]);
  });
  const answers = pings.map(({ stdout }) => firstAnswerMs(stdout));
  const timed = ["sh", "-c", `date +%s.%N > ${TIMES}; "$@"; date +%s.%N >> ${TIMES}`, "sh"];
  const call = { config: { cniVersion: "1.1.0", ...config }, container, dir: site.dir };
  const added = await host.cni(config.type, { ...call, command: "ADD", under: timed });
  const answeredMs = await Promise.all(answers);
  await Promise.all(pings.map((ping) => ping.stop()));
  if (added.result === undefined) throw new Error(`ADD of vxlan: ${added.stdout}${added.stderr}`);
  const [beginMs = 0, endMs = 0] = (await host.exec("cat", [TIMES])).stdout
    .trim()
    .split("\n")
    .map(milliseconds);
  const deleted = await host.cni(config.type, { ...call, command: "DEL" });
  if (deleted.code !== 0) throw new Error(`DEL of vxlan: ${deleted.stdout}`);
  await container.remove();
  return { reachableMs: Math.max(...answeredMs) - endMs, addMs: endMs - beginMs };
}

const ANSWER_TIMEOUT_MS = 10_000;

/** When ping's first answer came, by ping's own clock. Milliseconds since 1970. */
async function firstAnswerMs(stdout: NodeJS.ReadableStream): Promise<number> {
  return await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("no answer")), ANSWER_TIMEOUT_MS);
    let text = "";
    stdout.on("data", (chunk) => {
      text += chunk;
      const seconds = /^\[(\d+\.\d+)\] \d+ bytes from/m.exec(text)?.[1];
      if (seconds === undefined) return;
      clearTimeout(timer);
      resolve(milliseconds(seconds));
    });
  });
}

function milliseconds(seconds: string): number {
  return Number(seconds) * 1e3;
}
