import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { namesOf } from "./names.ts";

const NETWORK = { cniVersion: "1.0.0", name: "blue", plugins: [{ type: "bridge", bridge: "br-blue" }] };

test("namesOf() offers to each argument what its command takes, and nothing else", () => {
  const directory = mkdtempSync(join(tmpdir(), "weft-names-"));
  writeFileSync(join(directory, "blue.conflist"), JSON.stringify(NETWORK));
  expect(namesOf("network", directory)).toEqual(["blue"]);
  expect(namesOf("network|none|host", directory)).toEqual(["blue", "host", "none"]);
  expect(namesOf("bridge", directory)).toEqual(["blue", "br-blue"]);
  rmSync(directory, { recursive: true });
  expect(namesOf("driver", directory)).toContain("macvlan");
  expect(namesOf("key=value", directory)).toContain("parent=");
  expect(namesOf("topology", directory)).toContain("T1");
  expect(namesOf("name", directory)).toEqual([]);
  expect(namesOf("anything", directory)).toEqual([]);
});
