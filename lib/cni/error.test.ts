import { expect, test } from "bun:test";
import { LockTimeoutError } from "../sys/lock.ts";
import { CniError, formatError, toCniError, withFurther } from "./error.ts";

test("formatError() writes version, code and message, and details only when there are some", () => {
  const plain = new CniError(CniError.INVALID_NETWORK_CONFIG, "missing network name");
  expect(formatError(plain, "1.0.0")).toBe(
    '{\n    "cniVersion": "1.0.0",\n    "code": 7,\n    "msg": "missing network name"\n}',
  );
  const detailed = new CniError(CniError.INVALID_ENVIRONMENT, "invalid", { details: "a b" });
  expect(JSON.parse(formatError(detailed, "0.4.0"))).toEqual({
    cniVersion: "0.4.0",
    code: 4,
    msg: "invalid",
    details: "a b",
  });
});

test("CniError reads as message and details, and takes its details from its cause when it has no others", () => {
  const cause = new Error("RTM_NEWLINK failed with EEXIST");
  expect(new CniError(100, "no link", { cause })).toMatchObject({ details: cause.message, cause });
  expect(new CniError(100, "no link", { cause }).message).toBe("no link; RTM_NEWLINK failed with EEXIST");
  expect(new CniError(100, "no link", { details: "eth0", cause }).details).toBe("eth0");
});

const invalid = new CniError(CniError.INVALID_NETWORK_CONFIG, "a");
const alsoInvalid = new CniError(CniError.INVALID_NETWORK_CONFIG, "b", { details: "c" });

test.each<[why: string, thrown: unknown, code: number, msg: string, details: string]>([
  ["a CniError as it is", alsoInvalid, 7, "b", "c"],
  ["an Error as internal", new Error("x"), 999, "x", ""],
  ["an Error with its cause", new Error("x", { cause: new Error("y") }), 999, "x", "y"],
  ["anything else as internal", "text", 999, "text", ""],
  [
    "a lock that stayed taken as try again",
    new LockTimeoutError("/run/l", 5),
    11,
    new LockTimeoutError("/run/l", 5).message,
    "",
  ],
  ["several that share a code with that code", new AggregateError([invalid, alsoInvalid]), 7, "a; b; c", ""],
  ["several of different codes as internal", new AggregateError([invalid, new Error("x")]), 999, "a; x", ""],
  ["one in an AggregateError by what it says itself", new AggregateError([invalid], "one"), 7, "a", ""],
  [
    "what a DisposableStack throws in order",
    new SuppressedError(new Error("2nd"), new Error("1st")),
    999,
    "1st; 2nd",
    "",
  ],
])("toCniError() takes %s", (_, thrown, code, msg, details) => {
  expect(toCniError(thrown)).toMatchObject({ code, msg, details });
});

test("withFurther() keeps the first error's code and message and adds the others to its details", () => {
  const error = withFurther(alsoInvalid, [
    new Error("x"),
    new AggregateError([new Error("y"), new Error("z")]),
  ]);
  expect(error).toMatchObject({
    code: 7,
    msg: "b",
    details: "c; while cleaning up: x; while cleaning up: y; z",
    cause: alsoInvalid,
  });
});

test("withFurther() leaves an error alone that nothing followed", () => {
  const error = new Error("x");
  expect(withFurther(error, [])).toBe(error);
});
