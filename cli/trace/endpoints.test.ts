import { expect, test } from "bun:test";
import { refuseOtherFamily } from "./endpoints.ts";

test("refuseOtherFamily() names the address that is not of the family asked for", () => {
  expect(() => refuseOtherFamily(["web", "2001:db8::9"], 4)).toThrow(
    "--ipv4: 2001:db8::9 is no address of IPv4",
  );
  expect(() => refuseOtherFamily(["192.0.2.1", "web"], 6)).toThrow("192.0.2.1 is no address of IPv6");
  for (const family of [4, undefined] as const) refuseOtherFamily(["web", "192.0.2.1"], family);
});
