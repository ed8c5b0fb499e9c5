import { expect, test } from "bun:test";
import { nearestName } from "./nearest.ts";

test("nearestName() finds what differs in few letters, and nothing else", () => {
  const names = ["blue", "red", "frontend"];
  expect(nearestName("bleu", names)).toBe("blue");
  expect(nearestName("Frontent", names)).toBe("frontend");
  expect(nearestName("db", names)).toBeUndefined();
  expect(nearestName("anything", [])).toBeUndefined();
});
