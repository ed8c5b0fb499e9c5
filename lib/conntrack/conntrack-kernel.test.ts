/** Connections on the kernel this machine runs; the oracle is conntrack -L. */
import { afterAll, beforeAll, expect, spyOn } from "bun:test";
import { parseAddress } from "../netaddr/address.ts";
import { type NetfilterSocket, openNetfilterSocket } from "../netfilter/socket.ts";
import { kernelTest, lackingFor, noNetnsReason, TestNetns } from "../testing/netns.ts";
import { deleteConnections, listConnections } from "./conntrack.ts";

const NAT = `
table inet nat {
  chain output {
    type nat hook output priority -100
    udp dport 8000-8999 dnat ip to 10.9.0.2
    udp dport 9000-9999 dnat ip6 to [fd00:9::2]
  }
}`;
const lacking = Bun.which("conntrack")
  ? lackingFor("conntrack", "-L")
  : "needs conntrack (Debian's package of that name)";

let netns: TestNetns;
let socket: NetfilterSocket;

beforeAll(async () => {
  if ((noNetnsReason ?? lacking) !== undefined) return;
  netns = await TestNetns.make();
  socket = openNetfilterSocket(netns.netns);
  netns.run(`ip link set lo up; ip addr add 10.9.0.1/24 dev lo; ip addr add 10.9.0.2/24 dev lo
    ip addr add fd00:9::2/64 dev lo nodad; nft -f - <<'END'\n${NAT}\nEND`);
});

afterAll(() => {
  socket?.[Symbol.dispose]();
  netns?.[Symbol.dispose]();
});

/** Sends a datagram from the namespace to each. */
function send(...destinations: string[]): void {
  netns.run(destinations.map((destination) => `bash -c 'echo > /dev/udp/${destination}'`).join("\n"));
}

/** What conntrack shows, a line a connection: protocol, destination, its port, source of the reply. */
function shown(): string[] {
  const lines = netns.run("conntrack -L 2>/dev/null").trim().split("\n").filter(Boolean);
  const parse = (line: string) => {
    const all = (key: string) => [...line.matchAll(new RegExp(`\\b${key}=(\\S+)`, "g"))].map(([, it]) => it);
    return [line.split(" ")[0], all("dst")[0], all("dport")[0], all("src")[1]].join(" ");
  };
  return lines.map(parse).sort();
}

const test = (name: string, body: () => void) => kernelTest(name, body, lacking);

test("listConnections() finds what conntrack shows; deleteConnections() takes away just that", () => {
  send("10.9.0.1/8080", "10.9.0.1/8081", "127.0.0.1/8080", "10.9.0.1/53");
  send("fd00:9::2/9080", "::1/9081");
  expect(shown()).toEqual([
    "udp 10.9.0.1 53 10.9.0.1",
    "udp 10.9.0.1 8080 10.9.0.2",
    "udp 10.9.0.1 8081 10.9.0.2",
    "udp 127.0.0.1 8080 10.9.0.2",
    "udp ::1 9081 fd00:9::2",
    "udp fd00:9::2 9080 fd00:9::2",
  ]);

  const port = listConnections(socket, { family: 4, protocol: "udp", destinationPort: 8080 });
  expect(port).toHaveLength(2);
  deleteConnections(socket, port);
  const left = shown();
  expect(left).toHaveLength(4);
  expect(left.join()).not.toContain(" 8080 ");
  deleteConnections(socket, port); // they are gone: that is no error

  deleteConnections(socket, listConnections(socket, { family: 4, replySource: parseAddress("10.9.0.2") }));
  deleteConnections(socket, listConnections(socket, { family: 6, destination: parseAddress("::1") }));
  expect(shown()).toEqual(["udp 10.9.0.1 53 10.9.0.1", "udp fd00:9::2 9080 fd00:9::2"]);
  deleteConnections(socket, listConnections(socket, { family: 4 }));
  deleteConnections(socket, listConnections(socket, { family: 6 }));
  expect(shown()).toEqual([]);
});

test("listConnections() leaves the filtering to the kernel (5.8)", () => {
  send("10.9.0.1/8080", "10.9.0.1/8081", "10.9.0.1/53", "::1/9081");
  const received: number[] = [];
  const { dump } = socket;
  // biome-ignore lint/suspicious/noExplicitAny: it is generic
  const dumping = spyOn(socket, "dump").mockImplementation((request: any): any => {
    const objects = dump.call(socket, request);
    received.push(objects.length);
    return objects;
  });
  listConnections(socket, { family: 4, protocol: "udp", destinationPort: 8080 });
  listConnections(socket, { family: 4, protocol: "tcp" });
  listConnections(socket, { family: 4, replySource: parseAddress("10.9.0.2") });
  listConnections(socket, { family: 4, destination: parseAddress("10.9.0.1") });
  listConnections(socket, {
    family: 6,
    protocol: "udp",
    destinationPort: 9080,
    destination: parseAddress("::1"),
  });
  dumping.mockRestore();
  expect(received).toEqual([1, 0, 2, 3, 0]);
});
