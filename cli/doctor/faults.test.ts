import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { FAULTS } from "./faults.ts";

const README = readFileSync(join(import.meta.dir, "README.md"), "utf8");
const CONFORMANCE = join(import.meta.dir, "../../conformance");

test("README.md tells of each fault, and of no other", () => {
  const told = [...README.matchAll(/^\| ((?:`[a-z0-9-]+`(?:, )?)+) \|/gm)].flatMap(([, names = ""]) =>
    [...names.matchAll(/`([^`]+)`/g)].map(([, name = ""]) => name),
  );
  expect(told.sort()).toEqual(Object.keys(FAULTS).sort());
});

test("conformance has a case for each fault", () => {
  const files = readdirSync(CONFORMANCE).filter((name) => /^tool-doctor.*\.test\.ts$/.test(name));
  const cases = files.map((name) => readFileSync(join(CONFORMANCE, name), "utf8")).join("");
  expect(Object.keys(FAULTS).filter((fault) => !cases.includes(`"${fault}"`))).toEqual([]);
});
