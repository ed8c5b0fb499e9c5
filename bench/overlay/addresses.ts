/** Addresses of one range, given out on several hosts by etcd-ipam: no two may be the same. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { FabricHost } from "../../conformance/fixtures/fabric.ts";
import type { AddressFigures } from "./figures.ts";
import { Site } from "./hosts.ts";

const HOSTS = 5;
const ADDRESSES_OF_HOST = 100;
const AT_A_TIME = 10;
const CONFIG = "/run/config.json";
const ANSWERS = "/run/answers";

/** ADD of `$1` addresses, `$2` at a time, by the plugin `$3`; containers are called `$4` and a number. */
const SCRIPT = `
rm -f ${ANSWERS}; : > ${ANSWERS}
seq "$1" | CNI_COMMAND=ADD CNI_NETNS=/run/netns/none CNI_IFNAME=eth0 CNI_PATH="$(dirname "$3")" \\
  xargs -P "$2" -I{} sh -c 'CNI_CONTAINERID=$0{} "$1" < ${CONFIG} | tr -d "\\n" | sed "s/$/\\n/" >> ${ANSWERS}' "$4" "$3"
`;

export async function measureAddresses(dir: string): Promise<AddressFigures[]> {
  await using site = await Site.open(HOSTS, dir);
  await site.startStore();
  const inTurn = { network: "in-turn", isInTurn: true, atATime: 1 };
  const atOnce = { network: "at-once", isInTurn: false, atATime: AT_A_TIME };
  const crowd = `${HOSTS} hosts at once, ${AT_A_TIME} at a time on each`;
  const alone = [
    { name: "one after the other, without an agent", ...(await measureOne(site, inTurn)) },
    { name: `${crowd}, without an agent`, ...(await measureOne(site, atOnce)) },
  ];
  await site.startAgents();
  return [
    ...alone,
    { name: "one after the other", ...(await measureOne(site, { ...inTurn, network: "in-turn-2" })) },
    { name: crowd, ...(await measureOne(site, { ...atOnce, network: "at-once-2" })) },
  ];
}

interface Order {
  readonly network: string;
  /** One host after the other. */
  readonly isInTurn: boolean;
  readonly atATime: number;
}

async function measureOne(
  site: Site,
  { network, isInTurn, atATime }: Order,
): Promise<Omit<AddressFigures, "name">> {
  const { hosts } = site.fabric;
  const ipam = { type: "etcd-ipam", etcd: {}, ranges: [[{ subnet: "10.50.0.0/22" }]] };
  const config = JSON.stringify({ cniVersion: "1.1.0", name: network, type: "etcd-ipam", ipam });
  for (const { host } of hosts) writeFileSync(host.view(CONFIG), config);
  const words = [`${ADDRESSES_OF_HOST}`, `${atATime}`, join(site.dir, "etcd-ipam")];
  const fillHost = ({ host, name }: FabricHost) => host.exec("sh", ["-c", SCRIPT, "sh", ...words, name]);
  const begin = performance.now();
  if (isInTurn) for (const at of hosts) await fillHost(at);
  else await Promise.all(hosts.map(fillHost));
  const seconds = (performance.now() - begin) / 1e3;
  const given = hosts.flatMap(({ host }) => addressesOf(readFileSync(host.view(ANSWERS), "utf8")));
  return { hosts: hosts.length, addresses: given.length, different: new Set(given).size, seconds };
}

function addressesOf(answers: string): string[] {
  return answers
    .trim()
    .split("\n")
    .map((line) => {
      const [ip] = JSON.parse(line).ips ?? [];
      if (ip === undefined) throw new Error(`ADD of etcd-ipam: ${line}`);
      return ip.address;
    });
}
