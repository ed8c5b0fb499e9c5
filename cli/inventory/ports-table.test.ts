import { expect, test } from "bun:test";
import { parseAddress } from "../../lib/netaddr/address.ts";
import type { Element } from "../../lib/weft-table/element.ts";
import { ATTACHMENTS } from "./attachments.golden.ts";
import type { FilterView } from "./filter.ts";
import { listPorts } from "./ports.ts";
import { formatPorts } from "./ports-table.ts";

const [WEB] = ATTACHMENTS;
if (!WEB) throw new Error("no attachment");

const ELEMENTS: readonly Element[] = [
  { set: "port4", key: ["tcp", 8080], data: ["172.17.0.2", 80] },
  { set: "port6", key: ["tcp", 8080], data: ["fd00:17::2", 80] },
  { set: "hostport4", key: ["192.0.2.1", "udp", 5353], data: ["172.17.0.2", 53] },
  { set: "hairpin4", key: ["docker0", "172.17.0.2"] },
];

const recordOf = (details: object) => ({
  network: "blue",
  containerId: WEB.containerId,
  ifname: "eth0",
  plugin: "portmap",
  netns: WEB.netns,
  details: { addresses: ["172.17.0.2/16", "fd00:17::2/64"], ...details },
});

const filterWith = (elements: readonly Element[]): FilterView => ({
  tables: [{ name: "inet weft", state: "there" }],
  elements: elements.map((element) => ({ ...element, comment: "" })),
  userRules: 0,
});

const ADDRESSES = ["127.0.0.1", "192.0.2.1"].map(parseAddress);

const published = (elements: readonly Element[], addresses = ADDRESSES) =>
  listPorts([{ ...WEB, records: [recordOf({ backend: "nftables", elements: ELEMENTS })] }], {
    addresses,
    filter: filterWith(elements),
    isLacking: () => false,
  });

test("listPorts() has a port for open when each of its elements is there", () => {
  expect(published(ELEMENTS).map(({ hostPort, state }) => [hostPort, state])).toEqual([
    [5353, "open"],
    [8080, "open"],
  ]);
  expect(published(ELEMENTS.slice(1)).map(({ state }) => state)).toEqual(["open", "missing"]);
});

test("listPorts() says where a port leads, of the families that its address allows", () => {
  expect(published(ELEMENTS).map(({ to }) => to)).toEqual([
    ["172.17.0.2:53"],
    ["172.17.0.2:80", "[fd00:17::2]:80"],
  ]);
});

test("listPorts() says where nobody has the address that a port is published on", () => {
  const states = (elements: readonly Element[]) =>
    published(elements, ADDRESSES.slice(0, 1)).map(({ state }) => state);
  expect(states(ELEMENTS)).toEqual(["no such address", "open"]);
  expect(states([])).toEqual(["missing", "missing"]);
});

test("listPorts() asks CHECK of iptables, and nobody where weft made no rules", () => {
  const states = (details: object | undefined, isLacking: boolean) =>
    listPorts([{ ...WEB, records: details ? [recordOf(details)] : [] }], {
      addresses: ADDRESSES,
      filter: filterWith([]),
      isLacking: () => isLacking,
    }).map(({ by, state }) => `${by} ${state}`);
  expect(states({ backend: "iptables" }, false)).toEqual(["iptables open", "iptables open"]);
  expect(states({ backend: "iptables" }, true)).toEqual(["iptables missing", "iptables missing"]);
  expect(states(undefined, true)).toEqual(["other unknown", "other unknown"]);
});

test("listPorts() finds a port in the element of a range, and in one of conditions", () => {
  const ports = [8000, 8001, 8002].map((port) => ({
    hostPort: port,
    containerPort: port,
    protocol: "tcp",
    hostIP: "",
  }));
  const of = (element: Element) =>
    listPorts([{ ...WEB, ports, records: [recordOf({ backend: "nftables", elements: [element] })] }], {
      addresses: ADDRESSES,
      filter: filterWith([element]),
      isLacking: () => false,
    }).map(({ state }) => state);
  expect(of({ set: "range4", key: ["tcp", "8000-8001"], data: ["172.17.0.2"] })).toEqual([
    "open",
    "open",
    "missing",
  ]);
  expect(of({ set: "condition4", key: ["tcp", 8002], data: ["jump condition4-0"] })).toEqual([
    "missing",
    "missing",
    "open",
  ]);
});

const RANGE = [9000, 9001, 9002].map((port) => ({
  hostPort: port,
  containerPort: port + 100,
  protocol: "tcp",
  hostIP: "",
}));

const SHOWN = [
  ...published(ELEMENTS.slice(1)),
  ...listPorts([{ ...WEB, container: "default/registry-7c9d8f6b5-qwert", ports: RANGE }], {
    addresses: ADDRESSES,
    filter: filterWith([]),
    isLacking: () => false,
  }),
];

test("formatPorts() in 80 columns", () => {
  expect(formatPorts(SHOWN, 80).split("\n")).toEqual([
    "PORT           ADDRESS    LEADS TO                CONTAINER     NETWORK  STATE",
    "5353/udp       192.0.2.1  172.17.0.2:53           web           blue     open",
    "8080/tcp       any        172.17.0.2:80 …         web           blue     missing",
    "9000-9002/tcp  any        172.17.0.2:9100-9102 …  default/reg…  blue     unknown",
  ]);
});

test("formatPorts() leaves out what there is no room for, in place of cutting it below use", () => {
  expect(formatPorts(SHOWN.slice(0, 2), 40).split("\n")).toEqual([
    "PORT      CONTAINER  STATE",
    "5353/udp  web        open",
    "8080/tcp  web        missing",
  ]);
  const [, dns] = formatPorts(SHOWN.slice(0, 2), 60).split("\n");
  expect(dns).toBe("5353/udp  172.17.0.2:53                  web        open");
});

test("formatPorts() in 160 columns", () => {
  expect(formatPorts(SHOWN, 160).split("\n")).toEqual([
    "PORT           ADDRESS    LEADS TO                                     CONTAINER                         NETWORK  BY        STATE",
    "5353/udp       192.0.2.1  172.17.0.2:53                                web                               blue     nftables  open",
    "8080/tcp       any        172.17.0.2:80 [fd00:17::2]:80                web                               blue     nftables  missing",
    "9000-9002/tcp  any        172.17.0.2:9100-9102 [fd00:17::2]:9100-9102  default/registry-7c9d8f6b5-qwert  blue     other     unknown",
  ]);
});
