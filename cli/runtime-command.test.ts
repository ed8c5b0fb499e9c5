import { expect, test } from "bun:test";
import { runtimeOf, runtimePath } from "./runtime-command.ts";

test("runtimePath() is CNI_PATH, else /opt/cni/bin, and never the tool's own directory", () => {
  expect(runtimePath({ CNI_PATH: "/a:/b" })).toEqual(["/a", "/b"]);
  expect(runtimePath({})).toEqual(["/opt/cni/bin"]);
  expect(runtimeOf({}).path).not.toEqual(["/opt/cni/bin"]);
});
