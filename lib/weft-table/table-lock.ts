/**
 * Keeps records and our tables in step. Whoever changes both, as ADD and DEL do, holds the lock shared; who
 * puts into the tables what the records say holds it alone, and so sees no record whose elements are just
 * being taken away.
 */
import type { Call } from "../cni/plugin.ts";
import type { NetfilterSocket } from "../netfilter/socket.ts";
import type { TableDefinition } from "../nftables/table.ts";
import { makeDirectory } from "../sys/file.ts";
import { acquireLock, type Lock } from "../sys/lock.ts";
import { ensureTable, hasTable } from "./table-life.ts";

const LOCKS_DIR = "/run/weft/locks";

/** @throws LockTimeoutError */
export function lockTables(options: { shared: boolean }): Lock {
  makeDirectory(LOCKS_DIR);
  return acquireLock(`${LOCKS_DIR}/tables`, options);
}

/** The shared lock of a call, which its verbs hold together. */
const held = new WeakMap<Call["resources"], Lock>();

/** For an ADD, before its record: the table is there, and the lock is held shared until the call ends. */
export function prepareTable({ resources }: Call, socket: NetfilterSocket, table: TableDefinition): void {
  const isThere = hasTable(socket, table);
  if (isThere && held.has(resources)) return;
  held.get(resources)?.[Symbol.dispose]();
  if (!isThere) {
    using _alone = lockTables({ shared: false });
    ensureTable(socket, table);
  }
  held.set(resources, resources.use(lockTables({ shared: true })));
}
