import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseNetworkList } from "../runtime/network-list.ts";
import { missingPlugins, unexchanged } from "./plugin-files.ts";

const directory = mkdtempSync(join(tmpdir(), "weft-plugin-files-"));
afterAll(() => rmSync(directory, { recursive: true }));

/** A directory with others' executables, and with links to this one. */
function makeDirectory(name: string, { others, own = [] }: { others: string[]; own?: string[] }): string {
  const made = join(directory, name);
  mkdirSync(made);
  for (const type of others) writeFileSync(join(made, type), "#!/bin/sh\n", { mode: 0o755 });
  for (const type of own) symlinkSync("/proc/self/exe", join(made, type));
  return made;
}

const NOWHERE = join(directory, "nowhere");
const FRONT = parseNetworkList(
  JSON.stringify({
    cniVersion: "1.0.0",
    name: "front",
    plugins: [{ type: "bridge", ipam: { type: "host-local" } }, { type: "tuning" }],
  }),
);
const planned = ["bridge", "portmap"];

test("missingPlugins() names what changes hands and is not in the path", () => {
  const some = makeDirectory("some", { others: ["bridge"] });
  const networks = [FRONT];
  expect(missingPlugins({ planned, networks }, [NOWHERE])).toEqual(planned);
  expect(missingPlugins({ planned, networks }, [some])).toEqual(["portmap"]);
  expect(missingPlugins({ planned: ["bridge"], networks }, [NOWHERE, some])).toEqual([]);
});

test("missingPlugins() names the networks' plugins where nothing changes hands and none is there", () => {
  const some = makeDirectory("ipam", { others: ["host-local"] });
  expect(missingPlugins({ planned: [], networks: [FRONT] }, [NOWHERE])).toEqual(["bridge", "host-local"]);
  expect(missingPlugins({ planned: [], networks: [FRONT] }, [some])).toEqual([]);
  expect(missingPlugins({ planned: [], networks: [] }, [NOWHERE])).toEqual([]);
});

test("unexchanged() tells which executables are not yet whose they are to be, and where", () => {
  const mixed = makeDirectory("mixed", { others: ["portmap"], own: ["bridge"] });
  expect(unexchanged(planned, [mixed], "weft")).toEqual({ directory: mixed, types: ["portmap"] });
  expect(unexchanged(planned, [mixed], "another")).toEqual({ directory: mixed, types: ["bridge"] });
  expect(unexchanged(["bridge"], [mixed], "weft")).toEqual({ directory: undefined, types: [] });
  expect(unexchanged(planned, [NOWHERE], "weft")).toEqual({ directory: undefined, types: planned });
});
