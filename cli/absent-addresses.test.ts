import { expect, test } from "bun:test";
import { parseAddress } from "../lib/netaddr/address.ts";
import { findAbsent } from "./absent-addresses.ts";

const PRESENT = ["127.0.0.1", "192.0.2.1", "2001:db8::1"].map(parseAddress);

test.each([
  [undefined, false],
  ["0.0.0.0", false],
  ["::", false],
  ["127.0.0.9", false],
  ["192.0.2.1", false],
  ["2001:db8:0::1", false],
  ["192.0.2.99", true],
  ["2001:db8::99", true],
])("findAbsent() of a port on %p: %p", (text, isAbsent) => {
  const hostIp = text === undefined ? undefined : parseAddress(text);
  const found = findAbsent([{ protocol: "tcp", port: 8080, hostIp }], PRESENT);
  expect(found).toEqual(isAbsent && hostIp ? [hostIp] : []);
});
