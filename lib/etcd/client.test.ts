/** The client against a real etcd; the other that changes and reads the store is etcdctl. */
import { afterAll, beforeAll, beforeEach, expect } from "bun:test";
import { etcdTest, noEtcdReason, TestEtcd } from "../testing/etcd.ts";
import { EtcdClient } from "./client.ts";

let etcd: TestEtcd;
let client: EtcdClient;

beforeAll(async () => {
  if (noEtcdReason !== undefined) return;
  etcd = await TestEtcd.start();
  client = new EtcdClient(etcd.settings());
});
afterAll(async () => {
  client?.[Symbol.dispose]();
  await etcd?.[Symbol.asyncDispose]();
});
beforeEach(() => {
  if (noEtcdReason === undefined) etcd.ctl("del", "--prefix", "");
});

etcdTest("range() finds a key, and nothing where there is none", async () => {
  etcd.ctl("put", "/a/é", "1");
  const { kvs, count, more, revision } = await client.range("/a/é");
  expect({ kvs, count, more }).toEqual({
    kvs: [{ key: "/a/é", value: "1", createRevision: revision, modRevision: revision, lease: "0" }],
    count: 1,
    more: false,
  });
  expect(await client.range("/a/")).toMatchObject({ kvs: [], count: 0 });
});
