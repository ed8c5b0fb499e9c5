/**
 * Writes what so many hosts would have written: a program of its own, because etcd is in another namespace.
 *
 *     bun fill-store.ts ENDPOINT NETWORK HOSTS ENDPOINTS-OF-A-HOST
 *     bun fill-store.ts ENDPOINT NETWORK single COUNT PAUSE-MS
 *
 * The first prints when it began and ended, the second when each endpoint was sent: milliseconds since 1970.
 * By etcd's JSON gateway, and by no code of what is measured.
 */
import { storeKeys } from "../../lib/store/layout.ts";

/** What etcd takes in one transaction unless told otherwise. */
const OPERATIONS_MAX = 128;

type Pair = readonly [key: string, value: object];

const [endpoint = "", network = "", ...words] = process.argv.slice(2);
const keys = storeKeys("/weft");
if (words[0] === "single") await writeSingly(Number(words[1]), Number(words[2]));
else await writeAll(Number(words[0]), Number(words[1]));

async function writeAll(hosts: number, endpointsOfHost: number): Promise<void> {
  const pairs = Array.from({ length: hosts }, (_, host) => pairsOf(host, endpointsOfHost)).flat();
  const beginMs = now();
  for (let i = 0; i < pairs.length; i += OPERATIONS_MAX) await put(pairs.slice(i, i + OPERATIONS_MAX));
  console.log(JSON.stringify({ beginMs, endMs: now() }));
}

/** Endpoints of 10.200.0.0/16, one after the other, of the first of the simulated hosts. */
async function writeSingly(count: number, pauseMs: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const address = `10.200.1.${i + 1}`;
    const pair = endpointPair("sim0", `single${i}`, [10, 200, 1, i + 1]);
    console.log(JSON.stringify({ address, sentMs: now() }));
    await put([pair]);
    await Bun.sleep(pauseMs);
  }
}

function pairsOf(host: number, endpoints: number): Pair[] {
  const name = `sim${host}`;
  const address = `198.18.${(host + 1) >> 8}.${(host + 1) & 255}`; // RFC 2544
  return [
    [keys.host(name), { machine: name, bootId: name }],
    [keys.vtep(network, name), { address }],
    ...Array.from({ length: endpoints }, (_, i) => {
      const n = host * endpoints + i;
      return endpointPair(name, `c${n}`, [10, 100 + (n >> 16), (n >> 8) & 255, n & 255]);
    }),
  ];
}

function endpointPair(host: string, container: string, bytes: readonly number[]): Pair {
  const mac = `02:42:${bytes.map((byte) => byte.toString(16).padStart(2, "0")).join(":")}`;
  return [keys.endpoint(network, host, `${container}:eth0`), { mac, addresses: [bytes.join(".")] }];
}

/** In one transaction. */
async function put(pairs: readonly Pair[]): Promise<void> {
  const success = pairs.map(([key, value]) => ({
    requestPut: { key: btoa(key), value: btoa(JSON.stringify({ v: 1, ...value })) },
  }));
  const body = JSON.stringify({ success });
  const response = await fetch(`${endpoint}/v3/kv/txn`, { method: "POST", body });
  if (!response.ok) throw new Error(`etcd: ${response.status} ${await response.text()}`);
}

function now(): number {
  return performance.timeOrigin + performance.now();
}
