/** Bytes of which some bits are known: a header, or the registers that a rule computes in. */

export interface KnownBytes {
  readonly bytes: Uint8Array;
  /** Of each byte, the bits that are known. The others are 0 in `bytes`. */
  readonly known: Uint8Array;
}

/** Of two things that may be compared: yes, no, or undefined where it takes what is not known. */
export type Answer = boolean | undefined;

export function allKnown(bytes: Uint8Array): KnownBytes {
  return { bytes, known: new Uint8Array(bytes.length).fill(0xff) };
}

export function noneKnown(length: number): KnownBytes {
  return { bytes: new Uint8Array(length), known: new Uint8Array(length) };
}

export function sliceOf({ bytes, known }: KnownBytes, from: number, length: number): KnownBytes {
  return { bytes: bytes.slice(from, from + length), known: known.slice(from, from + length) };
}

export function isKnown({ known }: KnownBytes): boolean {
  return known.every((bits) => bits === 0xff);
}

/** Whether they are these bytes. One bit that is known and another is enough for a no. */
export function equals({ bytes, known }: KnownBytes, value: Uint8Array): Answer {
  let isSure = true;
  for (let at = 0; at < value.length; at++) {
    const bits = known[at] ?? 0;
    if ((((bytes[at] ?? 0) ^ (value[at] ?? 0)) & bits) !== 0) return false;
    isSure &&= bits === 0xff;
  }
  return isSure || undefined;
}

/** As memcmp() has it: below 0, 0, above 0; undefined where it is not known. */
export function compare(value: KnownBytes, other: Uint8Array): number | undefined {
  return isKnown(sliceOf(value, 0, other.length)) ? compareBytes(value.bytes, other) : undefined;
}

/** Of as many bytes as the second has. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  for (let at = 0; at < b.length; at++) {
    const difference = (a[at] ?? 0) - (b[at] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** (value & mask) ^ xor, as a rule's bitwise has it. */
export function masked({ bytes, known }: KnownBytes, mask: Uint8Array, xor: Uint8Array): KnownBytes {
  return {
    bytes: bytes.map((byte, at) => ((byte & (mask[at] ?? 0)) ^ (xor[at] ?? 0)) & 0xff),
    known: known.map((bits, at) => bits | (~(mask[at] ?? 0) & 0xff)),
  };
}

/** A number as the kernel keeps its own: in the host's byte order, little endian here. */
export function hostNumber(value: number, bytes: 1 | 2 | 4 = 4): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, at) => (value >>> (8 * at)) & 0xff);
}

export function hostNumberOf(bytes: Uint8Array): number {
  return bytes.reduceRight((sum, byte) => sum * 256 + byte, 0);
}

export function networkNumber(value: number, bytes: 2 | 4 = 2): Uint8Array {
  return hostNumber(value, bytes).reverse();
}

/** Text as the kernel keeps names of interfaces: ended and filled up with zeros. */
export function nameBytes(name: string): Uint8Array {
  const bytes = new Uint8Array(16);
  bytes.set(new TextEncoder().encode(name).subarray(0, 15));
  return bytes;
}

export function nameOfBytes(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}
