/** Which connections are forgotten, on the kernel this machine runs; the oracle is conntrack -L. */
import { afterAll, beforeAll, beforeEach, expect } from "bun:test";
import { parseAddress } from "../netaddr/address.ts";
import { parsePrefix } from "../netaddr/prefix.ts";
import { type NetfilterSocket, openNetfilterSocket } from "../netfilter/socket.ts";
import { openRouteSocket, type RouteSocket } from "../rtnetlink/route-socket.ts";
import { kernelTest, lackingFor, noNetnsReason, TestNetns } from "../testing/netns.ts";
import { forgetOtherConnections, forgetOwnConnections } from "./connections.ts";
import type { PortProtocol } from "./publication.ts";

const lacking = Bun.which("conntrack")
  ? lackingFor("conntrack", "-L")
  : "needs conntrack (Debian's package of that name)";
const test = (name: string, body: () => void) => kernelTest(name, body, lacking);

let netns: TestNetns;
let netfilter: NetfilterSocket;
let host: RouteSocket;

beforeAll(async () => {
  if ((noNetnsReason ?? lacking) !== undefined) return;
  netns = await TestNetns.make();
  netfilter = openNetfilterSocket(netns.netns);
  host = openRouteSocket(netns.netns);
  netns.run(`ip link set lo up; ip addr add 10.1.1.1/32 dev lo; ip addr add fd00:1::1/128 dev lo`);
});
afterAll(() => {
  netfilter?.[Symbol.dispose]();
  host?.[Symbol.dispose]();
  netns?.[Symbol.dispose]();
});

/** Connections to ports of the host that lead to 10.9.0.2 (c1), 10.9.0.3 (c2), the host, and beyond it. */
const CONNECTIONS = [
  ["udp", "10.1.1.1", 53, "10.9.0.2"],
  ["udp", "10.1.1.1", 53, "10.9.0.3"],
  ["udp", "127.0.0.1", 53, "127.0.0.1"],
  ["udp", "8.8.8.8", 53, "8.8.8.8"],
  ["udp", "10.1.1.1", 54, "10.9.0.3"],
  ["tcp", "10.1.1.1", 53, "10.9.0.2"],
  ["tcp", "10.1.1.1", 53, "10.9.0.3"],
  ["tcp", "10.9.0.2", 53, "10.9.0.2"],
  ["sctp", "10.1.1.1", 53, "10.9.0.3"],
  ["udp", "fd00:1::1", 53, "fd00:9::2"],
  ["udp", "fd00:1::1", 53, "fd00:9::3"],
] as const;

const STATE = {
  tcp: "--state ESTABLISHED",
  udp: "",
  sctp: "--state ESTABLISHED --orig-vtag 1 --reply-vtag 2",
};

beforeEach(() => {
  if (!netns) return;
  const source = (address: string) => (address.includes(":") ? "fd00:77::7" : "192.0.2.7");
  const commands = CONNECTIONS.map(([protocol, destination, port, server], i) => {
    const [from, source0] = [4_000 + i, source(destination)];
    const original = `-s ${source0} -d ${destination} --sport ${from} --dport ${port}`;
    const reply = `-r ${server} -q ${source0} --reply-port-src ${port} --reply-port-dst ${from}`;
    return `conntrack -I -p ${protocol} -t 60 ${original} ${reply} ${STATE[protocol]} 2>/dev/null`;
  });
  netns.run(`conntrack -F 2>/dev/null; conntrack -F -f ipv6 2>/dev/null; ${commands.join("; ")}`);
});

/** What is gone, by its place in the list above. */
function gone(): number[] {
  const left = netns.run("conntrack -L 2>/dev/null; conntrack -L -f ipv6 2>/dev/null");
  return CONNECTIONS.flatMap((_, i) => (left.includes(`sport=${4_000 + i} `) ? [] : i));
}

const addresses = [parsePrefix("10.9.0.2/24"), parsePrefix("fd00:9::2/64")];
const port = (protocol: PortProtocol, hostPort = 53, hostIp?: string) => ({
  protocol,
  hostPort,
  containerPort: 53,
  hostIp: hostIp === undefined ? undefined : parseAddress(hostIp),
});

test("forgetOtherConnections() forgets what leads a port of this host elsewhere, but for tcp", () => {
  expect(gone()).toEqual([]);
  forgetOtherConnections({ netfilter, host }, { addresses, ports: [port("udp"), port("sctp"), port("tcp")] });
  expect(gone()).toEqual([1, 2, 8, 10]);
});

test("forgetOtherConnections() looks at the hostIP, and at several ports", () => {
  const ports = [port("udp", 53, "127.0.0.1"), port("udp", 54, "0.0.0.0")];
  forgetOtherConnections({ netfilter, host }, { addresses, ports });
  expect(gone()).toEqual([2, 4]);
});

test("forgetOwnConnections() forgets what leads a port to the container, of any protocol", () => {
  forgetOwnConnections(netfilter, { addresses, ports: [port("udp"), port("tcp"), port("sctp")] });
  expect(gone()).toEqual([0, 5, 9]);
});

test("forgetOwnConnections() leaves what is not of the container's ports", () => {
  forgetOwnConnections(netfilter, { addresses, ports: [port("tcp")] });
  expect(gone()).toEqual([5]);
  forgetOwnConnections(netfilter, { addresses, ports: [port("udp", 99)] });
  expect(gone()).toEqual([5]);
});
