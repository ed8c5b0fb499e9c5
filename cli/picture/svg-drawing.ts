/**
 * The figure of a host in SVG, to be put into a document: one file that needs no other, readable in light and
 * dark, by a screen reader, and without colours.
 */
import type { HostPicture } from "./host-picture.ts";
import { element, escaped } from "./svg-element.ts";
import {
  CARD_HEADER,
  type Card,
  type FigureLayout,
  LINE_HEIGHT,
  layoutFigure,
  type PlacedBase,
  type PlacedCable,
  textsOf,
} from "./svg-layout.ts";

/** Of networks, in the order in which they come. */
const COLOURS = ["#2563eb", "#059669", "#b45309", "#7c3aed", "#be185d", "#0e7490", "#4d7c0f", "#b91c1c"];

/** No variables and no conditions: not every program that takes a figure knows them. */
const STYLE = `
text { font-family: "Helvetica Neue", Helvetica, Arial, "DejaVu Sans", sans-serif; fill: #0f172a }
.mono, .label { font-family: Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", monospace }
.mono { font-size: 11.5px }
.label { font-size: 10.5px; fill: #64748b }
.name { font-size: 13.5px; font-weight: bold }
.soft { fill: #64748b }
.paper { fill: #ffffff }
.frame { fill: #f8fafc; stroke: #cbd5e1; stroke-width: 1.5 }
.base { fill: #e9eef5; stroke: #cbd5e1 }
.edge { fill: #94a3b8 }
.card { fill: #ffffff; stroke: #94a3b8 }
.world { stroke-dasharray: 5 4 }
.cable { fill: none; stroke: #64748b; stroke-width: 2; stroke-linejoin: round }
.halo { fill: none; stroke: #ffffff; stroke-width: 7 }
.tunnel { stroke-dasharray: 7 4 }
.down { stroke-dasharray: 2 4 }
`;

export function drawFigure(picture: HostPicture): string {
  const layout = layoutFigure(picture);
  const networks = networksOf(picture);
  const { width, height } = layout;
  const description = describe(picture);
  const parts = [
    element("title", {}, escaped(`The network of ${picture.title}`)),
    element("desc", {}, escaped(description)),
    element("style", {}, STYLE + coloursOf(networks)),
    element("rect", { width, height, class: "paper" }),
    frame(layout),
    ...layout.cables.filter((each) => !isDetour(each)).map((each) => cable(each, networks)),
    ...layout.cables.filter(isDetour).flatMap((each) => [halo(each), cable(each, networks)]),
    ...layout.bases.map((each) => base(each, networks)),
    ...layout.cards.map((each) => card(each, networks)),
    ...layout.cables.flatMap(label),
  ];
  return `${element(
    "svg",
    {
      xmlns: "http://www.w3.org/2000/svg",
      viewBox: `0 0 ${Math.ceil(width)} ${Math.ceil(height)}`,
      width: Math.ceil(width),
      height: Math.ceil(height),
      role: "img",
    },
    `\n${parts.join("\n")}\n`,
  )}\n`;
}

/** The same in words: it is read aloud where the figure is not seen. */
function describe({ title, bases }: HostPicture): string {
  const told = bases.map(({ name, says, cables }) => {
    const ends = cables.flatMap(({ end }) =>
      end ? [[end.title, end.ifname].filter(Boolean).join(" ")] : [],
    );
    return `${name} (${says})${ends.length > 0 ? ` leads to ${ends.join(", ")}` : ""}`;
  });
  return `${title}: ${told.join("; ")}.`;
}

/** Their numbers, by name. */
function networksOf({ bases }: HostPicture): Map<string, number> {
  const names = bases.flatMap(({ cables }) => cables.map(({ end }) => end?.network ?? ""));
  return new Map([...new Set(names.filter(Boolean))].map((name, i) => [name, i]));
}

function coloursOf(networks: ReadonlyMap<string, number>): string {
  return COLOURS.slice(0, networks.size)
    .map((colour, i) => `.s${i} { stroke: ${colour} }\n.f${i} { fill: ${colour} }\n`)
    .join("");
}

function colourClass(kind: "s" | "f", network: string, networks: ReadonlyMap<string, number>): string {
  const number = networks.get(network);
  return number === undefined ? "" : `${kind}${number % COLOURS.length}`;
}

function classes(...names: readonly string[]): string {
  return names.filter(Boolean).join(" ");
}

function text(
  content: string,
  { x, y, kind, anchor }: { x: number; y: number; kind: string; anchor?: "start" | "end" | "middle" },
): string {
  return element("text", { x, y, class: kind, "text-anchor": anchor }, escaped(content));
}

function frame({ frame: { x, y, width, height }, title, others }: FigureLayout): string {
  return [
    element("rect", { class: "frame", x, y, width, height, rx: 14 }),
    text(title, { x: x + 16, y: y + 22, kind: "name soft" }),
    ...(others ? [text(others.text, { ...others, kind: "mono soft" })] : []),
  ].join("");
}

function base(
  { base: given, x, y, width, height }: PlacedBase,
  networks: ReadonlyMap<string, number>,
): string {
  const [name = "", ...more] = textsOf(given);
  const [network = ""] = given.cables.flatMap(({ end }) => (end?.network ? [end.network] : []));
  const colour = given.role === "bridge" ? network : "";
  return [
    element("rect", { class: "base", x, y, width, height, rx: 8 }),
    element("rect", {
      class: classes(colourClass("f", colour, networks) || "edge"),
      x,
      y,
      width: 5,
      height,
      rx: 2.5,
    }),
    text(name, { x: x + 16, y: y + 14 + LINE_HEIGHT * 0.7, kind: "name" }),
    ...more.map((line, i) =>
      text(line, {
        x: x + 16,
        y: y + 14 + LINE_HEIGHT * (i + 1.7),
        kind: i === 0 ? "mono soft" : "mono",
      }),
    ),
  ].join("");
}

function card(
  { x, y, width, height, kind, title, sections }: Card,
  networks: ReadonlyMap<string, number>,
): string {
  const rows = sections.flatMap(({ ifname, network, lines, y: top }) => [
    text(ifname, { x: x + 12, y: top, kind: classes("mono", colourClass("f", network, networks)) }),
    ...lines.map((line, i) =>
      text(line, {
        x: x + 12 + (ifname === "" ? 0 : (ifname.length + 2) * 7),
        y: top + i * LINE_HEIGHT,
        kind: "mono",
      }),
    ),
  ]);
  return [
    element("rect", {
      class: classes("card", kind === "container" ? "" : "world"),
      x,
      y,
      width,
      height,
      rx: 8,
    }),
    text(title, { x: x + 12, y: y + CARD_HEADER - 10, kind: "name" }),
    ...networkNames(sections).map((network) =>
      text(network, {
        x: x + width - 12,
        y: y + CARD_HEADER - 10,
        kind: classes("label", colourClass("f", network, networks)),
        anchor: "end",
      }),
    ),
    ...rows,
  ].join("");
}

/** Beside the name of a card there is room for one: of several, the interfaces' colours tell. */
function networkNames(sections: Card["sections"]): string[] {
  const names = [...new Set(sections.map(({ network }) => network).filter(Boolean))];
  return names.length === 1 ? names : [];
}

function isDetour({ points }: PlacedCable): boolean {
  return points.length > 2;
}

/** So that it is seen to pass over the cables that it crosses beside the host. */
function halo({ points }: PlacedCable): string {
  return element("path", { class: "halo", d: pathOf(points.slice(1, -1)) });
}

function cable(
  { cable: { isUp }, network, points, isTunnel }: PlacedCable,
  networks: ReadonlyMap<string, number>,
) {
  const kind = classes(
    "cable",
    colourClass("s", network, networks),
    isTunnel ? "tunnel" : "",
    isUp ? "" : "down",
  );
  return element("path", { class: kind, d: pathOf(points) });
}

function pathOf(points: PlacedCable["points"]): string {
  return points.map(([x, y], i) => `${i === 0 ? "M" : "L"}${x} ${y}`).join(" ");
}

function label({ label: { text: content, x, y, anchor } }: PlacedCable): string[] {
  return content === "" ? [] : [text(content, { x, y, kind: "label", anchor })];
}
