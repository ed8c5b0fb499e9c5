import { afterEach, beforeEach, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { formatAddress, parseAddress } from "../netaddr/address.ts";
import { findFile } from "../sys/file.ts";
import { findLeaseStore, hasFreeAddress, type LeaseStore, openLeaseStore } from "./lease-store.ts";
import { parseRangeSets, type RangeKeys, type RangeSet } from "./ranges.ts";

let root: string;
let path: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "weft-leases-"));
  path = join(root, "net");
});
afterEach(() => {
  forgetIndex();
  rmSync(root, { recursive: true });
});

function indexOf(directory: string): string {
  const status = findFile(directory);
  return `/run/weft/leases/${status?.dev.toString(16)}-${status?.ino}`;
}

function forgetIndex(): void {
  rmSync(indexOf(path), { recursive: true, force: true });
}

function setOf(keys: RangeKeys): RangeSet {
  const [set = []] = parseRangeSets({
    cniVersion: "1.1.0",
    ipam: { ranges: [[keys]] },
    runtimeConfig: { ipRanges: [] },
  });
  return set;
}

/** Hosts .2 to .6. */
const SET = setOf({ subnet: "10.0.0.0/29" });
const holder = (containerId: string) => ({ containerId, ifname: "eth0" });

/** Does something with the leases, locked, as one process does. */
function within<T>(containerId: string, use: (store: LeaseStore) => T): T {
  using store = openLeaseStore(path, containerId);
  return use(store);
}

function leaseNext(containerId: string, set = SET): string | undefined {
  const candidate = within(containerId, (store) => store.leaseNext(set, 0, holder(containerId)));
  return candidate && formatAddress(candidate.address);
}

function list(containerId: string): string[] {
  return within(containerId, (store) =>
    store.list((it) => it.containerId === containerId).map(({ address }) => address),
  );
}

function release(containerId: string): void {
  within(containerId, (store) => {
    for (const { address } of store.list((it) => it.containerId === containerId)) store.release(address);
  });
}

/** As another program does that knows nothing of an index. */
function writeLease(address: string, content: string): void {
  mkdirSync(path, { recursive: true });
  writeFileSync(`${path}/${address}`, content);
}

test("lease() writes the file that the reference writes, and the cursor", () => {
  expect(leaseNext("c1")).toBe("10.0.0.2");
  expect(readFileSync(`${path}/10.0.0.2`, "utf8")).toBe("c1\r\neth0");
  expect(statSync(`${path}/10.0.0.2`).mode & 0o777).toBe(0o600);
  expect(readFileSync(`${path}/last_reserved_ip.0`, "utf8")).toBe("10.0.0.2");
  expect(readdirSync(path).sort()).toEqual(["10.0.0.2", "boot_id", "last_reserved_ip.0", "lock"]);
});

test("writeLast() leaves nothing of a longer address", () => {
  const set = setOf({ subnet: "10.0.0.0/24", rangeStart: "10.0.0.99", rangeEnd: "10.0.0.100" });
  expect([leaseNext("c1", set), leaseNext("c2", set)]).toEqual(["10.0.0.99", "10.0.0.100"]);
  release("c1");
  expect(leaseNext("c3", set)).toBe("10.0.0.99");
  expect(readFileSync(`${path}/last_reserved_ip.0`, "utf8")).toBe("10.0.0.99");
});

test("leaseNext() goes round, and says when the set is full", () => {
  const leased = ["a", "b", "c", "d", "e", "f"].map((id) => leaseNext(id));
  expect(leased).toEqual(["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6", undefined]);
  release("b");
  release("d");
  expect(leaseNext("f")).toBe("10.0.0.3");
  expect(leaseNext("g")).toBe("10.0.0.5");
});

test("leaseNext() takes an address whose file is empty, wherever it lies", () => {
  for (const id of ["a", "b", "c", "d", "e"]) leaseNext(id);
  writeFileSync(`${path}/10.0.0.4`, ""); // in place: the directory does not tell
  expect(hasFreeAddress(path, SET, 0)).toBe(true);
  expect(leaseNext("f")).toBe("10.0.0.4");
  expect(hasFreeAddress(path, SET, 0)).toBe(false);
  expect(list("c")).toEqual([]);
});

test("leaseNext() finds the one empty file among more leases than it looks up one by one", () => {
  const set = setOf({ subnet: "10.0.0.0/22", rangeStart: "10.0.1.0" });
  const hosts = Array.from({ length: 0x2ff }, (_, i) => `10.0.${1 + (i >> 8)}.${i & 255}`);
  for (const address of hosts) writeLease(address, "x\r\neth0");
  expect(leaseNext("c1", set)).toBeUndefined();
  writeFileSync(`${path}/10.0.3.7`, "");
  expect(leaseNext("c1", set)).toBe("10.0.3.7");
  rmSync(`${path}/10.0.3.200`);
  expect(hasFreeAddress(path, set, 0)).toBe(true);
  expect(leaseNext("c2", set)).toBe("10.0.3.200");
});

test("lease() refuses an address that is leased, and takes one that only was", () => {
  const lease = (id: string) => within(id, (store) => store.lease(parseAddress("10.0.0.4"), 0, holder(id)));
  expect(lease("a")).toBe(true);
  expect(lease("b")).toBe(false);
  release("a");
  expect(lease("b")).toBe(true);
});

test("list() has leases of another program, of both forms, at once", () => {
  leaseNext("c1");
  expect(list("c2")).toEqual([]);
  writeLease("10.0.0.5", "c2\r\neth1");
  writeLease("10.0.0.6", "c2\n");
  const leases = within("c2", (store) => store.list((it) => it.containerId === "c2"));
  expect(leases.sort((a, b) => a.address.localeCompare(b.address))).toEqual([
    { address: "10.0.0.5", containerId: "c2", ifname: "eth1" },
    { address: "10.0.0.6", containerId: "c2", ifname: "" },
  ]);
  rmSync(`${path}/10.0.0.5`);
  expect(list("c2")).toEqual(["10.0.0.6"]);
});

test("list() does not believe its index when the file says otherwise", () => {
  leaseNext("c1");
  writeFileSync(`${path}/10.0.0.2`, "c2\r\neth0"); // in place: the directory does not tell
  expect(list("c1")).toEqual([]);
  expect(list("c2")).toEqual(["10.0.0.2"]);
});

test("release() of nothing is nothing, and findLeaseStore() makes nothing", () => {
  expect(findLeaseStore(path, "c1")).toBeUndefined();
  writeFileSync(path, "a file");
  expect(findLeaseStore(`${path}/net`, "c1")).toBeUndefined();
  rmSync(path);
  expect(existsSync(path)).toBe(false);
});

test("openLeaseStore() says which key is wrong when there cannot be a directory", () => {
  writeFileSync(path, "a file");
  expect(() => openLeaseStore(`${path}/net`, "c1")).toThrow(`cannot make "${path}/net", see "ipam.dataDir"`);
  expect(() => openLeaseStore("/proc/sys", "c1")).toThrow('cannot lock "/proc/sys/lock", see "ipam.dataDir"');
});

test("rollBack() ends what was leased since it was opened, and nothing else", () => {
  leaseNext("c1");
  within("c1", (store) => {
    store.leaseNext(SET, 0, holder("c1"));
    store.lease(parseAddress("10.0.0.6"), 0, holder("c1"));
    store.rollBack();
  });
  expect(list("c1")).toEqual(["10.0.0.2"]);
});

test("a lease ends with neither the other files nor what is not of a lease's form", () => {
  leaseNext("c1");
  mkdirSync(`${path}/10.0.0.3`);
  writeLease("notes", "c1\r\neth0");
  writeFileSync(`${path}/10.0.0.4`, "c4\r\neth0", { mode: 0 });
  chmodSync(`${path}/10.0.0.4`, 0);
  expect(leaseNext("c2")).toBe("10.0.0.5");
  release("c1");
  release("c2");
  expect(readdirSync(path).sort().join(" ")).toBe("10.0.0.3 10.0.0.4 boot_id last_reserved_ip.0 lock notes");
});

test("hasFreeAddress() changes nothing, and needs no directory", () => {
  expect(hasFreeAddress(path, SET, 0)).toBe(true);
  expect(existsSync(path)).toBe(false);
  writeLease("10.0.0.2", "");
  const before = statSync(path).mtimeMs;
  expect(hasFreeAddress(path, SET, 0)).toBe(true);
  expect(readdirSync(path)).toEqual(["10.0.0.2"]);
  expect(statSync(path).mtimeMs).toBe(before);
});

test("a lease does not depend on the index, whose directory may be impossible", () => {
  leaseNext("c1");
  forgetIndex();
  expect(list("c1")).toEqual(["10.0.0.2"]);
  if (process.getuid?.() !== 0) return; // then there was never an index
  forgetIndex();
  mkdirSync("/run/weft/leases", { recursive: true });
  writeFileSync(indexOf(path), "in the way");
  expect(leaseNext("c2")).toBe("10.0.0.3");
  expect(list("c2")).toEqual(["10.0.0.3"]);
});

/** What the store is to be: a map, a cursor, and a walk through every address. */
class NaiveStore {
  readonly leases = new Map<number, string>();
  last = 6;

  leaseNext(id: string): number | undefined {
    for (let step = 1; step <= 5; step++) {
      const host = 2 + ((this.last - 2 + step) % 5);
      if (this.lease(host, id)) return host;
    }
    return undefined;
  }

  lease(host: number, id: string): boolean {
    if (this.leases.has(host)) return false;
    this.leases.set(host, id);
    this.last = host;
    return true;
  }

  list(id: string): number[] {
    return [...this.leases]
      .filter(([, other]) => other === id)
      .map(([host]) => host)
      .sort();
  }

  release(id: string): void {
    for (const host of this.list(id)) this.leases.delete(host);
  }
}

const containerId = fc.constantFrom("a", "b", "c", "d");
const host = fc.integer({ min: 2, max: 6 });
const step = fc.oneof(
  fc.record({
    what: fc.constantFrom("leaseNext", "release", "list", "release by another" as const),
    id: containerId,
    host,
  }),
  fc.record({
    what: fc.constantFrom("lease", "lease by another", "free", "lose index" as const),
    id: containerId,
    host,
  }),
);

test("a store does what a naive one does, whoever else leases and whatever becomes of its index", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
      rmSync(path, { recursive: true, force: true });
      const naive = new NaiveStore();
      const address = (n: number) => `10.0.0.${n}`;
      for (const { what, id, host } of steps) {
        if (what === "leaseNext") {
          const expected = naive.leaseNext(id);
          expect(leaseNext(id)).toBe(expected === undefined ? undefined : address(expected));
        } else if (what === "lease") {
          const done = within(id, (store) => store.lease(parseAddress(address(host)), 0, holder(id)));
          expect(done).toBe(naive.lease(host, id));
        } else if (what === "release") {
          naive.release(id);
          release(id);
        } else if (what === "list") {
          expect(list(id).sort()).toEqual(naive.list(id).map(address));
        } else if (what === "lease by another" && naive.lease(host, id)) {
          writeLease(address(host), `${id}\r\neth0`);
          writeLease("last_reserved_ip.0", address(host));
        } else if (what === "release by another") {
          for (const each of naive.list(id)) rmSync(`${path}/${address(each)}`);
          naive.release(id);
        } else if (what === "free" && naive.leases.delete(host)) writeLease(address(host), "");
        else if (what === "lose index") forgetIndex();
      }
      forgetIndex();
    }),
    { numRuns: 150 },
  );
});
