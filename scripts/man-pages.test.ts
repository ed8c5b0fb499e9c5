import { expect, test } from "bun:test";
import { staleManPages } from "./man-pages.ts";

test("staleManPages() finds none: the manual says what the commands' help says", async () => {
  expect(await staleManPages()).toEqual([]);
}, 30_000);
