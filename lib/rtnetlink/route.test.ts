import { describe, expect, test } from "bun:test";
import { parseAddress } from "../netaddr/address.ts";
import { parsePrefix } from "../netaddr/prefix.ts";
import { describeMessage, expectSameMessage, type Layout } from "../testing/golden.ts";
import { answeredWith, messageOf } from "../testing/recorded.ts";
import * as golden from "./route.golden.ts";
import {
  addRoute,
  appendRoute,
  deleteRoute,
  formatRoute,
  listRoutes,
  metricAttributes,
  type Route,
  RT_SCOPE_LINK,
  replaceRoute,
  routeAttributes,
  routeTo,
} from "./route.ts";

const ROUTE: Layout = {
  structBytes: 12,
  set: routeAttributes,
  inside: { metrics: { set: metricAttributes } },
};
const oif = 3;
const viaTable1000: Route = {
  dst: parsePrefix("10.9.0.0/16"),
  gateway: parseAddress("10.22.0.1"),
  oif,
  mtu: 1400,
  advmss: 1360,
  priority: 50,
  table: 1000,
  prefsrc: parseAddress("10.22.0.5"),
  onlink: true,
};
/**
 * What ip says of a default route beside its length of 0, and the kernel takes from that
 * (rtm_to_fib6_config()).
 */
const UNSPECIFIED_V6 = "RTA_DST 00000000000000000000000000000000";

describe("addRoute()", () => {
  test("addRoute() says what ip says: metrics, priority, a table above 255, source, onlink", () => {
    expectSameMessage(
      messageOf((socket) => addRoute(socket, viaTable1000)),
      golden.ADD_V4,
      ROUTE,
    );
  });

  test("addRoute() says what ip says of a route of scope link", () => {
    const route = { dst: parsePrefix("192.0.2.0/24"), oif, scope: RT_SCOPE_LINK };
    expectSameMessage(
      messageOf((socket) => addRoute(socket, route)),
      golden.ADD_SCOPE_LINK,
      ROUTE,
    );
  });

  test("addRoute() leaves the scope at global without a gateway, unlike ip", () => {
    // As the reference plugins do; ip then says "link".
    const route = { dst: parsePrefix("192.0.2.0/24"), oif };
    expectSameMessage(
      messageOf((socket) => addRoute(socket, route)),
      golden.ADD_SCOPE_LINK,
      ROUTE,
      {
        onlyOurs: ["struct 02180000fe03000100000000"],
        onlyTheirs: ["struct 02180000fe03fd0100000000"],
      },
    );
  });

  test("addRoute() says what ip says of an IPv6 default route", () => {
    const route = { dst: parsePrefix("::/0"), gateway: parseAddress("fd00::1"), oif };
    const message = messageOf((socket) => addRoute(socket, route));
    expectSameMessage(message, golden.ADD_V6_DEFAULT, ROUTE, { onlyTheirs: [UNSPECIFIED_V6] });
  });
});

test.each([
  ["MTU", { mtu: 1400 }, "RTA_METRICS RTAX_MTU 78050000"],
  ["MSS", { advmss: 1360 }, "RTA_METRICS RTAX_ADVMSS 50050000"],
])("addRoute() says the %s alone", (_what, metrics, line) => {
  const route = { dst: parsePrefix("192.0.2.0/24"), oif, ...metrics };
  const lines = describeMessage(
    messageOf((socket) => addRoute(socket, route)),
    ROUTE,
  );
  expect(lines.filter((each) => each.startsWith("RTA_METRICS"))).toEqual([line]);
});

test.each([
  [255, "struct 02180000ff03000100000000", []],
  [256, "struct 021800000003000100000000", ["RTA_TABLE 00010000"]],
])(
  "addRoute() says table %d in the struct, or in an attribute where that is too small",
  (table, struct, more) => {
    const route = { dst: parsePrefix("192.0.2.0/24"), oif, table };
    const lines = describeMessage(
      messageOf((socket) => addRoute(socket, route)),
      ROUTE,
    );
    expect(lines.slice(1)).toEqual([struct, "RTA_DST c0000200", "RTA_OIF 03000000", ...more]);
  },
);

test("replaceRoute() says what ip says of a default route in a table below 256", () => {
  const route = { dst: parsePrefix("0.0.0.0/0"), gateway: parseAddress("10.22.0.1"), oif, table: 100 };
  expectSameMessage(
    messageOf((socket) => replaceRoute(socket, route)),
    golden.REPLACE_DEFAULT,
    ROUTE,
  );
});

test("appendRoute() says what ip says", () => {
  const route = { dst: parsePrefix("::/0"), gateway: parseAddress("fd00::2"), oif, priority: 5 };
  const message = messageOf((socket) => appendRoute(socket, route));
  expectSameMessage(message, golden.APPEND_V6, ROUTE, { onlyTheirs: [UNSPECIFIED_V6] });
});

test("deleteRoute() says what ip says: any scope, any type", () => {
  const route = { dst: parsePrefix("192.0.2.0/24"), oif };
  expectSameMessage(
    messageOf((socket) => deleteRoute(socket, route)),
    golden.DELETE,
    ROUTE,
  );
});

describe("routeTo()", () => {
  const asked = (text: string) =>
    messageOf((socket) => {
      // The fake kernel acknowledges, which is no answer to this.
      expect(() => routeTo(socket, parseAddress(text))).toThrow("acknowledged without an answer");
    });

  test("routeTo() says what ip says", () => {
    // ip also asks for the table (RTM_F_LOOKUP_TABLE), which strict checking refuses for IPv6.
    const struct = (theirs: string, ours: string) => ({ onlyOurs: [ours], onlyTheirs: [theirs] });
    const v4 = struct("struct 022000000000000000100000", "struct 022000000000000000000000");
    const v6 = struct("struct 0a8000000000000000100000", "struct 0a8000000000000000000000");
    expectSameMessage(asked("10.22.0.9"), golden.GET_V4, ROUTE, v4);
    expectSameMessage(asked("fd00::9"), golden.GET_V6, ROUTE, v6);
  });

  test("routeTo() reads an answer as ip -j showed it", () => {
    const address = parseAddress("10.22.0.9");
    expect(answeredWith(golden.GOT_V4, (socket) => routeTo(socket, address))).toEqual({
      oif: 3,
      prefixLength: 32,
      isLocal: false,
      prefsrc: parseAddress("10.22.0.5"),
      mtu: undefined,
    });
    expect(answeredWith(golden.GOT_LOCAL, (socket) => routeTo(socket, address))).toEqual({
      oif: 1,
      prefixLength: 32,
      isLocal: true,
      prefsrc: parseAddress("10.22.0.5"),
      mtu: undefined,
    });
  });
});

describe("listRoutes()", () => {
  test.each([
    [255, "struct 02000000ff00000100000000"],
    [256, "struct 020000000000000100000000"],
  ])("listRoutes() asks the kernel for table %d alone, and for unicast routes", (table, struct) => {
    const message = messageOf((socket) => answeredNothing(() => listRoutes(socket, { family: 4, table })));
    expect(describeMessage(message, ROUTE)).toEqual([
      "type 26 flags 0x301", // RTM_GETROUTE, NLM_F_REQUEST, NLM_F_DUMP
      struct,
      `RTA_TABLE ${table === 255 ? "ff00" : "0001"}0000`,
    ]);
  });

  test("listRoutes() reads an IPv4 route as ip -j -d showed it", () => {
    // {"dst":"10.9.0.0/16","gateway":"10.22.0.1","dev":"veth0a","protocol":"boot","scope":"global",
    // "prefsrc":"10.22.0.5","metric":50,"flags":["onlink"],"metrics":[{"mtu":1400,"advmss":1360}]}
    const RTPROT_BOOT = 3;
    const routes = answeredWith(golden.ANSWER_V4, (socket) => listRoutes(socket, { family: 4, table: 1000 }));
    expect(routes).toEqual([{ ...viaTable1000, scope: 0, protocol: RTPROT_BOOT }]);
  });

  test("listRoutes() reads IPv6 routes as ip -j -d showed them", () => {
    // [{"dst":"fd00::/64","protocol":"kernel","metric":256},
    // {"dst":"default","gateway":"fd00::2","protocol":"boot","metric":5},
    // {"dst":"default","gateway":"fd00::1","protocol":"boot","metric":1024}]
    const routes = answeredWith(golden.ANSWER_V6, (socket) => listRoutes(socket, { family: 6, oif }));
    expect(routes).toMatchObject([
      { dst: parsePrefix("fd00::/64"), gateway: undefined, priority: 256, protocol: 2, table: 254, oif },
      { dst: parsePrefix("::/0"), gateway: parseAddress("fd00::2"), priority: 5, protocol: 3, onlink: false },
      { dst: parsePrefix("::/0"), gateway: parseAddress("fd00::1"), priority: 1024, protocol: 3 },
    ]);
  });
});

/** An acknowledgement is an empty dump. */
function answeredNothing(list: () => unknown[]): void {
  expect(list()).toEqual([]);
}

test.each([
  [{ dst: parsePrefix("0.0.0.0/0") }, "default"],
  [{ dst: parsePrefix("::/0"), gateway: parseAddress("fd00::1") }, "default via fd00::1"],
  [viaTable1000, "10.9.0.0/16 via 10.22.0.1 table 1000 metric 50"],
])("formatRoute() says it as ip does (%#)", (route: Route, text) => {
  expect(formatRoute(route)).toBe(text);
});
