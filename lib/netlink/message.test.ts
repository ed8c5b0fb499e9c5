import { describe, expect, test } from "bun:test";
import { datagram } from "../testing/fake-kernel.ts";
import { attributes } from "./attributes.ts";
import { closeMessage, eachMessage, messageCodec, openMessage } from "./message.ts";
import { struct, u8, u16, u32, Writer } from "./wire.ts";

const codec = messageCodec(
  struct({ family: u8, pad: u8, index: u16, flags: u8 }), // five bytes: the attributes start at eight
  attributes("TEST", { mtu: [1, u32], flags: [2, u32] }),
);

function body(
  ...parts: Parameters<typeof codec.write> extends [unknown, ...infer P] ? P : never
): Uint8Array {
  const writer = new Writer();
  codec.write(writer, ...parts);
  return writer.finish();
}

describe("messageCodec()", () => {
  test("messageCodec().write() puts the attributes after the struct, aligned", () => {
    expect(body({ family: 7, index: 2 }, { mtu: 9 }).toHex()).toBe("0700020000000000" + "0800010009000000");
  });
  test("messageCodec().read() gives struct and attributes as one object; an attribute goes first", () => {
    const read = codec.read(body({ family: 7, index: 2, flags: 1 }, { mtu: 9, flags: 0x101 }));
    expect(read).toEqual({ family: 7, index: 2, flags: 0x101, mtu: 9 });
  });
  test("messageCodec().read() takes a body without attributes, also one that ends with the struct", () => {
    expect(codec.read(new Uint8Array(8))).toEqual({ family: 0, index: 0, flags: 0 });
    expect(codec.read(new Uint8Array(5))).toEqual({ family: 0, index: 0, flags: 0 });
  });
  test("messageCodec().read() refuses a body that is shorter than the struct", () => {
    expect(() => codec.read(new Uint8Array(4))).toThrow(
      new RangeError("Cannot decode 4 bytes as a struct of 5"),
    );
  });
  test("messageCodec().attributeAt() counts from the start of the body", () => {
    const bytes = body({}, { mtu: 9, flags: 0 });
    expect([0, 7, 8, 12, 16, 24].map((offset) => codec.attributeAt(bytes, offset))).toEqual([
      undefined,
      undefined,
      "TEST_MTU",
      "TEST_MTU",
      "TEST_FLAGS",
      undefined,
    ]);
  });
});

describe("openMessage(), closeMessage()", () => {
  test("closeMessage() writes the length without the padding, and pads", () => {
    const writer = new Writer();
    const start = openMessage(writer, { type: 16, flags: 0x605, sequence: 0x01020304 });
    writer.append(Uint8Array.of(0xaa));
    closeMessage(writer, start);
    expect(writer.finish().toHex()).toBe("11000000" + "1000" + "0506" + "04030201" + "00000000" + "aa000000");
  });
  test("openMessage() starts a further message where the last was closed", () => {
    const writer = new Writer();
    closeMessage(writer, openMessage(writer, { type: 1, flags: 0, sequence: 1 }));
    expect(openMessage(writer, { type: 2, flags: 0, sequence: 2 })).toBe(16);
  });
});

describe("eachMessage()", () => {
  test("eachMessage() splits a datagram into its messages", () => {
    const bytes = datagram(
      { type: 16, flags: 2, sequence: 5, port: 7, body: Uint8Array.of(1, 2, 3) },
      { type: 3, flags: 2, sequence: 5, port: 7 },
    );
    expect([...eachMessage(bytes)]).toEqual([
      { type: 16, flags: 2, sequence: 5, port: 7, body: Uint8Array.of(1, 2, 3) },
      { type: 3, flags: 2, sequence: 5, port: 7, body: new Uint8Array(0) },
    ]);
  });
  test("eachMessage() of nothing is nothing", () => {
    expect([...eachMessage(new Uint8Array(0))]).toEqual([]);
  });
  test("eachMessage() reads from a view in the midst of a buffer", () => {
    const bytes = datagram({ type: 16, sequence: 5, body: Uint8Array.of(1) });
    const buffer = new Uint8Array(bytes.length + 20).fill(0xff);
    buffer.set(bytes, 10);
    const [message] = [...eachMessage(buffer.subarray(10, 10 + bytes.length))];
    expect(message).toMatchObject({ type: 16, sequence: 5, body: Uint8Array.of(1) });
  });

  const header = (length: number) => {
    const bytes = new Uint8Array(20);
    new DataView(bytes.buffer).setUint32(0, length, true);
    return bytes;
  };
  test.each([
    [0, "Cannot decode the message at byte 0: length 0 of 20"],
    [15, "Cannot decode the message at byte 0: length 15 of 20"],
    [21, "Cannot decode the message at byte 0: length 21 of 20"],
    [2 ** 32 - 1, "Cannot decode the message at byte 0: length 4294967295 of 20"],
    [2 ** 31, "Cannot decode the message at byte 0: length 2147483648 of 20"],
    [16, "Cannot decode a datagram: 4 bytes left over"],
  ])("eachMessage() refuses a message whose length says %d", (length, message) => {
    expect(() => [...eachMessage(header(length))]).toThrow(new RangeError(message));
  });
  test("eachMessage() refuses a datagram that is shorter than a header", () => {
    expect(() => [...eachMessage(new Uint8Array(15))]).toThrow(RangeError);
  });
});
