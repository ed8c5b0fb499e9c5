import { afterAll, describe, expect } from "bun:test";
import { CniError } from "../cni/error.ts";
import { EtcdClient } from "../etcd/client.ts";
import { removeRecord, writeRecord } from "../state/record.ts";
import { etcdTest, noEtcdReason, TestEtcd } from "../testing/etcd.ts";
import { noOwnRunReason } from "../testing/own-run.ts";
import {
  type ClaimInput,
  claimAddresses,
  findFullSet,
  readHolders,
  releaseAddresses,
  releaseStaleAddresses,
} from "./addresses.ts";
import { type AddressValue, decodeValue, encodeValue, storeKeys } from "./layout.ts";
import { type Store, storeOf } from "./store.ts";
import { sweep } from "./sweep.ts";
import { forgetSwept, isSweepDue } from "./swept.ts";

const etcd = (noEtcdReason ?? noOwnRunReason) ? undefined : await TestEtcd.start();
const test = (name: string, body: () => Promise<void>) => etcdTest(name, body, noOwnRunReason);

const clients: EtcdClient[] = [];
afterAll(async () => {
  for (const client of clients) client[Symbol.dispose]();
  await etcd?.[Symbol.asyncDispose]();
});

const FAILED = "failed to allocate for range 0:";
const V4 = { subnet: "10.1.0.0/24" };
const V6 = { subnet: "fd00:1::/64" };
/** .2 to .5 */
const FOUR = { subnet: "10.1.0.0/24", rangeStart: "10.1.0.1", rangeEnd: "10.1.0.5" };

let prefixes = 0;
/** A store of its own, as one host sees it. */
function newStore(host = "a", prefix = `/t${++prefixes}`): Store {
  const settings = { endpoints: etcd?.endpoints ?? [], prefix, host };
  const client = new EtcdClient(settings);
  clients.push(client);
  return storeOf(client, settings, performance.now() + 30_000);
}

function otherHost(store: Store, host: string): Store {
  return newStore(host, store.settings.prefix);
}

let attempts = 0;
function asked(ranges: readonly object[], more: Partial<ClaimInput> = {}): ClaimInput {
  return {
    network: "net",
    containerId: "c1",
    ifname: "eth0",
    sets: ranges.map((range) => [range]) as ClaimInput["sets"],
    requested: [],
    attempt: String(++attempts),
    isRepeated: false,
    ...more,
  };
}

const holder = (containerId: string) => ({ network: "net", containerId, ifname: "eth0" });

async function one(store: Store, range: object, more: Partial<ClaimInput> = {}): Promise<string> {
  const { addresses } = await claimAddresses(store, asked([range], more));
  return addresses.join(" ");
}

/** "address=host/container" of each claim, after a look whether both halves say the same. */
async function claims({ client, settings }: Store): Promise<string[]> {
  const keys = storeKeys(settings.prefix);
  const held = await client.listAll(keys.addresses("net"));
  const holders = await client.listAll(`${settings.prefix}/v1/holders/`);
  const byAddress = held.kvs.map(({ key, value }) => {
    const { host, containerId, ifname } = decodeValue<AddressValue>(value) as AddressValue;
    return `${host}/net/${containerId}:${ifname}/${key.slice(keys.addresses("net").length)}`;
  });
  const byHolder = holders.kvs.map(({ key }) => key.slice(`${settings.prefix}/v1/holders/`.length));
  expect(byHolder.toSorted()).toEqual(byAddress.toSorted());
  return byHolder.toSorted();
}

async function refusalOf(work: Promise<unknown>): Promise<CniError> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof CniError)) throw new Error("not refused", { cause: error });
  return error;
}

describe("claimAddresses()", () => {
  test("claimAddresses() claims one of each set, under its address and under its holder", async () => {
    const store = newStore();
    const { addresses } = await claimAddresses(store, asked([V4, V6]));
    expect(addresses[0]).toMatch(/^10\.1\.0\.\d+$/);
    expect(addresses[1]).toStartWith("fd00:1:");
    expect(await claims(store)).toEqual(addresses.map((address) => `a/net/c1:eth0/${address}`).toSorted());
  });

  test("claimAddresses() gives many who come at once each another, until none is left", async () => {
    const store = newStore();
    const range = { subnet: "10.1.0.0/24", rangeEnd: "10.1.0.61" }; // .2 to .61
    const hosts = [store, ...["b", "c", "d"].map((host) => otherHost(store, host))];
    const work = Array.from({ length: 60 }, (_, n) =>
      one(hosts[n % 4] as Store, range, { containerId: `c${n}` }),
    );
    const given = await Promise.all(work);
    expect(new Set(given).size).toBe(60);
    expect(await claims(store)).toHaveLength(60);
    const full = await refusalOf(one(store, range, { containerId: "late" }));
    expect(full).toMatchObject({
      code: 11,
      msg: `${FAILED} no IP addresses available in range set: 10.1.0.1-10.1.0.61`,
    });
    expect(await claims(store)).toHaveLength(60);
  });

  test("claimAddresses() of more than there are gives each that there is, and refuses the rest", async () => {
    const store = newStore();
    const work = Array.from({ length: 9 }, (_, n) => one(store, FOUR, { containerId: `c${n}` }));
    const outcomes = await Promise.allSettled(work);
    const given = outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value] : []));
    expect(given.toSorted()).toEqual(["10.1.0.2", "10.1.0.3", "10.1.0.4", "10.1.0.5"]);
    expect(await claims(store)).toHaveLength(4);
  });

  test("claimAddresses() gives the address asked for, and says who has it when it is taken", async () => {
    const store = newStore();
    expect(await one(store, V4, { requested: ["10.1.0.77"] })).toBe("10.1.0.77");
    const b = otherHost(store, "b");
    const input = { containerId: "c2", requested: ["10.1.0.77"] };
    expect(await refusalOf(one(b, V4, input))).toMatchObject({
      code: 11,
      msg: `${FAILED} requested IP address 10.1.0.77 is not available in range set 10.1.0.1-10.1.0.254`,
      details: "it is leased to c1 eth0 of host a",
    });
  });

  test("claimAddresses() that cannot have all has none", async () => {
    const store = newStore();
    await one(store, V6, { requested: ["fd00:1::5"] });
    const work = claimAddresses(
      store,
      asked([V4, V6], { containerId: "c2", requested: [null, "fd00:1::5"] }),
    );
    expect((await refusalOf(work)).msg).toStartWith("failed to allocate for range 1:");
    expect(await claims(store)).toEqual(["a/net/c1:eth0/fd00:1::5"]);
  });

  for (const isRepeated of [false, true]) {
    test(`claimAddresses() asked twice by one attempt releases the first's (${isRepeated})`, async () => {
      const store = newStore();
      const input = asked([V4, V6], { isRepeated });
      await claimAddresses(store, input);
      const { addresses } = await claimAddresses(store, input);
      expect(await claims(store)).toEqual(addresses.map((each) => `a/net/c1:eth0/${each}`).toSorted());
    });
  }

  test("claimAddresses() held up, and asked again meanwhile, takes nothing from the second", async () => {
    const store = newStore();
    for (const containerId of ["x1", "x2", "x3"]) await one(store, FOUR, { containerId });
    const slow = otherHost(store, "a");
    const input = asked([FOUR]);
    const [held, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const txn = slow.client.txn.bind(slow.client);
    slow.client.txn = async (...args) => {
      held.resolve();
      await released.promise;
      return txn(...args);
    };
    const first = refusalOf(claimAddresses(slow, input));
    await held.promise;
    const address = await one(store, FOUR, { attempt: input.attempt });
    released.resolve();
    expect((await first).msg).toContain("no IP addresses available");
    expect(await claims(store)).toContain(`a/net/c1:eth0/${address}`);
  });

  test("claimAddresses() finds that a transaction whose answer was lost succeeded", async () => {
    const store = newStore();
    const input = asked([V4], { requested: ["10.1.0.9"] });
    const { client } = store;
    const txn = client.txn.bind(client);
    client.txn = async (...args) => {
      await txn(...args);
      return txn(...args);
    };
    expect(await claimAddresses(store, input)).toEqual({ addresses: ["10.1.0.9"] });
  });

  test("claimAddresses() for an attachment that may have one refuses it another, of that set", async () => {
    const store = newStore();
    const address = await one(store, V4);
    const error = await refusalOf(one(store, V4, { isRepeated: true }));
    expect(error.code).toBe(4);
    expect(error.msg).toBe(
      `${FAILED} ${address} has been allocated to c1, duplicate allocation is not allowed`,
    );
    expect(error.details).toContain("run DEL first");
    await claimAddresses(store, asked([V6], { isRepeated: true }));
    expect(await claims(store)).toHaveLength(2);
  });

  test("claimAddresses() for an attachment of which nothing was known releases what it left", async () => {
    const store = newStore();
    await one(store, V4, { requested: ["10.1.0.7"] });
    await one(store, V4, { requested: ["10.1.0.8"] });
    expect(await claims(store)).toEqual(["a/net/c1:eth0/10.1.0.8"]);
  });

  test("claimAddresses() takes a claim that it cannot read for one", async () => {
    const store = newStore();
    await store.client.put(store.keys.address("net", "10.1.0.9"), "{}");
    expect((await refusalOf(one(store, V4, { requested: ["10.1.0.9"] }))).code).toBe(11);
  });
});

describe("releaseAddresses()", () => {
  test("releaseAddresses() releases what the attachment has on this host, or one attempt got", async () => {
    const store = newStore();
    const b = otherHost(store, "b");
    await claimAddresses(store, asked([V4, V6]));
    await one(store, V4, { containerId: "c1x" });
    await one(store, V4, { ifname: "eth01" });
    await one(b, V4);
    for (let time = 0; time < 2; time++) await releaseAddresses(store, holder("c1"));
    const rest = (await claims(store)).map((claim) => claim.slice(0, claim.lastIndexOf("/")));
    expect(rest).toEqual(["a/net/c1:eth01", "a/net/c1x:eth0", "b/net/c1:eth0"]);
    await releaseAddresses(b, { ...holder("c1"), attempt: "another" });
    expect(await claims(store)).toHaveLength(3);
    await releaseAddresses(b, { ...holder("c1"), attempt: String(attempts) });
    expect(await claims(store)).toHaveLength(2);
  });

  test("releaseAddresses() leaves an address that somebody gave to another by hand", async () => {
    const store = newStore();
    const address = await one(store, V4);
    const key = store.keys.address("net", address);
    await store.client.put(
      key,
      encodeValue({ host: "x", containerId: "y", ifname: "z", attempt: "", machine: "" }),
    );
    await releaseAddresses(store, holder("c1"));
    expect((await store.client.range(key)).count).toBe(1);
    expect((await store.client.range(store.keys.holders("a"), { prefix: true })).count).toBe(0);
  });
});

test("releaseStaleAddresses() releases this host's of this network that are not valid", async () => {
  const store = newStore();
  const b = otherHost(store, "b");
  for (const containerId of ["c1", "c2", "c3"]) await one(store, V4, { containerId });
  await one(b, V4, { containerId: "c4" });
  await releaseStaleAddresses(store, { network: "net", valid: [{ containerID: "c2", ifname: "eth0" }] });
  const rest = (await claims(store)).map((claim) => claim.slice(0, claim.lastIndexOf("/")));
  expect(rest).toEqual(["a/net/c2:eth0", "b/net/c4:eth0"]);
});

test("readHolders() tells what the attachment has, and who has an address", async () => {
  const store = newStore();
  const address = await one(store, V4);
  const input = { ...holder("c1"), addresses: [address, "10.1.0.99"] };
  const { held, holders } = await readHolders(otherHost(store, "b"), input);
  expect(held).toEqual([]);
  expect(holders).toMatchObject([{ host: "a", containerId: "c1", ifname: "eth0" }, null]);
  expect((await readHolders(store, input)).held).toEqual([address]);
});

test("findFullSet() names the first set that has no free address", async () => {
  const store = newStore();
  const sets = [[V6], [FOUR]] as ClaimInput["sets"];
  const full = () => findFullSet(store, { network: "net", sets });
  expect(await full()).toEqual({ index: null });
  for (const containerId of ["c1", "c2", "c3", "c4"]) {
    expect(await full()).toEqual({ index: null });
    await one(store, FOUR, { containerId });
  }
  expect(await full()).toEqual({ index: 1 });
  await releaseAddresses(store, holder("c3"));
  expect(await full()).toEqual({ index: null });
});

test("what another machine of this name claimed is nobody's here, whatever its container is called", async () => {
  const store = newStore();
  const held = [
    store.keys.address("net", "10.1.0.2"),
    `${store.keys.holders("a", "net", "c1:eth0")}10.1.0.2`,
  ];
  const value = { host: "a", containerId: "c1", ifname: "eth0", attempt: "", machine: "another" };
  for (const key of held) await store.client.put(key, encodeValue(value));
  expect(await one(store, FOUR, { requested: ["10.1.0.3"] })).toBe("10.1.0.3");
  await releaseStaleAddresses(store, { network: "net", valid: [] });
  await releaseAddresses(store, holder("c1"));
  expect(await claims(store)).toEqual(["a/net/c1:eth0/10.1.0.2"]);
});

describe("sweep()", () => {
  const record = { ...holder("c1"), plugin: "etcd-ipam", netns: "", details: {} };

  test("sweep() releases claims of this host and machine without a record, and no others", async () => {
    const store = newStore();
    const b = otherHost(store, "b");
    for (const containerId of ["c1", "c2"]) await one(store, V4, { containerId });
    await one(b, V4, { containerId: "c3" });
    await one(store, V4, { containerId: "c4", requested: ["10.1.0.200"] });
    const key = store.keys.address("net", "10.1.0.200");
    const value = encodeValue({
      host: "a",
      containerId: "c4",
      ifname: "eth0",
      attempt: "",
      machine: "other",
    });
    for (const each of [key, `${store.keys.holders("a", "net", "c4:eth0")}10.1.0.200`]) {
      await store.client.put(each, value);
    }
    writeRecord({ ...record, plugin: "bridge" }); // of any plugin
    expect(await sweep(store)).toBe(1);
    const rest = (await claims(store)).map((claim) => claim.slice(0, claim.lastIndexOf("/")));
    expect(rest).toEqual(["a/net/c1:eth0", "a/net/c4:eth0", "b/net/c3:eth0"]);
    removeRecord({ ...record, plugin: "bridge" });
    expect(await sweep(store)).toBe(1);
  });

  test("claimAddresses() and releaseAddresses() sweep once, and again when that is due", async () => {
    const store = newStore();
    await one(store, FOUR, { containerId: "left" });
    expect(isSweepDue(store.settings)).toBe(false);
    await one(store, FOUR, { containerId: "c2" });
    expect(await claims(store)).toHaveLength(2);
    forgetSwept(store.settings);
    await Promise.all([1, 2, 3].map((n) => one(store, V6, { containerId: `v${n}` })));
    expect((await claims(store)).filter((claim) => !claim.includes("/v"))).toEqual([]);
    forgetSwept(store.settings);
    await releaseAddresses(store, holder("nobody"));
    expect(await claims(store)).toEqual([]);
  });
});
