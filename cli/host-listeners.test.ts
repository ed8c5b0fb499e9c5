import { expect, test } from "bun:test";
import { createServer } from "node:net";
import { formatAddress } from "../lib/netaddr/address.ts";
import { findHolders, listListeners, parseListeners } from "./host-listeners.ts";

// cat /proc/net/tcp, with a listener on 127.0.0.1:8080 and a connection to it
const TCP = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt uid timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 3101 1 0 100 0 0 10 0
   1: 0100007F:1F90 0100007F:A1B2 01 00000000:00000000 00:00000000 00000000 0 0 3102 1 0 20 4 30 10 -1
`;
// cat /proc/net/udp6, with sockets on [2001:db8::1]:53, on ::ffff:192.0.2.1 port 5353 and connected to ::1
const ANY6 = "0".repeat(32);
const REST = "00000000:00000000 00:00000000 00000000 0 0";
const UDP6 = `  sl  local_address   remote_address   st tx_queue rx_queue tr tm
  1: B80D0120000000000000000001000000:0035 ${ANY6}:0000 07 ${REST} 21 2 0
  2: 0000000000000000FFFF0000010200C0:14E9 ${ANY6}:0000 07 ${REST} 22 2 0
  3: 00000000000000000000000001000000:0035 00000000000000000000000001000000:D431 01 ${REST} 23 2 0
`;

const told = (protocol: "tcp" | "udp", table: string) =>
  parseListeners(protocol, table).map(({ address, port, inode }) => [formatAddress(address), port, inode]);

test("parseListeners() reads addresses and ports of sockets that wait for anyone", () => {
  expect(told("tcp", TCP)).toEqual([["127.0.0.1", 8080, "3101"]]);
  expect(told("udp", UDP6)).toEqual([
    ["2001:db8::1", 53, "21"],
    ["192.0.2.1", 5353, "22"],
  ]);
  expect(told("tcp", "")).toEqual([]);
});

test("findHolders() finds the process that listListeners() shows a socket of", async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    const bound = server.address();
    const port = typeof bound === "object" ? bound?.port : undefined;
    const own = listListeners().filter((listener) => listener.protocol === "tcp" && listener.port === port);
    expect(own).toMatchObject([{ address: { family: 4, value: 0x7f00_0001n } }]);
    const holders = findHolders(new Set(own.map(({ inode }) => inode)));
    expect(holders.get(own[0]?.inode ?? "")?.pid).toBe(process.pid);
  } finally {
    server.close();
  }
});
