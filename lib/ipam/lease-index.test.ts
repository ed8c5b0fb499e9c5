import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findFile } from "../sys/file.ts";
import { findIndexed, type LeaseDirectory, rebuildIndex, updateIndex } from "./lease-index.ts";

const INDEX_DIR = "/run/weft/leases";
const reason = process.getuid?.() === 0 ? "" : ` [skipped: needs root to write ${INDEX_DIR}]`;
const rootTest = (name: string, body: () => void) => test.skipIf(reason !== "")(name + reason, body);

let path: string;
let index: string;
beforeEach(() => {
  path = mkdtempSync(join(tmpdir(), "weft-leases-"));
  const { dev, ino } = directory().status;
  index = `${INDEX_DIR}/${dev.toString(16)}-${ino}`;
});
afterEach(() => {
  rmSync(path, { recursive: true });
  rmSync(index, { recursive: true, force: true });
});

function directory(bootId = "boot-1"): LeaseDirectory {
  const status = findFile(path);
  if (!status) throw new Error("gone");
  return { path, status, bootId };
}

const C1 = { containerId: "c1", ifname: "eth0" };
const OLD = { containerId: "c2", ifname: "" };

function find(containerId: string, bootId?: string): Record<string, object> | undefined {
  const leases = findIndexed(directory(bootId), containerId);
  return leases && Object.fromEntries(leases);
}

rootTest("findIndexed() finds what was sealed, and knows who has nothing", () => {
  expect(find("c1")).toBeUndefined();
  rebuildIndex(
    directory(),
    new Map([
      ["10.0.0.5", C1],
      ["fd00::5", C1],
      ["10.0.0.6", OLD],
    ]),
  );
  expect(find("c1")).toEqual({ "10.0.0.5": C1, "fd00::5": C1 });
  expect(find("c2")).toEqual({ "10.0.0.6": OLD });
  expect(find("c3")).toEqual({});
});

rootTest("updateIndex() replaces what the index has of one container", () => {
  rebuildIndex(
    directory(),
    new Map([
      ["10.0.0.5", C1],
      ["10.0.0.6", OLD],
    ]),
  );
  updateIndex(directory(), "c1", new Map());
  expect(find("c1")).toEqual({});
  expect(find("c2")).toEqual({ "10.0.0.6": OLD });
});

rootTest("updateIndex() keeps the many containers of one shard apart from those of the others", () => {
  const leases = new Map(
    Array.from({ length: 3000 }, (_, i) => [
      `10.1.${i >> 8}.${i & 255}`,
      { containerId: `id${i}`, ifname: "eth0" },
    ]),
  );
  rebuildIndex(directory(), leases);
  for (const i of [0, 1, 1500, 2999]) {
    const shard = findIndexed(directory(), `id${i}`);
    expect(shard?.get(`10.1.${i >> 8}.${i & 255}`)).toEqual({ containerId: `id${i}`, ifname: "eth0" });
    expect(shard?.size).toBeLessThan(60);
  }
});

rootTest("findIndexed() does not trust an index after anybody changed the directory", () => {
  const changes = [
    () => writeFileSync(`${path}/10.0.0.9`, "c9\r\neth0"),
    () => rmSync(`${path}/10.0.0.9`),
    () => utimesSync(path, statSync(path).atime, statSync(path).mtime), // to the microsecond only
    () => utimesSync(path, new Date(), new Date()),
  ];
  for (const change of changes) {
    rebuildIndex(directory(), new Map([["10.0.0.5", C1]]));
    expect(find("c1")).toBeDefined();
    change();
    expect(find("c1")).toBeUndefined();
  }
});

rootTest("findIndexed() trusts no index of another boot, and none that was lost", () => {
  rebuildIndex(directory(), new Map([["10.0.0.5", C1]]));
  expect(find("c1", "boot-2")).toBeUndefined();
  expect(find("c1")).toBeDefined();
  rmSync(index, { recursive: true });
  expect(find("c1")).toBeUndefined();
});

rootTest("findIndexed() does not trust an index that was being written", () => {
  rebuildIndex(directory(), new Map([["10.0.0.5", C1]]));
  const before = directory();
  writeFileSync(`${path}/10.0.0.6`, "c1\r\neth0"); // ADD was killed behind its lease,
  expect(find("c1")).toBeUndefined();
  utimesSync(path, 1, 1); // or behind the time it set,
  expect(find("c1")).toBeUndefined();
  rmSync(`${index}/stamp`); // or rebuilding, which begins with this
  expect(findIndexed(before, "c1")).toBeUndefined();
});
