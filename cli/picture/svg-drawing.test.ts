import { expect, test } from "bun:test";
import { EMPTY, HOST } from "./host-pictures.golden.ts";
import { drawFigure } from "./svg-drawing.ts";
import { element, escaped } from "./svg-element.ts";
import { type FigureLayout, layoutFigure, type Rectangle } from "./svg-layout.ts";

const overlaps = (a: Rectangle, b: Rectangle) =>
  a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;

const within = (inner: Rectangle, outer: Rectangle) =>
  inner.x >= outer.x &&
  inner.y >= outer.y &&
  inner.x + inner.width <= outer.x + outer.width &&
  inner.y + inner.height <= outer.y + outer.height;

test.each([
  ["a host", HOST],
  ["an empty host", EMPTY],
])("layoutFigure() of %s: nothing overlaps, and all is in the picture", (_, picture) => {
  const layout: FigureLayout = layoutFigure(picture);
  const page = { x: 0, y: 0, width: layout.width, height: layout.height };
  const boxes = [...layout.bases, ...layout.cards];
  for (const [i, box] of boxes.entries()) {
    expect(within(box, page)).toBe(true);
    for (const other of boxes.slice(i + 1)) expect(overlaps(box, other)).toBe(false);
  }
  for (const base of layout.bases) expect(within(base, layout.frame)).toBe(true);
  for (const card of layout.cards) expect(overlaps(card, layout.frame)).toBe(false);
});

test("layoutFigure() has one card for a container on two networks, and a cable to each of its interfaces", () => {
  const { cards, cables } = layoutFigure(HOST);
  const card = cards.find(({ title }) => title === "app & co");
  expect(cards.filter(({ title }) => title === "app & co")).toHaveLength(1);
  expect(card?.sections.map(({ ifname, network }) => [ifname, network])).toEqual([
    ["eth0", "blue"],
    ["eth1", "green"],
  ]);
  const ends = cables
    .filter(({ cable }) => cable.end?.title === "app & co")
    .map(({ points }) => points.at(-1));
  expect(ends.map((point) => point?.[0])).toEqual([card?.x, card?.x]);
  expect(new Set(ends.map((point) => point?.[1])).size).toBe(2);
});

test("layoutFigure() has every cable begin at its base and end at its card", () => {
  const { cables, bases, cards } = layoutFigure(HOST);
  expect(cables).toHaveLength(6);
  for (const { cable, points } of cables) {
    const base = bases.find((each) => each.base.cables.includes(cable));
    const card = cards.find(({ title }) => title === cable.end?.title);
    const [[x, y] = [0, 0]] = points;
    const [endX, endY] = points.at(-1) ?? [0, 0];
    expect([base?.x, (base?.x ?? 0) + (base?.width ?? 0)]).toContain(x);
    expect(y).toBeGreaterThan(base?.y ?? 0);
    expect(y).toBeLessThan((base?.y ?? 0) + (base?.height ?? 0));
    expect([card?.x, (card?.x ?? 0) + (card?.width ?? 0)]).toContain(endX);
    expect(endY).toBeGreaterThan(card?.y ?? 0);
    expect(endY).toBeLessThan((card?.y ?? 0) + (card?.height ?? 0));
  }
});

/** The names of elements that begin and do not end where they should. */
function unclosed(xml: string): string[] {
  const open: string[] = [];
  for (const [, isEnd, name = "", isEmpty] of xml.matchAll(/<(\/?)([a-z]+)[^>]*?(\/?)>/g)) {
    if (isEnd && open.pop() !== name) return [...open, name];
    if (!isEnd && !isEmpty) open.push(name);
  }
  return open;
}

test("drawFigure() is well-formed, needs nothing from elsewhere, and can be read aloud", () => {
  const svg = drawFigure(HOST);
  expect(unclosed(svg)).toEqual([]);
  expect(svg).toStartWith("<svg ");
  expect(svg.match(/https?:[^"]*/g)).toEqual(["http://www.w3.org/2000/svg"]);
  expect(svg).not.toMatch(/url\(|<script|<image|NaN|undefined/);
  expect(svg).toContain("<title>The network of host</title>");
  expect(svg).toContain("docker0 (bridge of blue) leads to app &amp; co eth0, db eth0;");
  expect(svg).toContain(">8080-&gt;80/tcp</text>");
});

test("element() rounds numbers, escapes text, and leaves out what is not given", () => {
  expect(element("rect", { x: 1.25, class: 'a"<b>', rx: undefined })).toBe(
    '<rect x="1.3" class="a&quot;&lt;b&gt;"/>',
  );
  expect(element("text", {}, escaped("a & \x07b"))).toBe("<text>a &amp; ?b</text>");
});
