import { afterEach, test as bunTest, expect } from "bun:test";
import { removeRecord, writeRecord } from "../../lib/state/record.ts";
import { newcomersOn } from "./newcomers.ts";

const reason = process.getuid?.() === 0 ? "" : " [skipped: needs root to write /run/weft]";
const test = (name: string, body: () => void) => bunTest.skipIf(reason !== "")(name + reason, body);

const of = (network: string, containerId: string) => ({
  ...{ network, containerId, ifname: "eth0", plugin: "bridge", netns: "/n" },
  details: {},
});
const RECORDS = [of("newcomers-a", "c1"), of("newcomers-a", "c2"), of("newcomers-b", "c3")];

afterEach(() => {
  for (const record of RECORDS) removeRecord(record);
});

test("newcomersOn() has the attachments whose ADD began since the others were listed", () => {
  for (const record of RECORDS) writeRecord(record);
  const names = (known: typeof RECORDS) =>
    newcomersOn("newcomers-a", known).map(({ containerId }) => containerId);
  expect(names(RECORDS)).toEqual([]);
  expect(names(RECORDS.slice(1))).toEqual(["c1"]);
  expect(names([]).sort()).toEqual(["c1", "c2"]);
});
