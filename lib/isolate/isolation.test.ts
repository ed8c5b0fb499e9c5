import { expect, test } from "bun:test";
import { faultOfChainName } from "./isolation.ts";

test.each([
  ["CNI-ADMIN", undefined],
  ["a".repeat(28), undefined],
  ["", undefined], // the default
  ["a".repeat(29), "is too long"],
  ["-A", "begins with - or !"],
  ["!A", "begins with - or !"],
  ["A B", "contains whitespace or what is not ASCII"],
  ["A\nCOMMIT", "contains whitespace or what is not ASCII"],
  ["Ä", "contains whitespace or what is not ASCII"],
])("faultOfChainName(%j) is %p", (name, fault) => {
  expect(faultOfChainName(name)).toBe(fault);
});
