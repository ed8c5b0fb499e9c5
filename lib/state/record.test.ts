import { afterEach, test as bunTest, describe, expect } from "bun:test";
import { existsSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import {
  attachmentFileName,
  findRecord,
  hasRecords,
  hasRecordsOf,
  listAllRecords,
  listDamagedRecords,
  listRecords,
  recordedAttachments,
  removeRecord,
  updateRecord,
  writeRecord,
} from "./record.ts";

const DIR = "/run/weft/attachments";
const reason = process.getuid?.() === 0 ? "" : ` [skipped: needs root to write ${DIR}]`;
const test = (name: string, body: () => void) => bunTest.skipIf(reason !== "")(name + reason, body);

const NETWORK = "record-test";
const C1 = { network: NETWORK, containerId: "c1", ifname: "eth0", plugin: "one" };
const record = (parts: Partial<typeof C1> = {}, details: unknown = {}) => ({
  ...C1,
  ...parts,
  netns: "/n",
  details,
});

afterEach(() => {
  for (const name of [NETWORK, `${NETWORK}2`]) rmSync(`${DIR}/${name}`, { recursive: true, force: true });
});

describe("hasRecords()", () => {
  test("hasRecords() sees a record of any plugin for the attachment, and of no other", () => {
    expect(hasRecords(C1)).toBe(false); // nor is there a directory
    writeRecord(record({ plugin: "other" }));
    expect(hasRecords(C1)).toBe(true);
    for (const parts of [
      { containerId: "c" },
      { containerId: "c11" },
      { ifname: "eth" },
      { network: "net" },
    ]) {
      expect(hasRecords({ ...C1, ...parts })).toBe(false);
    }
  });

  test("hasRecords() knows an attachment whose id is too long for a file, whatever the plugin", () => {
    for (const length of [99, 100, 101, 230, 255]) {
      const long = { containerId: "c".repeat(length) };
      writeRecord(record({ ...long, plugin: "masquerade" }));
      expect(hasRecords({ ...C1, ...long })).toBe(true);
    }
  });
});

describe("updateRecord()", () => {
  test("updateRecord() that was killed leaves no record, and removeRecord() nothing of it", () => {
    writeRecord(record());
    const unfinished = `${DIR}/${NETWORK}/${attachmentFileName(C1, C1.plugin)}:new`;
    writeFileSync(unfinished, JSON.stringify(record({}, { elements: ["half done"] })));
    expect(listRecords("one", NETWORK).map(({ details }) => details)).toEqual([{}]);
    expect(listAllRecords().filter(({ network }) => network === NETWORK)).toHaveLength(1);
    updateRecord(record({}, { elements: [] }));
    expect(existsSync(unfinished)).toBe(false);
    writeFileSync(unfinished, "");
    removeRecord(C1);
    expect(existsSync(`${DIR}/${NETWORK}`)).toBe(false);
  });

  test("updateRecord() replaces the record as a whole", () => {
    writeRecord(record({}, { elements: [1, 2, 3] }));
    updateRecord(record({}, { elements: [] }));
    expect(findRecord(C1)).toEqual(record({}, { elements: [] }));
    expect(readdirSync(`${DIR}/${NETWORK}`)).toEqual(["c1:eth0:one"]);
  });
});

describe("listAllRecords()", () => {
  const listed = () => listAllRecords().filter(({ network }) => network.startsWith(NETWORK));

  test("listAllRecords() has those of every plugin and network; listRecords() those of one", () => {
    const all = [record(), record({ plugin: "two" }), record({ network: `${NETWORK}2`, containerId: "c2" })];
    for (const one of all) writeRecord(one);
    const order = (a: unknown, b: unknown) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);
    expect(listed().sort(order)).toEqual(all.sort(order));
    expect(listRecords("two", NETWORK)).toEqual([record({ plugin: "two" })]);
    for (const one of all) removeRecord(one);
    expect(listed()).toEqual([]);
    expect(existsSync(`${DIR}/${NETWORK}`)).toBe(false);
  });

  test("listAllRecords() passes over what is no record, which listDamagedRecords() names", () => {
    writeRecord(record());
    for (const [i, text] of ["", "{", "null", "[]", "1", '"x"', "{}", '{"details": 1}'].entries()) {
      writeFileSync(`${DIR}/${NETWORK}/bad${i}:eth0:one`, text);
    }
    writeFileSync(`${DIR}/${NETWORK}/c1:eth0:one:new`, "{");
    writeFileSync(`${DIR}/${NETWORK}2`, "a file");
    expect(listed()).toEqual([record()]);
    const damaged = listDamagedRecords().filter((path) => path.startsWith(`${DIR}/${NETWORK}`));
    expect(damaged.sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7].map((i) => `${DIR}/${NETWORK}/bad${i}:eth0:one`));
  });
});

test("recordedAttachments() has those that there is a record of, by any plugin, as hasRecords() does", () => {
  const long = { containerId: "c".repeat(150), ifname: "eth0" };
  writeRecord(record());
  writeRecord(record({ plugin: "two" }));
  writeRecord(record(long));
  const isRecorded = recordedAttachments(NETWORK);
  for (const name of [C1, long, { ...C1, ifname: "eth" }, { ...C1, containerId: "c" }]) {
    expect(isRecorded(name)).toBe(hasRecords({ ...name, network: NETWORK }));
  }
  expect([isRecorded(C1), isRecorded(long)]).toEqual([true, true]);
  expect(recordedAttachments("none")(C1)).toBe(false);
});

test("hasRecordsOf() tells of a plugin's records on a network, but for one attachment's", () => {
  expect(hasRecordsOf("one", NETWORK)).toBe(false);
  writeRecord(record());
  expect(hasRecordsOf("one", NETWORK)).toBe(true);
  expect(hasRecordsOf("two", NETWORK)).toBe(false);
  expect(hasRecordsOf("one", NETWORK, C1)).toBe(false);
  expect(hasRecordsOf("one", NETWORK, { ...C1, ifname: "eth1" })).toBe(true);
  writeRecord(record({ containerId: "c2" }));
  expect(hasRecordsOf("one", NETWORK, C1)).toBe(true);
});

bunTest("attachmentFileName() is three parts, of which the long ones are hashed", () => {
  expect(attachmentFileName(C1, "one")).toBe("c1:eth0:one");
  const of = (id: number, more: number) =>
    attachmentFileName({ containerId: "c".repeat(id), ifname: "eth0" }, "m".repeat(more));
  expect(of(100, 100)).toBe(`${"c".repeat(100)}:eth0:${"m".repeat(100)}`);
  expect(of(101, 3)).toMatch(/^[0-9a-f]{64}:eth0:mmm$/);
  expect(of(3, 101)).toMatch(/^ccc:eth0:[0-9a-f]{64}$/);
});
