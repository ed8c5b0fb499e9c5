import { expect, test } from "bun:test";
import { ErrnoError, errnoName, isErrno } from "./errno.ts";
import { errnoText } from "./libc.ts";

// Names and numbers: lib/rtnetlink/kernel-headers.test.ts, against the headers.

test.each([
  [2, "ENOENT"],
  [122, "EDQUOT"],
  [133, "EHWPOISON"],
  [0, "errno 0"],
  [41, "errno 41"], // the number of EWOULDBLOCK on other systems, of nothing on Linux
  [134, "errno 134"],
  [524, "errno 524"], // ENOTSUPP, the kernel's own
  [-1, "errno -1"],
])("errnoName() of %d is %s", (errno, name) => {
  expect(errnoName(errno)).toBe(name);
});

test.each([
  [1, "operation not permitted"],
  [2, "no such file or directory"],
  [11, "resource temporarily unavailable"],
  [17, "file exists"],
  [19, "no such device"],
  [95, "operation not supported"],
  [9_999, "unknown error 9999"],
])("errnoText() of %d says it as Go does", (errno, text) => {
  expect(errnoText(errno)).toBe(text);
});

test("ErrnoError says the call, what it was about, and why", () => {
  const error = new ErrnoError("open", 2, { text: "ENOENT (no such file or directory)", subject: "/nope" });
  expect(error.message).toBe('open "/nope": ENOENT (no such file or directory)');
  expect(error).toMatchObject({ name: "ErrnoError", call: "open", errno: 2, code: "ENOENT" });
  expect(new ErrnoError("poll", 22, { text: "EINVAL" }).message).toBe("poll: EINVAL");
});

test("isErrno() is true for a failed call, of one of the kinds that are named", () => {
  const error = new ErrnoError("open", 2, { text: "" });
  expect(isErrno(error)).toBe(true);
  expect(isErrno(error, "EEXIST", "ENOENT")).toBe(true);
  expect(isErrno(error, "EEXIST")).toBe(false);
  expect(isErrno(new Error("ENOENT"), "ENOENT")).toBe(false);
  expect(isErrno(undefined)).toBe(false);
});
