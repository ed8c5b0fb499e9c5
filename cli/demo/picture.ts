/**
 * Draws a host with its sandboxes, their endpoints and what they lead to, as Docker's documents do:
 *
 *     ┌─ host ──────────────────────┐
 *     │  ┌─ web ────┐ ┌─ client ─┐  │      sandboxes: network namespaces
 *     │  │   eth0   │ │   eth0   │  │      endpoints: one column each
 *     │  └────┬─────┘ └────┬─────┘  │
 *     │   veth1a2b     veth3c4d     │
 *     │  ┌────┴────────────┴─────┐  │
 *     │  │        docker0        │  │      bases: a bridge for each network
 *     │  └───────────────────────┘  │
 *     └──────────────┬──────────────┘
 *                  eth0                the uplink
 *     ┌─ outside ────┴──────────────┐
 *     │           eth0              │  a host of the world outside
 *     └─────────────────────────────┘
 */

export interface Picture {
  /** Left to right, in an order in which the endpoints of a base are side by side. */
  readonly sandboxes: readonly PictureSandbox[];
  /** What runs in the host's own network, where there are no sandboxes. */
  readonly programs?: readonly string[];
  readonly bases: readonly PictureBase[];
  readonly outside?: PictureOutside | undefined;
  /** Default: "host". */
  readonly title?: string;
}

/** Another host, and the cable to it. */
export interface PictureOutside {
  readonly name: string;
  readonly addresses: readonly string[];
  readonly uplink: string;
  readonly hostAddresses: readonly string[];
}

export interface PictureSandbox {
  readonly name: string;
  /** What is in it beside its endpoints. */
  readonly inside?: readonly string[];
  readonly endpoints: readonly PictureEndpoint[];
}

export interface PictureEndpoint {
  readonly ifname: string;
  readonly addresses: readonly string[];
  /** What is written at the line from it to its base: the other end of the veth pair, or the link's kind. */
  readonly label: string;
  /** Its name. */
  readonly base: string;
}

/** The interface of the host that endpoints lead to: a bridge, a master, the host's end of a routed pair. */
export interface PictureBase {
  readonly name: string;
  readonly addresses: readonly string[];
}

/** Columns [first, last] of a box that stands over them. */
interface Span {
  readonly first: number;
  readonly last: number;
}

/** Blanks around the longest text of a column, and the gap to the next. */
const PADDING = 5;
const COLUMN_MIN = 18;
/** The host's border and the blank inside it. */
const MARGIN = 3;

export function drawPicture({ sandboxes, programs = [], bases, outside, title = "host" }: Picture): string[] {
  const endpoints = sandboxes.flatMap((sandbox) => sandbox.endpoints);
  const texts = [
    ...endpoints.flatMap(({ ifname, addresses, label }) => [ifname, label, ...addresses]),
    ...sandboxes.flatMap(({ name, inside = [] }) => [`─ ${name} ─`, ...inside]),
    ...programs,
  ];
  const width = Math.max(COLUMN_MIN, ...texts.map((text) => text.length + PADDING));
  const heights = sandboxes.map(
    ({ inside = [], endpoints: own }) =>
      inside.length + Math.max(0, ...own.map(({ addresses }) => 1 + addresses.length)),
  );
  const sandboxHeight = sandboxes.length > 0 ? Math.max(...heights) + 2 : programs.length;
  const canvas = createCanvas(width);
  canvas.lines({ first: 0, last: 0 }, 1, programs);
  const spans = sandboxSpans(sandboxes);
  sandboxes.forEach((sandbox, i) => {
    const span = spans[i] as Span; // one for each sandbox
    canvas.box(span, { top: 1, height: sandboxHeight, title: sandbox.name });
    canvas.lines(span, 2, sandbox.inside ?? []);
    sandbox.endpoints.forEach(({ ifname, addresses, label }, j) => {
      const column = { first: span.first + j, last: span.first + j };
      canvas.lines(column, 2 + (sandbox.inside?.length ?? 0), [ifname, ...addresses]);
      canvas.joint(column, sandboxHeight, "┬");
      canvas.lines(column, sandboxHeight + 1, [label]);
    });
  });
  const baseTop = sandboxHeight + 2;
  const baseHeight = Math.max(0, ...bases.map(({ addresses }) => 3 + addresses.length));
  for (const { name, addresses } of bases) {
    const columns = endpoints.flatMap(({ base }, i) => (base === name ? [i] : []));
    const span = { first: columns[0] ?? 0, last: columns.at(-1) ?? 0 };
    if (columns.length !== span.last - span.first + 1) {
      throw new RangeError(`Cannot draw "${name}": its endpoints are not side by side`);
    }
    canvas.box(span, { top: baseTop, height: baseHeight });
    canvas.lines(span, baseTop + 1, [name, ...addresses]);
    for (const column of columns) canvas.joint({ first: column, last: column }, baseTop, "┴");
  }
  const lines = canvas.framed(title, bases.length > 0 ? baseTop + baseHeight : sandboxHeight + 1);
  if (!outside) return lines;
  const isDrawn = bases.some(({ name }) => name === outside.uplink);
  return withOutside(lines, outside, isDrawn ? [] : [outside.uplink, ...outside.hostAddresses]);
}

/** The picture of a host, with another as wide below it, and at the cable between them these texts. */
function withOutside(
  host: readonly string[],
  { name, addresses, uplink }: PictureOutside,
  texts: readonly string[],
): string[] {
  const width = host[0]?.length ?? 0;
  const middle = width >> 1;
  const centred = (text: string) => text.padStart((width + text.length) >> 1);
  const joined = (line: string, joint: string) => line.slice(0, middle) + joint + line.slice(middle + 1);
  return [
    ...host.slice(0, -1),
    joined(host.at(-1) ?? "", "┬"),
    ...texts.map(centred),
    joined(`┌${`─ ${name} `.padEnd(width - 2, "─")}┐`, "┴"),
    ...[uplink, ...addresses].map(
      (text) =>
        `│${centred(text)
          .slice(1)
          .padEnd(width - 2)}│`,
    ),
    `└${"─".repeat(width - 2)}┘`,
  ];
}

/** A sandbox without endpoints takes a column all the same. */
function sandboxSpans(sandboxes: readonly PictureSandbox[]): Span[] {
  let next = 0;
  return sandboxes.map(({ endpoints }) => {
    const first = next;
    next += Math.max(1, endpoints.length);
    return { first, last: next - 1 };
  });
}

/** A grid of characters in columns of one width. */
function createCanvas(width: number) {
  const rows: string[][] = [];
  const put = (x: number, y: number, text: string) => {
    rows[y] ??= [];
    [...text].forEach((character, i) => {
      (rows[y] as string[])[x + i] = character; // made above
    });
  };
  const left = ({ first }: Span) => MARGIN + first * width;
  const size = ({ first, last }: Span) => (last - first + 1) * width - 1;
  return {
    box(span: Span, { top, height, title = "" }: { top: number; height: number; title?: string }): void {
      const inner = size(span) - 2;
      put(left(span), top, `┌${(title && `─ ${title} `).padEnd(inner, "─")}┐`);
      for (let y = top + 1; y < top + height - 1; y++) {
        put(left(span), y, "│");
        put(left(span) + inner + 1, y, "│");
      }
      put(left(span), top + height - 1, `└${"─".repeat(inner)}┘`);
    },
    /** Each centred over its columns. */
    lines(span: Span, top: number, lines: readonly string[]): void {
      lines.forEach((line, i) => {
        put(left(span) + ((size(span) - line.length + 1) >> 1), top + i, line);
      });
    },
    joint(span: Span, y: number, character: string): void {
      put(left(span) + (size(span) >> 1), y, character);
    },
    framed(title: string, height: number): string[] {
      const inner = Math.max(...rows.filter(Boolean).map((row) => row.length)) - 1 + (MARGIN - 1);
      put(0, 0, `┌${`─ ${title} `.padEnd(inner, "─")}┐`);
      for (let y = 1; y < height; y++) {
        put(0, y, "│");
        put(inner + 1, y, "│");
      }
      put(0, height, `└${"─".repeat(inner)}┘`);
      return Array.from(rows, (row) => Array.from(row ?? [], (character) => character ?? " ").join(""));
    },
  };
}
