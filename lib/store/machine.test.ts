import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CniError } from "../cni/error.ts";
import { machineId } from "./machine.ts";

const directory = mkdtempSync(join(tmpdir(), "weft-machine-"));
const file = join(directory, "machine-id");
afterAll(() => rmSync(directory, { recursive: true }));

test("machineId() reads the file's line", () => {
  writeFileSync(file, "3d1219c7c4c5404aaa1f6d2a48adfda4\n");
  expect(machineId(file)).toBe("3d1219c7c4c5404aaa1f6d2a48adfda4");
});

for (const text of [undefined, "", "uninitialized\n", "3d1219c7-c4c5-404a-aa1f-6d2a48adfda4\n"]) {
  test(`machineId() refuses ${JSON.stringify(text) ?? "a file that is not there"}, and says what to run`, () => {
    if (text === undefined) rmSync(file, { force: true });
    else writeFileSync(file, text);
    try {
      machineId(file);
      throw new Error("not refused");
    } catch (error) {
      if (!(error instanceof CniError)) throw error;
      expect(error.code).toBe(CniError.INVALID_NETWORK_CONFIG);
      expect(error.msg).toStartWith(file);
      expect(error.details).toMatch(/systemd-machine-id-setup.*dbus-uuidgen/);
    }
  });
}
