/** A text as it stands in an error message: quoted, control characters escaped, cut when it is long. */
const LONGEST = 64;

export function quote(text: string): string {
  return JSON.stringify(text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text);
}
