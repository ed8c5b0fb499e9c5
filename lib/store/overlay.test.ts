/** Overlay networks in a real etcd: several hosts, one after the other and at once. */
import { afterAll, expect } from "bun:test";
import { CniError } from "../cni/error.ts";
import { EtcdClient } from "../etcd/client.ts";
import { parsePrefix, prefixesOverlap } from "../netaddr/prefix.ts";
import { removeRecord, writeRecord } from "../state/record.ts";
import { etcdTest, noEtcdReason, TestEtcd } from "../testing/etcd.ts";
import { noOwnRunReason } from "../testing/own-run.ts";
import { decodeValue, encodeValue, type NetworkValue, storeKeys, type VtepValue } from "./layout.ts";
import { machineId } from "./machine.ts";
import type { WantedNetwork } from "./networks.ts";
import {
  checkEndpoint,
  gcEndpoints,
  joinNetwork,
  leaveNetwork,
  probeNetwork,
  publishEndpoint,
  withdrawEndpoint,
} from "./overlay.ts";
import { forgetHost, sweepOverlay } from "./overlay-sweep.ts";
import { type Store, storeOf } from "./store.ts";

const etcd = noEtcdReason === undefined ? await TestEtcd.start() : undefined;
const clients: EtcdClient[] = [];
afterAll(async () => {
  for (const client of clients) client[Symbol.dispose]();
  await etcd?.[Symbol.asyncDispose]();
});

const LEASE_TTL_S = 60;
const BRIDGED: WantedNetwork = { vni: 7, mode: "bridged", port: 4789, family: 4, mtu: 0, mtuMax: 1450 };
const ROUTED: WantedNetwork = {
  ...BRIDGED,
  mode: "routed",
  subnets: [
    { subnet: "10.5.0.0/22", hostLength: 24 },
    { subnet: "fd00:5::/48", hostLength: 64 },
  ],
};
const VTEP: VtepValue = { address: "192.0.2.1" };

let prefixes = 0;
/** A store of its own as hosts of these names see it, each with a registered agent. */
async function newHosts(...names: string[]): Promise<Store[]> {
  const prefix = `/t${++prefixes}`;
  return Promise.all(names.map((host) => registered(host, prefix)));
}

async function registered(host: string, prefix: string): Promise<Store> {
  const settings = { endpoints: etcd?.endpoints ?? [], prefix, host };
  const client = new EtcdClient(settings);
  clients.push(client);
  const store = storeOf(client, settings, performance.now() + 60_000);
  const value = encodeValue({ machine: machineId(), bootId: "b" });
  await client.put(store.keys.host(host), value, { lease: await client.grantLease(LEASE_TTL_S) });
  return store;
}

/** Keys below the store's root, leases marked with a star. */
async function keysOf({ client, settings }: Store): Promise<string[]> {
  const root = `${settings.prefix}/v1/`;
  const { kvs } = await client.listAll(root);
  return kvs.map(({ key, lease }) => key.slice(root.length) + (lease === "0" ? "" : " *"));
}

const container = (containerId: string) => ({ network: "net", containerId, ifname: "eth0" });
const ENDPOINT = { mac: "02:42:0a:05:00:02", addresses: ["10.5.0.2"] };

async function attach(store: Store, containerId: string, wanted = BRIDGED): Promise<void> {
  const { network: settings } = await joinNetwork(store, { network: "net", wanted });
  const input = { ...container(containerId), settings, endpoint: ENDPOINT, vtep: VTEP };
  await publishEndpoint(store, input);
}

async function detach(store: Store, containerId: string): Promise<void> {
  await withdrawEndpoint(store, container(containerId));
  await leaveNetwork(store, { network: "net", leaving: { containerId, ifname: "eth0" } });
}

async function refusal(doing: Promise<unknown>): Promise<string> {
  const error = await doing.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  return error instanceof CniError ? `${error.code} ${error.msg}` : `no CniError: ${error}`;
}

etcdTest(
  "joinNetwork() makes a network and its VNI once, and publishEndpoint() a VTEP with a lease",
  async () => {
    const [a, b] = await newHosts("a", "b");
    for (const store of [a, b, a]) if (store) await attach(store, "c1");
    expect(await keysOf(a as Store)).toEqual([
      "networks/net",
      "overlay/endpoints/net/a/c1:eth0",
      "overlay/endpoints/net/b/c1:eth0",
      "overlay/hosts/a *",
      "overlay/hosts/b *",
      "overlay/vteps/net/a *",
      "overlay/vteps/net/b *",
      "vnis/7",
    ]);
  },
);

etcdTest(
  "joinNetwork() refuses a VNI of another network, other settings, another family, an MTU that cannot fit",
  async () => {
    const [a, b] = (await newHosts("a", "b")) as [Store, Store];
    await attach(a, "c1");
    const join = (changed: Partial<WantedNetwork>, network = "net") =>
      refusal(joinNetwork(b, { network, wanted: { ...BRIDGED, ...changed } }));
    expect(await join({}, "other")).toBe('7 VNI 7 is in use by network "net"');
    expect(await join({ vni: 8 })).toBe('7 network "net" has "vni": 7, not 8');
    expect(await join({ port: 8472 })).toBe('7 network "net" has "port": 4789, not 8472');
    expect(await join({ mtu: 1400 })).toBe('7 network "net" has "mtu": 1450, not 1400');
    expect(await join({ mtuMax: 1380 })).toBe(
      '7 network "net" has an MTU that cannot fit: 1450 bytes, and this host\'s underlay carries 1380',
    );
    expect(await join({ family: 6 })).toBe(
      '7 the hosts of network "net" reach each other by IPv4, and this host\'s underlay is IPv6',
    );
    expect(await join({ mode: "routed", subnets: ROUTED.subnets ?? [] })).toBe(
      '7 network "net" has "mode": "bridged", not "routed"',
    );
    expect(await refusal(probeNetwork(b, { network: "net", wanted: { ...BRIDGED, port: 1 } }))).toStartWith(
      "7 ",
    );
    const { network } = await joinNetwork(b, { network: "net", wanted: { ...BRIDGED, mtuMax: 8950 } });
    expect(network.mtu).toBe(1450);
  },
);

etcdTest("joinNetwork() takes the place of a network that nobody is in", async () => {
  const [a, b] = (await newHosts("a", "b")) as [Store, Store];
  await joinNetwork(a, { network: "net", wanted: BRIDGED });
  expect((await joinNetwork(b, { network: "other", wanted: BRIDGED })).network.vni).toBe(7);
  await joinNetwork(b, { network: "other", wanted: { ...BRIDGED, vni: 9 } });
  expect((await keysOf(a)).filter((key) => !key.startsWith("overlay/hosts"))).toEqual([
    "networks/other",
    "vnis/9",
  ]);
  // host a was between joining and publishing, and its network comes back
  const settings: NetworkValue = { vni: 7, mode: "bridged", port: 4789, family: 4, mtu: 1450 };
  await publishEndpoint(a, { ...container("c1"), settings, endpoint: ENDPOINT, vtep: VTEP });
  expect(await keysOf(a)).toContain("networks/net");
});

etcdTest("publishEndpoint() refuses where the agent is not registered", async () => {
  const [a] = (await newHosts("a")) as [Store];
  const { network: settings } = await joinNetwork(a, { network: "net", wanted: BRIDGED });
  await a.client.deleteKeys(a.keys.host("a"));
  const input = { ...container("c1"), settings, endpoint: ENDPOINT, vtep: VTEP };
  expect(await refusal(publishEndpoint(a, input))).toBe("11 the agent is not registered");
  expect(await refusal(probeNetwork(a, { network: "net", wanted: BRIDGED }))).toBe(
    "11 the agent is not registered",
  );
});

etcdTest(
  "joinNetwork() leases each host a subnet of each pool, the same again, and says when none is left",
  async () => {
    const hosts = await newHosts("a", "b", "c", "d", "e");
    const joined = await Promise.allSettled(
      hosts.flatMap((store) => [1, 2].map(() => joinNetwork(store, { network: "net", wanted: ROUTED }))),
    );
    const leased = joined.flatMap((outcome) =>
      outcome.status === "fulfilled" ? [outcome.value.subnets] : [],
    );
    expect(leased.length).toBe(8); // four subnets, for two joins each
    expect(leased.every((subnets) => subnets.length === 2)).toBe(true);
    expect(new Set(leased.map((subnets) => JSON.stringify(subnets))).size).toBe(4);
    const prefixes = [...new Set(leased.flat().map(({ subnet }) => subnet))].map(parsePrefix);
    const overlaps = prefixes.some((one, i) =>
      prefixes.some((two, j) => i !== j && prefixesOverlap(one, two)),
    );
    expect(overlaps).toBe(false);
    const refused = joined.flatMap((outcome) => (outcome.status === "rejected" ? [outcome.reason] : []));
    expect(new Set(refused.map(({ code, msg }) => `${code} ${msg}`))).toEqual(
      new Set(["11 no subnet of 10.5.0.0/22 is free for this host"]),
    );
  },
);

etcdTest("joinNetwork() leases again what containers use, unless another host has it by now", async () => {
  const [a, b] = (await newHosts("a", "b")) as [Store, Store];
  const wanted = { network: "net", wanted: ROUTED };
  const texts = ({ subnets }: Awaited<ReturnType<typeof joinNetwork>>) => subnets.map(({ subnet }) => subnet);
  const used = texts(await joinNetwork(a, wanted));
  await a.client.deleteKeys(a.keys.subnets("net"), { prefix: true });
  expect(texts(await joinNetwork(a, { ...wanted, used }))).toEqual(used);
  expect(await refusal(joinNetwork(b, { ...wanted, used }))).toBe(
    `11 ${used[0]}, which containers of this host use, was leased to a meanwhile`,
  );
});

etcdTest(
  "leaveNetwork() takes the network with its last host, and nothing where a record tells of a container",
  async () => {
    const [a, b] = (await newHosts("a", "b")) as [Store, Store];
    for (const store of [a, b]) await attach(store, "c1", ROUTED);
    await attach(a, "c2", ROUTED);
    const record = { ...container("c2"), plugin: "vxlan", netns: "", details: {} };
    writeRecord(record);
    await detach(a, "c1");
    expect(await keysOf(a)).toContain("overlay/vteps/net/a *");
    removeRecord(record);
    await detach(a, "c2");
    expect((await keysOf(a)).filter((key) => key.includes("/a"))).toEqual(["overlay/hosts/a *"]);
    expect((await keysOf(a)).filter((key) => key.startsWith("subnets/")).length).toBe(2);
    await detach(b, "c1");
    await detach(b, "c1");
    expect(await keysOf(a)).toEqual(["overlay/hosts/a *", "overlay/hosts/b *"]);
  },
  noOwnRunReason,
);

etcdTest(
  "joins and leaves of several hosts at once leave a network with all that is in it, or none",
  async () => {
    const hosts = await newHosts("a", "b", "c", "d");
    for (let round = 0; round < 5; round++) {
      for (const wanted of [BRIDGED, ROUTED]) {
        await Promise.all(
          hosts.map(async (store, i) => {
            await Bun.sleep(Math.random() * 5);
            await attach(store, "c1", wanted);
            if ((i + round) % 2 === 0) await detach(store, "c1");
          }),
        );
        const keys = await keysOf(hosts[0] as Store);
        expect(keys.filter((key) => key.startsWith("networks/") || key.startsWith("vnis/"))).toEqual([
          "networks/net",
          "vnis/7",
        ]);
        expect(keys.filter((key) => key.startsWith("overlay/vteps/")).length).toBe(2);
        await Promise.all(hosts.map((store) => detach(store, "c1")));
        const left = await keysOf(hosts[0] as Store);
        expect(left.filter((key) => !key.startsWith("overlay/hosts"))).toEqual([]);
      }
    }
  },
  noOwnRunReason,
);

etcdTest("checkEndpoint() says what the store lacks", async () => {
  const [a] = (await newHosts("a")) as [Store];
  const check = (endpoint = ENDPOINT) => refusal(checkEndpoint(a, { ...container("c1"), endpoint }));
  expect(await check()).toBe("100 container c1 is not in the store");
  await attach(a, "c1");
  await checkEndpoint(a, { ...container("c1"), endpoint: ENDPOINT });
  expect(await check({ ...ENDPOINT, addresses: ["10.5.0.3"] })).toBe(
    "100 the store has container c1 with 02:42:0a:05:00:02 10.5.0.2, not 02:42:0a:05:00:02 10.5.0.3",
  );
  await a.client.deleteKeys(a.keys.vtep("net", "a"));
  expect(await check()).toBe('100 the other hosts of network "net" do not know this one');
});

etcdTest("gcEndpoints() removes this host's containers that are not valid, and no other's", async () => {
  const [a, b] = (await newHosts("a", "b")) as [Store, Store];
  for (const id of ["c1", "c2", "c3"]) await attach(a, id);
  await attach(b, "c1");
  await gcEndpoints(a, { network: "net", valid: [{ containerId: "c2", ifname: "eth0" }] });
  expect((await keysOf(a)).filter((key) => key.includes("endpoints"))).toEqual([
    "overlay/endpoints/net/a/c2:eth0",
    "overlay/endpoints/net/b/c1:eth0",
  ]);
});

etcdTest(
  "sweepOverlay() removes what no record tells of, and leaves, unless the name is another machine's",
  async () => {
    const [a, b] = (await newHosts("a", "b")) as [Store, Store];
    for (const store of [a, b]) for (const id of ["c1", "c2"]) await attach(store, id);
    const record = { ...container("c2"), plugin: "vxlan", netns: "", details: {} };
    writeRecord(record);
    expect(await sweepOverlay(a)).toBe(1);
    expect(await sweepOverlay(a)).toBe(0);
    const ofA = async () => (await keysOf(a)).filter((key) => key.includes("/a"));
    expect(await ofA()).toEqual([
      "overlay/endpoints/net/a/c2:eth0",
      "overlay/hosts/a *",
      "overlay/vteps/net/a *",
    ]);
    removeRecord(record);
    await b.client.put(b.keys.host("b"), encodeValue({ machine: "another", bootId: "b" }));
    const before = await keysOf(b);
    const [network, taken] = ["net", '7 host "b" is another machine, whose agent lives'];
    const { network: settings } = await joinNetwork(a, { network, wanted: BRIDGED });
    for (const work of [
      () => sweepOverlay(b),
      () => joinNetwork(b, { network, wanted: BRIDGED }),
      () => publishEndpoint(b, { ...container("c3"), settings, endpoint: ENDPOINT, vtep: VTEP }),
      () => gcEndpoints(b, { network, valid: [] }),
      () => leaveNetwork(b, { network }),
      () => probeNetwork(b, { network, wanted: BRIDGED }),
    ]) {
      expect(await refusal(work())).toBe(taken);
    }
    expect(await keysOf(b)).toEqual(before);
    expect(await sweepOverlay(a)).toBe(1);
    expect(await ofA()).toEqual(["overlay/hosts/a *"]);
    expect(await keysOf(b)).toContain("overlay/endpoints/net/b/c2:eth0");
  },
  noOwnRunReason,
);

etcdTest("forgetHost() removes all that a dead host has, and nothing of one that lives", async () => {
  const [a, b] = (await newHosts("a", "b")) as [Store, Store];
  for (let i = 0; i < 120; i++) await attach(b, `c${i}`, ROUTED);
  await attach(a, "c1", ROUTED);
  const value = { host: "b", containerId: "c1", ifname: "eth0", attempt: "1", machine: "m" };
  const held = a.keys.holders("b", "net", "c1:eth0");
  for (const address of ["10.5.0.2", "fd00::2"]) {
    const text = encodeValue(value);
    etcd?.ctl("put", a.keys.address("net", address), text);
    etcd?.ctl("put", held + address, text);
  }
  expect(await refusal(forgetHost(a, { host: "b" }))).toBe('11 host "b" has a registered agent');
  await a.client.deleteKeys(a.keys.host("b"));
  const forgotten = await forgetHost(a, { host: "b" });
  expect(forgotten).toEqual({ addresses: 2, keys: 123, networks: ["net"] });
  const left = await keysOf(a);
  expect(left.filter((key) => key.includes("/b"))).toEqual([]);
  expect(left.filter((key) => key.startsWith("subnets/")).length).toBe(2);
  expect(left).toContain("networks/net");
  expect(await forgetHost(a, { host: "b" })).toEqual({ addresses: 0, keys: 0, networks: [] });
  expect((await forgetHost(b, { host: "a", force: true })).networks).toEqual(["net"]);
  expect((await keysOf(a)).filter((key) => !key.startsWith("addresses/"))).toEqual([]);
});

etcdTest("a network in a form of another version is refused by name", async () => {
  const [a] = (await newHosts("a")) as [Store];
  await a.client.put(a.keys.network("net"), '{"v":2}');
  expect(decodeValue('{"v":2}')).toBeUndefined();
  expect(storeKeys("/x").networks).toBe("/x/v1/networks/");
  expect(await refusal(joinNetwork(a, { network: "net", wanted: BRIDGED }))).toBe(
    '7 network "net" is in the store in a form that is not version 1',
  );
});

etcdTest("a user with rights to the prefix alone can do all of it, and one without is denied", async () => {
  await using own = await TestEtcd.start();
  const prefix = `/t${++prefixes}`;
  for (const command of [
    "role add weft",
    `role grant-permission weft --prefix=true readwrite ${prefix}/`,
    "user add weft:secret",
    "user grant-role weft weft",
    "user add nobody:secret",
    "user add root:root",
    "user grant-role root root",
    "auth enable",
  ]) {
    own.ctl(...command.split(" "));
  }
  const storeFor = (user: string) => {
    const settings = own.settings({ prefix, user, password: "secret" });
    const client = new EtcdClient(settings);
    clients.push(client);
    return storeOf(client, settings, performance.now() + 60_000);
  };
  const store = storeFor("weft");
  const value = encodeValue({ machine: machineId(), bootId: "b" });
  const lease = await store.client.grantLease(LEASE_TTL_S);
  await store.client.put(store.keys.host("h1"), value, { lease });
  await attach(store, "c1", ROUTED);
  expect(await store.client.keepAlive(lease)).toBe(LEASE_TTL_S);
  await checkEndpoint(store, { ...container("c1"), endpoint: ENDPOINT });
  await store.client.revokeLease(lease);
  expect((await forgetHost(store, { host: "h1" })).networks).toEqual(["net"]);
  const refused = joinNetwork(storeFor("nobody"), { network: "net", wanted: BRIDGED });
  expect(await refused.catch((error) => error.kind)).toBe("denied");
});
