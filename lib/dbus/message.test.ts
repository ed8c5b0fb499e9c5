import { describe, expect, test } from "bun:test";
import * as golden from "./message.golden.ts";
import {
  answerValues,
  decodeAnswer,
  ERROR,
  encodeCall,
  MalformedMessageError,
  METHOD_RETURN,
  messageBytes,
} from "./message.ts";

const ZONE = {
  destination: "org.fedoraproject.FirewallD1",
  path: "/org/fedoraproject/FirewallD1",
  interface: "org.fedoraproject.FirewallD1.zone",
};

test("encodeCall() writes what dbus-send does, and asks that no service be started", () => {
  const ours = encodeCall({ ...ZONE, member: "addSource", args: ["trusted", "10.9.0.2/32"] }, 2);
  expect(ours[2]).toBe(2); // NO_AUTO_START
  ours[2] = 0;
  expect(ours.toHex()).toBe(golden.ADD_SOURCE.toHex());
});

test("encodeCall() writes lists of strings, which answerValues() reads", () => {
  for (const args of [[["one", "three"]], [[]], ["", ["a"], "ü"]]) {
    const bytes = encodeCall({ ...ZONE, member: "x", args }, 1);
    expect(answerValues(decodeAnswer(bytes))).toEqual(args);
    expect(messageBytes(bytes)).toBe(bytes.length);
  }
});

test("encodeCall() refuses a string with a NUL, which would end it", () => {
  expect(() => encodeCall({ ...ZONE, member: "x", args: ["a\0b"] }, 1)).toThrow(RangeError);
});

describe("decodeAnswer() reads what firewalld answers", () => {
  const CASES = [
    ["a string", golden.ADDED, METHOD_RETURN, ["trusted"]],
    ["an error", golden.INVALID_ZONE, ERROR, ["INVALID_ZONE: nope"]],
    ["a truth value", golden.QUERIED, METHOD_RETURN, [true]],
    ["a list of strings", golden.SOURCES, METHOD_RETURN, [["10.9.0.2/32"]]],
  ] as const;
  test.each([...CASES])("%s", (_name, bytes, kind, values) => {
    const answer = decodeAnswer(bytes);
    expect(answer).toMatchObject({ kind, replySerial: 2 });
    expect(answer.errorName).toBe(kind === ERROR ? "org.fedoraproject.FirewallD1.Exception" : "");
    expect(answerValues(answer) as unknown[]).toEqual([...values]);
  });

  test.each([...CASES])("%s, cut short anywhere, is malformed and nothing else", (_name, bytes) => {
    for (let length = 16; length < bytes.length; length++) {
      const cut = bytes.slice(0, length);
      expect(() => answerValues(decodeAnswer(cut))).toThrow(MalformedMessageError);
    }
  });

  test.each([...CASES])("%s, with any byte changed, is read or malformed", (_name, bytes) => {
    for (let at = 0; at < bytes.length; at++) {
      for (const to of [0, 1, 0x7f, 0xff]) {
        const changed = bytes.slice();
        changed[at] = to;
        try {
          messageBytes(changed);
          answerValues(decodeAnswer(changed));
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedMessageError);
        }
      }
    }
  });
});

test("decodeAnswer() reads the other byte order", () => {
  const bytes = golden.QUERIED.slice();
  const view = new DataView(bytes.buffer);
  bytes[0] = "B".charCodeAt(0);
  for (const at of [4, 8, 12, 20, 36, 52, 64]) view.setUint32(at, view.getUint32(at, true), false);
  expect(answerValues(decodeAnswer(bytes))).toEqual([true]);
});

test("messageBytes() does not know before sixteen bytes have come", () => {
  expect(messageBytes(golden.ADDED.subarray(0, 15))).toBeUndefined();
  expect(messageBytes(golden.ADDED)).toBe(golden.ADDED.length);
});
