import { expect, test } from "bun:test";
import {
  ALL_VERSIONS,
  askedVersion,
  atLeast,
  checkVersion,
  familyOf,
  replyVersion,
  sameFamily,
  versionsFrom,
} from "./version.ts";

test("versionsFrom() lists the versions from one on", () => {
  expect(ALL_VERSIONS).toEqual(["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]);
  expect(versionsFrom("0.4.0")).toEqual(["0.4.0", "1.0.0", "1.1.0"]);
});

test.each<[version: string, bound: string, expected: boolean]>([
  ["0.4.0", "0.4.0", true],
  ["0.3.1", "0.4.0", false],
  ["1.0.0", "0.4.0", true],
  ["0.10.0", "0.4.0", true],
  ["0.4", "0.4.0", true],
  ["2.0.0", "1.1.0", true],
  ["x", "0.1.0", false],
])("atLeast() compares %s with %s by number", (version, bound, expected) => {
  expect(atLeast(version, bound)).toBe(expected);
});

test("familyOf() groups the versions whose results look alike", () => {
  expect(familyOf("0.3.1")).toEqual(["0.3.0", "0.3.1", "0.4.0"]);
  expect(familyOf("2.0.0")).toEqual([]);
  expect(sameFamily("1.0.0", "1.1.0")).toBe(true);
  expect(sameFamily("0.2.0", "0.3.0")).toBe(false);
  expect(sameFamily("2.0.0", "2.0.0")).toBe(false);
});

const FROM_040 = ["0.4.0", "1.0.0"];
const SUPPORTS = 'plugin supports ["0.4.0" "1.0.0"]';

test.each<["ADD" | "DEL" | "CHECK" | "GC" | "STATUS", version: string, msg: string, details: string]>([
  ["ADD", "2.0.0", "incompatible CNI versions", `config is "2.0.0", ${SUPPORTS}`],
  ["DEL", "0.3.1", "incompatible CNI versions", `config is "0.3.1", ${SUPPORTS}`],
  ["ADD", "1.1", "incompatible CNI versions", `config is "1.1", ${SUPPORTS}`],
  ["CHECK", "0.9.0", "incompatible CNI versions", `config is "0.9.0", ${SUPPORTS}`],
  ["CHECK", "0.3.1", "config version does not allow CHECK", 'config is "0.3.1", CHECK came with 0.4.0'],
  ["CHECK", "x", "config version does not allow CHECK", 'config is "x", CHECK came with 0.4.0'],
  ["GC", "1.0.0", "config version does not allow GC", 'config is "1.0.0", GC came with 1.1.0'],
  ["STATUS", "1.0.0", "config version does not allow STATUS", 'config is "1.0.0", STATUS came with 1.1.0'],
  ["CHECK", "1.1.0", "plugin version does not allow CHECK", `config is "1.1.0", ${SUPPORTS}`],
  ["GC", "1.1.0", "plugin version does not allow GC", `config is "1.1.0", ${SUPPORTS}`],
  ["STATUS", "1.1.0", "plugin version does not allow STATUS", `config is "1.1.0", ${SUPPORTS}`],
])("checkVersion() refuses %s of a configuration of version %s", (command, version, msg, details) => {
  let thrown: unknown;
  try {
    checkVersion(command, version, FROM_040);
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toMatchObject({ code: 1, msg, details });
});

test("checkVersion() accepts what both sides speak", () => {
  checkVersion("ADD", "0.1.0", ALL_VERSIONS);
  checkVersion("CHECK", "0.4.0", FROM_040);
  checkVersion("GC", "1.1.0", ALL_VERSIONS);
});

test.each<[stdin: string, expected: string]>([
  ['{"cniVersion":"0.4.0"}', "0.4.0"],
  ['{"cniVersion":"2.0.0"}', "1.1.0"],
  ['{"cniVersion":7}', "1.1.0"],
  ["{}", "1.1.0"],
  ["null", "1.1.0"],
  ["", "1.1.0"],
  ["{", "1.1.0"],
])("replyVersion() answers %p in %s", (stdin, expected) => {
  expect(replyVersion(stdin, ALL_VERSIONS)).toBe(expected);
});

test.each<[stdin: string, expected: string]>([
  ['{"cniVersion":"0.4.0"}', "0.4.0"],
  ['{"cniVersion":"2.0.0"}', "2.0.0"],
  ['{"cniVersion":""}', "1.1.0"],
  ['{"cniVersion":7}', "1.1.0"],
  ["", "1.1.0"],
])("askedVersion() answers %p in %s", (stdin, expected) => {
  expect(askedVersion(stdin)).toBe(expected);
});
