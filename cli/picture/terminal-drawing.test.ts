import { expect, test } from "bun:test";
import { EMPTY, HOST } from "./host-pictures.golden.ts";
import { drawHost } from "./terminal-drawing.ts";

test("drawHost() in 80 columns", () => {
  expect(drawHost(HOST, 80)).toEqual([
    "┌─ host ────────────────────┐",
    "│ docker0  bridge of blue   │",
    "│ 172.17.0.1/16             │",
    "│ │                         │    ┌─ app & co ──────────────────────────────────┐",
    "│ ├─ veth1a2b3c4d ──────────┼────┤ eth0  172.17.0.2/16                         │",
    "│ │                         │    │       fd00:17::2/64                         │",
    "│ │                         │    │       8080->80/tcp                          │",
    "│ │                         │    └─────────────────────────────────────────────┘",
    "│ │                         │    ┌─ db ────────────────────────────────────────┐",
    "│ └─ veth5e6f7a8b  (down) ──┼────┤ eth0  172.17.0.3/16                         │",
    "│                           │    └─────────────────────────────────────────────┘",
    "│                           │",
    "│ green0  bridge of green   │",
    "│ │                         │    ┌─ app & co ──────────────────────────────────┐",
    "│ └─ vethdeadbeef ──────────┼────┤ eth1  10.2.0.3/24                           │",
    "│                           │    └─────────────────────────────────────────────┘",
    "│                           │",
    "│ vxbr42  bridge of over    │",
    "│ 172.17.0.1/16             │",
    "│ │                         │    ┌─ other hosts ───────────────────────────────┐",
    "│ └─ vx42  VXLAN 42 ────────┼────┤ 192.0.2.11                                  │",
    "│                           │    │ 192.0.2.12                                  │",
    "│                           │    └─────────────────────────────────────────────┘",
    "│                           │",
    "│ eth0  uplink              │",
    "│ 192.0.2.1/24              │",
    "│ ├─────────────────────────┼────→ outside, by 192.0.2.254",
    "│ │                         │    ┌─ kube-system/node-local-dns-with-a-long-n… ─┐",
    "│ └─ macvlan mode bridge ───┼────┤ eth0  192.0.2.100/24                        │",
    "│                           │    └─────────────────────────────────────────────┘",
    "│                           │",
    "│ and wg0 (wireguard)       │",
    "└───────────────────────────┘",
    "No cable leads from here to blue, sandbox-without-a-cable.",
  ]);
});

test("drawHost() in 160 columns", () => {
  expect(drawHost(HOST, 160)).toEqual([
    "┌─ host ────────────────────┐",
    "│ docker0  bridge of blue   │",
    "│ 172.17.0.1/16             │",
    "│ │                         │    ┌─ app & co ──────────────────────────────────────┐",
    "│ ├─ veth1a2b3c4d ──────────┼────┤ eth0  172.17.0.2/16                             │",
    "│ │                         │    │       fd00:17::2/64                             │",
    "│ │                         │    │       8080->80/tcp                              │",
    "│ │                         │    └─────────────────────────────────────────────────┘",
    "│ │                         │    ┌─ db ────────────────────────────────────────────┐",
    "│ └─ veth5e6f7a8b  (down) ──┼────┤ eth0  172.17.0.3/16                             │",
    "│                           │    └─────────────────────────────────────────────────┘",
    "│                           │",
    "│ green0  bridge of green   │",
    "│ │                         │    ┌─ app & co ──────────────────────────────────────┐",
    "│ └─ vethdeadbeef ──────────┼────┤ eth1  10.2.0.3/24                               │",
    "│                           │    └─────────────────────────────────────────────────┘",
    "│                           │",
    "│ vxbr42  bridge of over    │",
    "│ 172.17.0.1/16             │",
    "│ │                         │    ┌─ other hosts ───────────────────────────────────┐",
    "│ └─ vx42  VXLAN 42 ────────┼────┤ 192.0.2.11                                      │",
    "│                           │    │ 192.0.2.12                                      │",
    "│                           │    └─────────────────────────────────────────────────┘",
    "│                           │",
    "│ eth0  uplink              │",
    "│ 192.0.2.1/24              │",
    "│ ├─────────────────────────┼────→ outside, by 192.0.2.254",
    "│ │                         │    ┌─ kube-system/node-local-dns-with-a-long-name ───┐",
    "│ └─ macvlan mode bridge ───┼────┤ eth0  192.0.2.100/24                            │",
    "│                           │    └─────────────────────────────────────────────────┘",
    "│                           │",
    "│ and wg0 (wireguard)       │",
    "└───────────────────────────┘",
    "No cable leads from here to blue, sandbox-without-a-cable.",
  ]);
});

test("drawHost() draws a host without links", () => {
  expect(drawHost(EMPTY, 80)).toEqual([
    "┌─ host ───────────────────┐",
    "│ no links but lo          │",
    "└──────────────────────────┘",
  ]);
});

test("drawHost() names a few namespaces of many, those with names first", () => {
  const islands = ["pid 7 (sh)", "a", "b", "pid 9 (sh)", "c", "d", "e"];
  expect(drawHost({ ...EMPTY, islands }, 80).at(-1)).toBe(
    "No cable leads from here to a, b, c, d, e, pid 7 (sh), and 1 other namespace.",
  );
});

test("drawHost() is never wider than it is told", () => {
  for (const width of [60, 72, 80, 100, 132, 200]) {
    for (const line of drawHost(HOST, width)) expect([...line].length).toBeLessThanOrEqual(width);
  }
});
