/**
 * Draws a host for the terminal, as long as it takes and no wider than it is:
 *
 *     ┌─ host ──────────────────┐
 *     │ docker0  bridge of blue │
 *     │ 172.17.0.1/16           │    ┌─ web ────────────────┐
 *     │ ├─ veth1a2b3c4d ────────┼────┤ eth0  172.17.0.2/16  │
 *     │ │                       │    └──────────────────────┘
 *     │ │                       │    ┌─ other hosts ────────┐
 *     │ └─ vx42  VXLAN 42 ──────┼────┤ 192.0.2.11           │
 *     │                         │    └──────────────────────┘
 *     │ eth0  uplink            │
 *     │ └───────────────────────┼──→ outside, by 192.0.2.254
 *     └─────────────────────────┘
 */
import { fold } from "../terminal/fold.ts";
import { countOf } from "../terminal/quantity.ts";
import { cut } from "../terminal/table.ts";
import { terminalColumns } from "../terminal/width.ts";
import { type Base, type Cable, deviceText, type End, type HostPicture, linesOf } from "./host-picture.ts";

/** Of a cable between the host's border and a container's. */
const GAP = 4;
/** The borders of a box, and the blanks inside them. */
const FRAME = 4;
const HOST_MIN = 24;
const END_MIN = 26;
const ISLANDS_TOLD = 6;

/** A row of the drawing: what is in the host's box, and what is beside it. */
interface Row {
  readonly left: string;
  /** Whether a cable goes on from `left` to `right`. */
  readonly isCable?: boolean;
  readonly right?: string;
}

/** Columns inside the boxes. */
interface Widths {
  readonly host: number;
  readonly end: number;
}

export function drawHost(picture: HostPicture, width = terminalColumns()): string[] {
  const { title, bases, others, islands } = picture;
  const widths = widthsFor(picture, width);
  const rows: Row[] = bases.flatMap((base, i) => [
    ...(i > 0 ? [{ left: "" }] : []),
    ...baseRows(base, widths),
  ]);
  if (others.length > 0) {
    const lines = fold(`and ${others.map(deviceText).join(", ")}`, { width: widths.host, hanging: 2 });
    rows.push({ left: "" }, ...lines.map((left) => ({ left })));
  }
  if (rows.length === 0) rows.push({ left: "no links but lo" });
  const bar = (start: string) => start.padEnd(widths.host + FRAME - 2, "─");
  return [
    `┌${bar(`─ ${cut(title, widths.host - 2)} `)}┐`,
    ...rows.map((row) => rowText(row, widths)),
    `└${bar("")}┘`,
    ...(islands.length > 0 ? fold(islandText(islands), { width, hanging: 2 }) : []),
  ];
}

/** Those that somebody has named first. */
function islandText(islands: readonly string[]): string {
  const isNamed = (name: string) => !name.startsWith("pid ");
  const sorted = [...islands.filter(isNamed), ...islands.filter((name) => !isNamed(name))];
  const more = sorted.length - ISLANDS_TOLD;
  const told = sorted.slice(0, ISLANDS_TOLD).join(", ");
  return `No cable leads from here to ${told}${more > 0 ? `, and ${countOf(more, "other namespace")}` : ""}.`;
}

function widthsFor({ title, bases, others }: HostPicture, width: number): Widths {
  const cables = bases.flatMap((base) => base.cables);
  const inHost = [
    `─ ${title} `,
    ...bases.flatMap((base) => [headOf(base), ...base.addresses]),
    ...cables.map((cable) => `├─ ${cableText(cable)} ─`),
    ...others.map(deviceText),
  ];
  const inEnds = cables.flatMap(({ end }) => (end ? [`─ ${end.title} ─`, ...endLines(end)] : []));
  const room = width - 2 * FRAME - GAP;
  const end = Math.max(END_MIN, longest(inEnds));
  const host = Math.max(HOST_MIN, Math.min(longest(inHost), room - Math.min(end, room >> 1)));
  return { host, end: Math.min(end, room - host) };
}

function longest(texts: readonly string[]): number {
  return Math.max(0, ...texts.map((text) => text.length));
}

function rowText({ left, isCable = false, right = "" }: Row, { host }: Widths): string {
  const inside = cut(left, host);
  if (!isCable) return `│ ${inside.padEnd(host)} │${" ".repeat(GAP)}${right}`.trimEnd();
  return `│ ${inside.padEnd(host, "─")}─┼${"─".repeat(GAP)}${right}`;
}

function baseRows(base: Base, widths: Widths): Row[] {
  const head = [{ left: headOf(base) }, ...base.addresses.map((left) => ({ left }))];
  const cables = base.cables.map((cable, i) => {
    const isLast = i === base.cables.length - 1;
    return cableRows(cable, { isLast, widths });
  });
  return [...head, ...cables.flat()];
}

/** "docker0  bridge of blue" */
function headOf({ name, says, isUp }: Base): string {
  return `${name}  ${says}${isUp ? "" : ", down"}`;
}

function cableText({ name, says, isUp }: Cable): string {
  return [name, says, isUp ? "" : "(down)"].filter(Boolean).join("  ");
}

/** The cable comes out at the first line of what is in the box at its end. */
function cableRows(cable: Cable, { isLast, widths }: { isLast: boolean; widths: Widths }): Row[] {
  const text = cableText(cable);
  const left = `${isLast ? "└" : "├"}─${text && ` ${text} `}`;
  const { end } = cable;
  if (!end) return [{ left: left.trimEnd() }];
  if (end.kind === "world") {
    return [{ left, isCable: true, right: `→ ${[end.title, ...linesOf(end)].join(", ")}` }];
  }
  const [first = "", ...others] = endLines(end).map((line) => cut(line, widths.end).padEnd(widths.end));
  const bar = (start: string) => start.padEnd(widths.end + 2, "─");
  const after = isLast ? "" : "│";
  return [
    { left: "│", right: `┌${bar(`─ ${cut(end.title, widths.end - 2)} `)}┐` },
    { left, isCable: true, right: `┤ ${first} │` },
    ...others.map((line) => ({ left: after, right: `│ ${line} │` })),
    { left: after, right: `└${bar("")}┘` },
  ];
}

/** "eth0  172.17.0.2/16", and below it what else there is. */
function endLines(end: End): string[] {
  const { ifname } = end;
  if (ifname === "") return linesOf(end);
  const [first = "", ...others] = linesOf(end);
  const indent = " ".repeat(ifname.length + 2);
  return [`${ifname}  ${first}`.trimEnd(), ...others.map((line) => indent + line)];
}
