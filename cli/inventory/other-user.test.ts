/** What another user than root may see. */
import { afterAll, beforeAll, expect, spyOn, test } from "bun:test";
import { removeRecord, writeRecord } from "../../lib/state/record.ts";
import { readAttachmentSources, readOpenAttachmentSources } from "./attachment.ts";
import { HostView, warnOfUnseen } from "./host-view.ts";

const NOBODY = 65_534;
const RECORDS = "/run/weft/attachments";
const isRoot = process.getuid?.() === 0;
const reason = isRoot ? "" : ` [skipped: needs root to write to ${RECORDS}]`;
const KEY = { network: "other-user-test", containerId: "c1", ifname: "eth0", plugin: "bridge" };

beforeAll(() => {
  if (isRoot) writeRecord({ ...KEY, netns: "", details: {} });
});
afterAll(() => {
  if (isRoot) removeRecord(KEY);
});

function asNobody<T>(act: () => T): T {
  process.seteuid?.(NOBODY);
  try {
    return act();
  } finally {
    process.seteuid?.(0);
  }
}

test.skipIf(!isRoot)(`readOpenAttachmentSources() names what it may not read${reason}`, () => {
  expect(() => asNobody(readAttachmentSources)).toThrow("EACCES");
  const { records, hidden } = asNobody(readOpenAttachmentSources);
  expect(records).toEqual([]);
  expect(hidden).toContain(RECORDS);
  expect(readOpenAttachmentSources().hidden).toEqual([]);
});

test.skipIf(!isRoot)(
  `openReadable() has this namespace all the same, and one line says the rest${reason}`,
  () => {
    const said = spyOn(console, "error").mockImplementation(() => {});
    asNobody(() => {
      using view = HostView.openReadable("/nowhere");
      expect(view.host.link("lo")?.name).toBe("lo");
      expect(view.host.sysctl("net/ipv4/ip_forward")).toMatch(/^[01]$/);
      warnOfUnseen(view);
    });
    const lines = said.mock.calls.flat();
    said.mockRestore();
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^weft: what is in \/run\/weft\/attachments.* cannot be read, .*: run as root$/);
  },
);
