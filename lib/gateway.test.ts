/** Gateways and default routes of an IPAM result. */
import { expect, test } from "bun:test";
import { parseResult, resultJson } from "./cni/result.ts";
import { gatewayPrefixes, withGateways } from "./gateway.ts";
import { formatPrefix } from "./netaddr/prefix.ts";

function routesOf(result: object): unknown {
  const options = { isGateway: false, isDefaultGateway: true };
  return resultJson(withGateways(parseResult(result, "1.1.0"), options), "1.1.0")["routes"];
}

test("withGateways() adds a default route for each family that has none", () => {
  const ips = [{ address: "10.0.0.5/24" }, { address: "10.1.0.5/24" }, { address: "fd00::5/64" }];
  expect(routesOf({ ips })).toEqual([
    { dst: "0.0.0.0/0", gw: "10.0.0.1" },
    { dst: "::/0", gw: "fd00::1" },
  ]);
});

test("withGateways() leaves a default route as it is, also one that names no gateway", () => {
  const ips = [{ address: "10.0.0.5/24", gateway: "10.0.0.1" }];
  for (const route of [{ dst: "0.0.0.0/0" }, { dst: "0.0.0.0/0", gw: "10.0.0.9" }])
    expect(routesOf({ ips, routes: [route] })).toEqual([route]);
});

test("gatewayPrefixes() names an address once, with the length of its network", () => {
  const { ips } = parseResult(
    {
      ips: [
        { address: "10.0.0.5/24", gateway: "10.0.0.1" },
        { address: "10.0.0.6/24", gateway: "10.0.0.1" },
        { address: "fd00::5/64" },
      ],
    },
    "1.1.0",
  );
  expect(gatewayPrefixes(ips).map(formatPrefix)).toEqual(["10.0.0.1/24"]);
});
