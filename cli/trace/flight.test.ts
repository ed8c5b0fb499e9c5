import { expect, test } from "bun:test";
import { type End, type Flight, tryAll, UNKNOWN_MAC } from "./flight.ts";
import type { Node } from "./node.ts";
import { Trail } from "./trail.ts";

const node = {} as Node; // nothing is asked of it
const packet = {} as Flight["packet"]; // nor of this
const flight: Flight = {
  packet,
  frame: { source: UNKNOWN_MAC, destination: UNKNOWN_MAC },
  mark: 0,
  tracked: undefined,
  trail: new Trail(),
};

/** What tryAll() makes of ways that end so, and how many of them it went. */
function tried(...verdicts: readonly End["verdict"][]) {
  let gone = 0;
  const ways = verdicts.map((verdict, at) => (copy: Flight): End => {
    gone++;
    return { verdict, reason: `way ${at}`, flight: copy, at: { node, link: undefined } };
  });
  return { end: tryAll(node, flight, ways)?.reason, gone };
}

test("tryAll() takes the copy that came furthest", () => {
  expect(tried("ignored", "left", "dropped")).toEqual({ end: "way 1", gone: 3 });
});

test("tryAll() sends no further copies when one has arrived: a bridge may have a thousand ports", () => {
  expect(tried("dropped", "answered", "left", "answered")).toEqual({ end: "way 1", gone: 2 });
  expect(tried("delivered", "left")).toEqual({ end: "way 0", gone: 1 });
});
