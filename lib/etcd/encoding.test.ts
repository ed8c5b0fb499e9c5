import { expect, test } from "bun:test";
import fc from "fast-check";
import { decodeKeyValue, decodeText, encodeRange, encodeText, endOfPrefix, keyAfter } from "./encoding.ts";

const bytes = fc.uint8Array({ maxLength: 300 });

/** As etcd orders keys. */
function compare(a: Uint8Array, b: Uint8Array): number {
  return Buffer.compare(a, b);
}

test("decodeText() reads what encodeText() wrote, whatever the text", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      expect(decodeText(encodeText(text))).toBe(text.toWellFormed());
    }),
  );
  expect(decodeText(encodeText("\ufeffa"))).toBe("\ufeffa");
});

test("encodeText() writes base64 as others do", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      expect(encodeText(text)).toBe(Buffer.from(text).toString("base64"));
    }),
  );
});

test("decodeKeyValue() reads a key of any bytes, as UTF-8 where it is that", () => {
  fc.assert(
    fc.property(bytes, (key) => {
      expect(decodeKeyValue({ key: key.toBase64() }).key).toBe(
        new TextDecoder("utf-8", { ignoreBOM: true }).decode(key),
      );
    }),
  );
});

test("decodeKeyValue() takes what is left out for zero or empty", () => {
  expect(decodeKeyValue({ key: "YQ==", mod_revision: "9223372036854775807" })).toEqual({
    key: "a",
    value: "",
    modRevision: 9_223_372_036_854_775_807n,
    lease: "0",
  });
});

test("endOfPrefix() is after every key that begins so, and before every other that follows", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 4 }), bytes, (prefix, other) => {
      const end = endOfPrefix(prefix);
      const isUnbounded = end.length === 1 && end[0] === 0;
      const begins = compare(other.subarray(0, prefix.length), prefix) === 0;
      const isInRange = compare(other, prefix) >= 0 && (isUnbounded || compare(other, end) < 0);
      expect(isInRange).toBe(begins || (isUnbounded && compare(other, prefix) >= 0));
      expect(compare(new Uint8Array([...prefix, ...other]), end) < 0 || isUnbounded).toBe(true);
    }),
  );
  expect(endOfPrefix(new Uint8Array([0x61, 0xff, 0xff]))).toEqual(new Uint8Array([0x62]));
  expect(endOfPrefix(new Uint8Array([0xff]))).toEqual(new Uint8Array([0]));
});

test("encodeRange() of a prefix has an end", () => {
  expect(encodeRange("/a/")).toEqual({ key: "L2Ev" });
  expect(encodeRange("/a/", { prefix: true })).toEqual({ key: "L2Ev", range_end: "L2Ew" });
});

test("keyAfter() is the next key there can be", () => {
  fc.assert(
    fc.property(bytes, (key) => {
      expect(Uint8Array.fromBase64(keyAfter(key.toBase64()))).toEqual(new Uint8Array([...key, 0]));
    }),
  );
});
