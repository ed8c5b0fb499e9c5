import { afterAll, describe, expect } from "bun:test";
import { readdirSync, rmSync, writeFileSync } from "node:fs";
import { CniError } from "../../lib/cni/error.ts";
import { callPlugin } from "../../lib/cni/plugin.ts";
import { EtcdClient } from "../../lib/etcd/client.ts";
import { isSweepDue } from "../../lib/store/swept.ts";
import { useTestChild } from "../../lib/testing/ask-store.ts";
import { etcdTest, noEtcdReason, TestEtcd } from "../../lib/testing/etcd.ts";
import { noOwnRunReason } from "../../lib/testing/own-run.ts";
import { input } from "../../lib/testing/probe.ts";
import etcdIpam from "./main.ts";

useTestChild();
const etcd = (noEtcdReason ?? noOwnRunReason) ? undefined : await TestEtcd.start();
afterAll(() => etcd?.[Symbol.asyncDispose]());
const test = (name: string, body: () => void | Promise<void>) =>
  etcdTest(name, async () => body(), noOwnRunReason);

const RANGE = { ranges: [[{ subnet: "10.1.2.0/24" }]] };
const DUAL = { ranges: [[{ subnet: "10.1.2.0/24" }], [{ subnet: "fd00:1::/64" }]] };
/** .2 and .3 */
const TWO = { ranges: [[{ subnet: "10.1.2.0/24", rangeEnd: "10.1.2.3" }]] };
/** Nobody listens there. */
const AWAY = "http://127.0.0.1:9";
const FAILED = "failed to allocate for range 0:";

interface Options {
  ipam?: object | null;
  etcd?: unknown;
  keys?: object;
  id?: string;
  ifname?: string;
  args?: string;
}

let prefixes = 0;

/** A cluster, with a prefix of its own, of which this is host "a" unless a call says otherwise. */
class Cluster {
  readonly keys = { endpoints: etcd?.endpoints ?? [], prefix: `/p${++prefixes}`, host: "a" };
  readonly name = `net${prefixes}`;

  call(command: string, options: Options = {}): string {
    const { ipam = RANGE, keys = {}, id = "c1", ifname = "eth0", args = "" } = options;
    const config: Record<string, unknown> = {
      name: this.name,
      type: "etcd-ipam",
      ipam: ipam && { type: "etcd-ipam", etcd: "etcd" in options ? options.etcd : this.keys, ...ipam },
      ...keys,
    };
    const variables = { CNI_CONTAINERID: id, CNI_IFNAME: ifname, CNI_ARGS: args };
    return callPlugin(etcdIpam, input(command, config, variables));
  }

  add(options: Options = {}): string {
    const { ips } = JSON.parse(this.call("ADD", options)) as { ips: { address: string }[] };
    return ips.map(({ address }) => address).join(" ");
  }

  /** "host/containerId:ifname/address" of each claim. */
  async claims(): Promise<string[]> {
    using client = new EtcdClient(this.keys);
    const { kvs } = await client.listAll(`${this.keys.prefix}/v1/holders/`);
    const { kvs: addresses } = await client.listAll(`${this.keys.prefix}/v1/addresses/`, { keysOnly: true });
    expect(addresses).toHaveLength(kvs.length);
    return kvs.map(({ key }) => key.split("/holders/")[1]?.replace(`/${this.name}/`, "/") ?? "").toSorted();
  }

  records(): string[] {
    try {
      return readdirSync(`/run/weft/attachments/${this.name}`).toSorted();
    } catch {
      return [];
    }
  }

  isSwept(): boolean {
    return !isSweepDue(this.keys);
  }
}

function refusal(act: () => unknown): { code: number; msg: string; details: string } {
  try {
    act();
  } catch (error) {
    if (error instanceof CniError) return { code: error.code, msg: error.msg, details: error.details };
    throw error;
  }
  throw new Error("not refused");
}

describe("ADD", () => {
  test("ADD answers with an address of each set, its gateway, routes and DNS settings", async () => {
    const cluster = new Cluster();
    writeFileSync("/run/resolv.conf", "nameserver 192.0.2.1\n");
    const routes = [{ dst: "0.0.0.0/0" }];
    const result = JSON.parse(
      cluster.call("ADD", { ipam: { ...DUAL, routes, resolvConf: "/run/resolv.conf" } }),
    );
    expect(result).toEqual({
      cniVersion: "1.1.0",
      ips: [
        { address: expect.stringMatching(/^10\.1\.2\.\d+\/24$/), gateway: "10.1.2.1" },
        { address: expect.stringMatching(/^fd00:1:.*\/64$/), gateway: "fd00:1::1" },
      ],
      routes,
      dns: { nameservers: ["192.0.2.1"] },
    });
    expect(await cluster.claims()).toEqual(
      result.ips.map(({ address }: { address: string }) => `a/c1:eth0/${address.split("/")[0]}`),
    );
    expect(cluster.records()).toEqual(["c1:eth0:etcd-ipam"]);
  });

  test("ADD takes addresses asked for: CNI_ARGS, convention, capability", () => {
    const cluster = new Cluster();
    expect(cluster.add({ id: "1", args: "IP=10.1.2.9" })).toBe("10.1.2.9/24");
    expect(cluster.add({ id: "2", keys: { args: { cni: { ips: ["10.1.2.10/24"] } } } })).toBe("10.1.2.10/24");
    const keys = { runtimeConfig: { ips: ["fd00:1::9"], ipRanges: [[{ subnet: "fd00:1::/64" }]] } };
    expect(cluster.add({ id: "3", keys, ipam: { ranges: [] } })).toBe("fd00:1::9/64");
  });

  const refused: readonly [Options, object][] = [
    [{ args: "IP=10.1.2.1" }, { code: 7, msg: `${FAILED} requested ip 10.1.2.1 is subnet's gateway` }],
    [{ args: "IP=10.9.9.9" }, { code: 7, msg: "failed to allocate all requested IPs: 10.9.9.9" }],
    [{ args: "IP=x" }, { code: 7, msg: "invalid IP address x" }],
    [{ ipam: { ranges: [] } }, { code: 7, msg: "no IP ranges specified" }],
    [{ ipam: null }, { code: 7, msg: "IPAM config missing 'ipam' key" }],
    [{ etcd: { endpoints: ["ftp://x"] } }, { code: 7 }],
    [{ etcd: {} }, { code: 7 }],
  ];
  for (const [options, expected] of refused) {
    test(`ADD refuses ${JSON.stringify(options)} before it asks the store`, () => {
      const cluster = new Cluster();
      expect(refusal(() => cluster.add(options))).toMatchObject(expected);
      expect(cluster.records()).toEqual([]);
    });
  }

  test("ADD of an address that another host has given out names who has it", () => {
    const cluster = new Cluster();
    cluster.add({ etcd: { ...cluster.keys, host: "b" }, args: "IP=10.1.2.9" });
    expect(refusal(() => cluster.add({ args: "IP=10.1.2.9", id: "c2" }))).toEqual({
      code: 11,
      msg: `${FAILED} requested IP address 10.1.2.9 is not available in range set 10.1.2.1-10.1.2.254`,
      details: "it is leased to c1 eth0 of host b",
    });
  });

  test("ADD with no free address is to be tried again, and leaves nothing", async () => {
    const cluster = new Cluster();
    for (const id of ["c1", "c2"]) cluster.add({ ipam: TWO, id });
    expect(refusal(() => cluster.add({ ipam: TWO, id: "c3" }))).toMatchObject({
      code: 11,
      msg: `${FAILED} no IP addresses available in range set: 10.1.2.1-10.1.2.3`,
    });
    expect(await cluster.claims()).toHaveLength(2);
    expect(cluster.records()).toEqual(["c1:eth0:etcd-ipam", "c2:eth0:etcd-ipam"]);
  });

  test("ADD again is refused, and the first one's addresses and record stay", async () => {
    const cluster = new Cluster();
    const [address] = cluster.add().split("/");
    expect(refusal(() => cluster.add())).toMatchObject({
      code: 4,
      msg: `${FAILED} ${address} has been allocated to c1, duplicate allocation is not allowed`,
    });
    expect(await cluster.claims()).toEqual([`a/c1:eth0/${address}`]);
    expect(cluster.records()).toHaveLength(1);
  });

  test("ADD with the store away is to be tried again, leaves no record, and has the next call sweep", () => {
    const cluster = new Cluster();
    const etcd = { ...cluster.keys, endpoints: [AWAY] };
    const start = performance.now();
    expect(refusal(() => cluster.add({ etcd })).code).toBe(11);
    expect(performance.now() - start).toBeLessThan(5_500);
    expect(cluster.records()).toEqual([]);
  });

  test("ADD that fails after it got an address gives it back", async () => {
    const cluster = new Cluster();
    const config = { cniVersion: "0.2.0", name: cluster.name, type: "etcd-ipam" };
    const ipam = { type: "etcd-ipam", etcd: cluster.keys, ...RANGE };
    const request = input("ADD", { ...config, ipam });
    const deliver = () => {
      throw new Error("nobody reads");
    };
    expect(() => callPlugin(etcdIpam, { ...request, deliver })).toThrow("nobody reads");
    expect(await cluster.claims()).toEqual([]);
    expect(cluster.records()).toEqual([]);
  });

  test("ADD after a DEL that did not reach the store releases what was left", async () => {
    const cluster = new Cluster();
    cluster.add();
    cluster.call("DEL", { etcd: { ...cluster.keys, endpoints: [AWAY] } });
    expect(await cluster.claims()).toHaveLength(1);
    cluster.add({ args: "IP=10.1.2.77" });
    expect(await cluster.claims()).toEqual(["a/c1:eth0/10.1.2.77"]);
  });
});

describe("DEL", () => {
  test("DEL releases what the attachment has, twice, and on no other interface or host", async () => {
    const cluster = new Cluster();
    cluster.add({ ipam: DUAL });
    cluster.add({ ifname: "eth1", args: "IP=10.1.2.9" });
    cluster.add({ etcd: { ...cluster.keys, host: "b" }, ifname: "eth2", args: "IP=10.1.2.10" });
    for (let time = 0; time < 2; time++) cluster.call("DEL", { ipam: DUAL });
    expect(await cluster.claims()).toEqual(["a/c1:eth1/10.1.2.9", "b/c1:eth2/10.1.2.10"]);
  });

  const spoilt: readonly [string, Options][] = [
    ["without ranges", { ipam: {} }],
    ["with ranges that are none", { ipam: { ranges: [[{ subnet: 5 }]] } }],
    ["with a store that is none", { etcd: 5 }],
    ["without a store", { etcd: undefined }],
    ["with endpoints that are none", { etcd: { endpoints: "x" } }],
    ["with another host name and prefix", { etcd: { host: "renamed", prefix: "/elsewhere" } }],
    ["without ipam", { ipam: null }],
  ];
  for (const [what, options] of spoilt) {
    test(`DEL ${what} releases what ADD got`, async () => {
      const cluster = new Cluster();
      cluster.add();
      cluster.call("DEL", options);
      expect(await cluster.claims()).toEqual([]);
      expect(cluster.records()).toEqual([]);
    });
  }

  test("DEL with the store away succeeds, and what comes next sweeps", async () => {
    const cluster = new Cluster();
    cluster.add();
    cluster.add({ id: "c2" });
    expect(cluster.isSwept()).toBe(true);
    cluster.call("DEL", { etcd: { ...cluster.keys, endpoints: [AWAY] } });
    expect(cluster.records()).toEqual(["c2:eth0:etcd-ipam"]);
    expect(cluster.isSwept()).toBe(false);
    cluster.call("DEL", { id: "c3" });
    expect((await cluster.claims()).map((claim) => claim.split("/")[1])).toEqual(["c2:eth0"]);
    expect(cluster.isSwept()).toBe(true);
  });

  test("DEL after the records were lost, as with the boot, releases what the attachment has", async () => {
    const cluster = new Cluster();
    cluster.add();
    rmSync("/run/weft", { recursive: true });
    cluster.call("DEL");
    expect(await cluster.claims()).toEqual([]);
  });

  test("DEL of what was never added, where no store is known either, is no fault", () => {
    new Cluster().call("DEL", { etcd: {}, ipam: {} });
  });
});

describe("CHECK", () => {
  const checked = (address: string) => ({
    keys: { prevResult: { cniVersion: "1.1.0", ips: [{ address, gateway: "10.1.2.1" }] } },
  });

  test("CHECK is content with what ADD got, and says whose the address is otherwise", () => {
    const cluster = new Cluster();
    const address = cluster.add({ args: "IP=10.1.2.9" });
    cluster.call("CHECK", checked(address));
    cluster.call("CHECK");
    cluster.add({ id: "c2", etcd: { ...cluster.keys, host: "b" }, args: "IP=10.1.2.10" });
    const text = "etcd-ipam: Failed to find address added by container c1";
    expect(refusal(() => cluster.call("CHECK", checked("10.1.2.10/24")))).toEqual({
      code: 100,
      msg: text,
      details: "10.1.2.10 is leased to c2 eth0 of host b",
    });
    expect(refusal(() => cluster.call("CHECK", checked("10.1.2.11/24"))).details).toBe(
      "10.1.2.11 is not leased",
    );
    expect(refusal(() => cluster.call("CHECK", { id: "c3" }))).toMatchObject({ code: 100 });
  });

  test("CHECK with the store away is to be tried again", () => {
    const cluster = new Cluster();
    const etcd = { ...cluster.keys, endpoints: [AWAY] };
    expect(refusal(() => cluster.call("CHECK", { ...checked("10.1.2.9/24"), etcd })).code).toBe(11);
  });
});

describe("GC", () => {
  const valid = (...ids: string[]) => ({
    keys: { "cni.dev/valid-attachments": ids.map((containerID) => ({ containerID, ifname: "eth0" })) },
  });

  test("GC releases this host's attachments that are not valid", async () => {
    const cluster = new Cluster();
    for (const id of ["c1", "c2", "c3"]) cluster.add({ id });
    cluster.add({ id: "c4", etcd: { ...cluster.keys, host: "b" } });
    rmSync(`/run/weft/attachments/${cluster.name}/c3:eth0:etcd-ipam`);
    rmSync(`/run/weft/attachments/${cluster.name}/c4:eth0:etcd-ipam`); // it is on another host
    cluster.call("GC", { ...valid("c2"), ipam: {} });
    expect((await cluster.claims()).map((claim) => claim.replace(/\/[^/]*$/, ""))).toEqual([
      "a/c2:eth0",
      "b/c4:eth0",
    ]);
    expect(cluster.records()).toEqual(["c2:eth0:etcd-ipam"]);
  });

  test("GC with a configuration that leads to no store releases what records lead to, and says so", async () => {
    const cluster = new Cluster();
    for (const id of ["c1", "c2"]) cluster.add({ id });
    const etcd = { endpoints: ["10.0.0.1:2379"] };
    const refused = refusal(() => cluster.call("GC", { ...valid("c2"), etcd }));
    expect(refused).toMatchObject({ code: 7, msg: expect.stringContaining("ipam.etcd.endpoints") });
    expect((await cluster.claims()).map((claim) => claim.split("/")[1])).toEqual(["c2:eth0"]);
    cluster.call("DEL", { id: "c2", etcd });
    expect(await cluster.claims()).toEqual([]);
  });

  test("GC with the store away says so, and what comes next sweeps", async () => {
    const cluster = new Cluster();
    for (const id of ["c1", "c2"]) cluster.add({ id });
    const etcd = { ...cluster.keys, endpoints: [AWAY] };
    expect(refusal(() => cluster.call("GC", { ...valid("c2"), etcd })).code).toBe(11);
    cluster.call("DEL", { id: "c9" });
    expect((await cluster.claims()).map((claim) => claim.split("/")[1])).toEqual(["c2:eth0"]);
  });
});

describe("STATUS", () => {
  test("STATUS is content with free addresses, and 50 without", () => {
    const cluster = new Cluster();
    cluster.call("STATUS", { ipam: TWO });
    for (const id of ["c1", "c2"]) cluster.add({ ipam: TWO, id });
    expect(refusal(() => cluster.call("STATUS", { ipam: TWO }))).toMatchObject({
      code: 50,
      msg: "no IP addresses available in range set: 10.1.2.1-10.1.2.3",
    });
    cluster.call("STATUS");
  });

  test("STATUS is 51 with the store away, and 7 with a configuration that ADD would refuse", () => {
    const cluster = new Cluster();
    const etcd = { ...cluster.keys, endpoints: [AWAY] };
    expect(refusal(() => cluster.call("STATUS", { etcd })).code).toBe(51);
    expect(refusal(() => cluster.call("STATUS", { etcd: {} })).code).toBe(7);
    expect(refusal(() => cluster.call("STATUS", { ipam: { ranges: [] } })).code).toBe(7);
  });
});
