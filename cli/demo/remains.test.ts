import { expect, test } from "bun:test";
import { differences, type Remains } from "./remains.ts";

const before: Remains = {
  links: ["lo"],
  namespaces: ["web"],
  leases: [],
  records: [],
  results: ["net-c1-eth0"],
  ports: ["tcp/8080/0.0.0.0"],
  claims: [],
  elements: [],
};

test("differences() names what has come and what has gone, by kind", () => {
  const after = { ...before, links: ["lo", "br0"], leases: ["net/10.0.0.2"], results: [], ports: [] };
  expect(differences(before, after)).toEqual([
    "link br0",
    "lease net/10.0.0.2",
    "no result net-c1-eth0",
    "no port tcp/8080/0.0.0.0",
  ]);
  expect(differences(before, before)).toEqual([]);
});
