/** Gateways of a routed pair; what it does to the host: plugins/ptp/main.test.ts. */
import { expect, test } from "bun:test";
import { formatAddress, parseAddress } from "./netaddr/address.ts";
import { parsePrefix } from "./netaddr/prefix.ts";
import { withHostGateways } from "./point-to-point.ts";

type Given = string | readonly [address: string, gateway: string];

const ipOf = (given: Given) =>
  typeof given === "string"
    ? { address: parsePrefix(given) }
    : { address: parsePrefix(given[0]), gateway: parseAddress(given[1]) };

function gateways(...given: readonly Given[]): string[] {
  const { ips } = withHostGateways({ ips: given.map(ipOf) });
  return ips.map(({ gateway }) => (gateway ? formatAddress(gateway) : "none"));
}

test("withHostGateways() leaves the gateways that IPAM gave", () => {
  expect(gateways(["10.1.0.5/24", "10.1.0.254"], ["fd00::5/128", "fe80::9"])).toEqual([
    "10.1.0.254",
    "fe80::9",
  ]);
});

test("withHostGateways() takes the first of a subnet, and of two addresses the other", () => {
  expect(gateways("10.1.0.5/24", "fd00::5/64", "10.2.0.7/30")).toEqual(["10.1.0.1", "fd00::1", "10.2.0.5"]);
  expect(gateways("10.1.0.4/31", "fd00::6/127")).toEqual(["10.1.0.5", "fd00::7"]);
  expect(gateways("10.1.0.5/31", "fd00::7/127")).toEqual(["10.1.0.4", "fd00::6"]);
});

test("withHostGateways() takes a link-local one where there is no subnet", () => {
  expect(gateways("10.1.0.5/32", "fd00::5/128")).toEqual(["169.254.1.1", "fe80::1"]);
});

test("withHostGateways() refuses an address of the container's own", () => {
  const message = (address: string, gateway: string) =>
    `the gateway of ${address} is the container's own address ${gateway}`;
  expect(() => gateways("10.1.0.1/24")).toThrow(message("10.1.0.1/24", "10.1.0.1"));
  expect(() => gateways(["fd00::5/64", "fd00::5"])).toThrow(message("fd00::5/64", "fd00::5"));
  expect(() => gateways("10.1.0.5/24", ["10.2.0.5/24", "10.1.0.5"])).toThrow(
    message("10.2.0.5/24", "10.1.0.5"),
  );
});

test("withHostGateways() keeps routes and DNS", () => {
  const routes = [{ dst: parsePrefix("0.0.0.0/0") }];
  const dns = { nameservers: ["10.1.0.53"] };
  expect(withHostGateways({ ips: [], routes, dns })).toEqual({ ips: [], routes, dns });
});
