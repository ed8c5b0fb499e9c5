/**
 * Comments of tables, rules and elements, as nft shows them.
 *
 * The kernel keeps them without a look, under *_USERDATA; the form is libnftnl's: u8 type, u8 length, value.
 * Type 0 is the comment of all of these, ended by a NUL.
 */

/** Bytes of a comment. The kernel keeps twice as many, but nft would not load again what it lists. */
export const COMMENT_MAX = 128;

/** @throws RangeError when it is too long */
export function writeComment(text: string): Uint8Array {
  const bytes = new TextEncoder().encode(text);
  if (bytes.length > COMMENT_MAX) throw new RangeError(`Cannot keep a comment of ${bytes.length} bytes`);
  const userdata = new Uint8Array(bytes.length + 3);
  userdata[1] = bytes.length + 1;
  userdata.set(bytes, 2);
  return userdata;
}

/** "" where there is none. */
export function readComment(userdata: Uint8Array | undefined): string {
  for (let at = 0; userdata && at + 2 <= userdata.length; at += 2 + (userdata[at + 1] ?? 0)) {
    const length = userdata[at + 1] ?? 0;
    if (userdata[at] === 0 && length > 0)
      return new TextDecoder().decode(userdata.subarray(at + 2, at + 1 + length));
  }
  return "";
}
