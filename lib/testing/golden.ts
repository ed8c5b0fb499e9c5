/**
 * Golden messages: the bytes that real tools send, annotated a field a line, and how ours compare with them.
 *
 * Recorded in a namespace of its own with `strace -e trace=sendmsg,sendto,recvmsg -e write=3,4 -e read=3,4
 * COMMAND` under `unshare -rn`. Sequence number and port are as they were that day; nothing compares them.
 */
import { type AttributeSet, eachAttribute, kernelName, type Table } from "../netlink/attributes.ts";
import { eachMessage, type ReceivedMessage } from "../netlink/message.ts";

/** The bytes of annotated hex: white space and what follows "//" are for the reader. */
export function hex(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.fromHex(text.replace(/\/\/.*$/gm, "").replace(/\s+/g, ""));
}

/**
 * Where attributes lie in a payload: after a struct of so many bytes, in the terms of a table, and within one
 * another.
 */
export interface Layout {
  readonly structBytes?: number;
  readonly set: AttributeSet<Table>;
  readonly inside?: Readonly<Record<string, Layout>>;
}

/**
 * What the messages differ in on purpose, as the failure prints it; the reason stands beside it in the test.
 */
export interface Differences {
  readonly onlyOurs?: readonly string[];
  readonly onlyTheirs?: readonly string[];
}

/**
 * Compares two messages by what they say: type, flags, struct, and the set of attributes. The order of
 * different attributes does not matter to the kernel, nor does NLA_F_NESTED where it looks inside anyway.
 * @throws Error that shows both, four bytes a line
 */
export function expectSameMessage(
  ours: Uint8Array,
  theirs: Uint8Array,
  layout: Layout,
  differences: Differences = {},
): void {
  const { onlyOurs = [], onlyTheirs = [] } = differences;
  const [ourLines, theirLines] = [describeMessage(ours, layout), describeMessage(theirs, layout)];
  const surplus = without(ourLines, theirLines);
  const missing = without(theirLines, ourLines);
  if (surplus.join("\n") === onlyOurs.join("\n") && missing.join("\n") === onlyTheirs.join("\n")) return;
  throw new Error(
    [
      "The messages differ.",
      ...surplus.map((line) => `  only ours:   ${line}`),
      ...missing.map((line) => `  only theirs: ${line}`),
      ...sideBySide(ours, theirs),
    ].join("\n"),
  );
}

/** A message as lines that can be compared: "IFLA_LINKINFO IFLA_INFO_KIND 62726964676500". */
export function describeMessage(bytes: Uint8Array, layout: Layout): string[] {
  const [message, ...others] = [...eachMessage(bytes)] as [ReceivedMessage, ...ReceivedMessage[]];
  if (others.length > 0) throw new Error(`Cannot describe ${1 + others.length} messages as one`);
  return [
    `type ${message.type} flags 0x${message.flags.toString(16)}`,
    ...describePayload(message.body, layout, ""),
  ];
}

function describePayload(
  payload: Uint8Array,
  { structBytes = 0, set, inside }: Layout,
  path: string,
): string[] {
  const lines = structBytes > 0 ? [`${path}struct ${payload.subarray(0, structBytes).toHex()}`] : [];
  const attributes = payload.subarray(structBytes);
  const names = new Map(Object.entries(set.table).map(([name, [number]]) => [number, name]));
  for (const { number, start, end } of eachAttribute(attributes)) {
    const name = names.get(number);
    const content = attributes.subarray(start, end);
    const here = `${path}${name === undefined ? `${set.prefix} ${number}` : kernelName(set.prefix, name)} `;
    const within = name === undefined ? undefined : inside?.[name];
    lines.push(...(within ? describePayload(content, within, here) : [`${here}${content.toHex()}`]));
  }
  return lines;
}

/** The lines of `all` that `others` has not, each as often as it stands there once more. */
function without(all: readonly string[], others: readonly string[]): string[] {
  const left = [...others];
  return all.filter((line) => {
    const at = left.indexOf(line);
    if (at >= 0) left.splice(at, 1);
    return at < 0;
  });
}

function sideBySide(ours: Uint8Array, theirs: Uint8Array): string[] {
  const word = (bytes: Uint8Array, at: number) =>
    bytes
      .subarray(at, at + 4)
      .toHex()
      .padEnd(8);
  const lines = ["  byte  ours      theirs"];
  for (let at = 0; at < Math.max(ours.length, theirs.length); at += 4) {
    const [our, their] = [word(ours, at), word(theirs, at)];
    lines.push(`  ${String(at).padStart(4)}  ${our}  ${their}${our === their ? "" : "  !"}`);
  }
  return lines;
}
