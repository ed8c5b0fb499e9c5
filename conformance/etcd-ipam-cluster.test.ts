/**
 * 500 addresses that five hosts ask for at the same time, out of a range of just as many: none is given
 * twice, and none is left. IPAM alone, without interfaces, and through an agent on each host.
 */
import t from "tap";
import { startAgent } from "./fixtures/agent.ts";
import { etcdLacks, makeEtcd } from "./fixtures/etcd.ts";
import { type FabricHost, makeFabric } from "./fixtures/fabric.ts";
import { skip } from "./fixtures/kernel.ts";
import { readStore } from "./fixtures/overlay-truth.ts";
import { BUILT_PLUGINS } from "./fixtures/project.ts";
import { refused } from "./fixtures/refusal.ts";

const TIMEOUT_MS = 240_000;
t.setTimeout(2 * TIMEOUT_MS);
const HOSTS = 5;
const PER_HOST = 100;
/** At the same time, on each host. */
const AT_A_TIME = 4;
const CONFIG = {
  cniVersion: "1.1.0",
  name: "big",
  type: "bridge",
  // 246 addresses, and 254
  ipam: {
    type: "etcd-ipam",
    ranges: [[{ subnet: "10.5.0.0/16", rangeStart: "10.5.0.10", rangeEnd: "10.5.1.253" }]],
  },
};
const lacks = await etcdLacks();

await t.test(`${HOSTS * PER_HOST} addresses at once`, { timeout: TIMEOUT_MS }, async (t) => {
  if (lacks) return skip(t, lacks);
  const fabric = await makeFabric(t, { hosts: HOSTS });
  const etcd = await makeEtcd(t, fabric);
  await Promise.all(fabric.hosts.map((at) => startAgent(at, etcd.endpoints)));
  const started = Date.now();
  const answers = (await Promise.all(fabric.hosts.map((at) => callAll(at, "ADD")))).flat();
  t.comment(`${HOSTS * PER_HOST} ADDs: ${Date.now() - started} ms`);
  const given = answers.flatMap(({ ips = [] }) => ips.map(({ address }) => address));
  t.equal(given.length, HOSTS * PER_HOST, "each has an answer");
  t.equal(new Set(given).size, given.length, "no address is given twice");
  const { addresses, holders } = await readStore(etcd);
  const wanted = given.map((address) => `big ${address.replace(/\/.*/, "")}`).sort();
  t.strictSame([...addresses.keys()].sort(), wanted, "the store has them, and no others");
  t.strictSame([...holders].sort(), [...addresses].sort(), "by their holders, too");
  const more = { command: "ADD", config: CONFIG, containerId: "more", netns: "/run/none", ifname: "eth0" };
  const full = await fabric.at(0).host.cni("etcd-ipam", more);
  refused(t, full, { msg: /10\.5\.0\.10-10\.5\.1\.253/, details: /|./ }, "there is not one more");
  await Promise.all(fabric.hosts.map((at) => callAll(at, "DEL")));
  const left = (await readStore(etcd)).keys.filter((key) => /^\/weft\/v1\/(addresses|holders)\//.test(key));
  t.strictSame(left, [], "all are given back");
});

interface Result {
  ips?: { address: string }[];
}

/** One shell calls for all containers of the host; a call that fails is a line that is no result. */
async function callAll({ host, name }: FabricHost, command: "ADD" | "DEL"): Promise<Result[]> {
  const answer = `CNI_CONTAINERID=${name}-$0 ${BUILT_PLUGINS}/etcd-ipam < /run/config | tr -d '\\n'`;
  const call = `printf '%s\\n' "$(${answer})"`; // in one write: others print at the same time
  const script = `printf %s "$CONFIG" > /run/config; seq ${PER_HOST} | xargs -P ${AT_A_TIME} -n 1 sh -c '${call.replaceAll("'", "'\\''")}'`;
  const env = {
    CONFIG: JSON.stringify(CONFIG),
    CNI_COMMAND: command,
    CNI_NETNS: "/run/netns/none",
    CNI_IFNAME: "eth0",
    CNI_PATH: BUILT_PLUGINS,
  };
  const { stdout } = await host.exec("sh", ["-c", script], { env, timeoutMs: TIMEOUT_MS });
  const lines = stdout.split("\n").filter(Boolean);
  return lines.map((line) => JSON.parse(line));
}
