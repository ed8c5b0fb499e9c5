import { expect, test } from "bun:test";
import { drawPicture, type PictureEndpoint } from "./picture.ts";

const endpoint = (base: string, address: string, ifname = "eth0"): PictureEndpoint => ({
  ifname,
  addresses: [address],
  label: "veth1a2b3c4d",
  base,
});

test("drawPicture() draws sandboxes on a bridge", () => {
  const picture = drawPicture({
    sandboxes: [
      { name: "web", endpoints: [endpoint("docker0", "172.17.0.2/16")] },
      { name: "client", endpoints: [endpoint("docker0", "172.17.0.3/16")] },
    ],
    bases: [{ name: "docker0", addresses: ["172.17.0.1/16"] }],
  });
  expect(picture).toEqual([
    "┌─ host ────────────────────────────────┐",
    "│  ┌─ web ─────────┐ ┌─ client ──────┐  │",
    "│  │      eth0     │ │      eth0     │  │",
    "│  │ 172.17.0.2/16 │ │ 172.17.0.3/16 │  │",
    "│  └───────┬───────┘ └───────┬───────┘  │",
    "│     veth1a2b3c4d      veth1a2b3c4d    │",
    "│  ┌───────┴─────────────────┴───────┐  │",
    "│  │             docker0             │  │",
    "│  │          172.17.0.1/16          │  │",
    "│  └─────────────────────────────────┘  │",
    "└───────────────────────────────────────┘",
  ]);
});

test("drawPicture() draws a sandbox on two bridges, in 80 columns", () => {
  const picture = drawPicture({
    sandboxes: [
      { name: "web", endpoints: [endpoint("front", "10.10.0.2/24")] },
      {
        name: "app",
        endpoints: [endpoint("front", "10.10.0.3/24"), endpoint("back", "10.20.0.3/24", "eth1")],
      },
      { name: "db", endpoints: [endpoint("back", "10.20.0.2/24")] },
    ],
    bases: [
      { name: "front", addresses: ["10.10.0.1/24"] },
      { name: "back", addresses: [] },
    ],
  });
  expect(picture).toEqual([
    "┌─ host ────────────────────────────────────────────────────────────────────┐",
    "│  ┌─ web ─────────┐ ┌─ app ───────────────────────────┐ ┌─ db ──────────┐  │",
    "│  │      eth0     │ │      eth0              eth1     │ │      eth0     │  │",
    "│  │  10.10.0.2/24 │ │  10.10.0.3/24      10.20.0.3/24 │ │  10.20.0.2/24 │  │",
    "│  └───────┬───────┘ └───────┬─────────────────┬───────┘ └───────┬───────┘  │",
    "│     veth1a2b3c4d      veth1a2b3c4d      veth1a2b3c4d      veth1a2b3c4d    │",
    "│  ┌───────┴─────────────────┴───────┐ ┌───────┴─────────────────┴───────┐  │",
    "│  │              front              │ │               back              │  │",
    "│  │           10.10.0.1/24          │ │                                 │  │",
    "│  └─────────────────────────────────┘ └─────────────────────────────────┘  │",
    "└───────────────────────────────────────────────────────────────────────────┘",
  ]);
});

test("drawPicture() draws a sandbox that is connected to nothing, with what is in it", () => {
  const picture = drawPicture({
    sandboxes: [{ name: "alone", inside: ["lo", "127.0.0.1/8"], endpoints: [] }],
    bases: [],
  });
  expect(picture).toEqual([
    "┌─ host ──────────────┐",
    "│  ┌─ alone ───────┐  │",
    "│  │       lo      │  │",
    "│  │  127.0.0.1/8  │  │",
    "│  └───────────────┘  │",
    "└─────────────────────┘",
  ]);
});

test("drawPicture() draws a host outside, and the cable to it", () => {
  const picture = drawPicture({
    sandboxes: [{ name: "web", endpoints: [endpoint("br0", "10.0.0.2/24")] }],
    bases: [{ name: "br0", addresses: [] }],
    outside: {
      name: "outside",
      addresses: ["192.0.2.9/24"],
      uplink: "eth0",
      hostAddresses: ["192.0.2.1/24"],
    },
  });
  expect(picture.slice(-7)).toEqual([
    "└──────────┬──────────┘",
    "         eth0",
    "     192.0.2.1/24",
    "┌─ outside ┴──────────┐",
    "│        eth0         │",
    "│    192.0.2.9/24     │",
    "└─────────────────────┘",
  ]);
});

test("drawPicture() draws the uplink once, where endpoints are on it", () => {
  const outside = { name: "outside", addresses: [], uplink: "eth0", hostAddresses: ["192.0.2.1/24"] };
  const sandboxes = [{ name: "web", endpoints: [endpoint("eth0", "192.0.2.50/24")] }];
  const picture = drawPicture({ sandboxes, bases: [{ name: "eth0", addresses: [] }], outside });
  expect(picture.slice(-5)).toEqual([
    "│  └───────────────┘  │",
    "└──────────┬──────────┘",
    "┌─ outside ┴──────────┐",
    "│        eth0         │",
    "└─────────────────────┘",
  ]);
});

test("drawPicture() makes columns as wide as the longest text", () => {
  const address = "fd00:1111:2222:3333::2/64";
  const sandboxes = [{ name: "web", endpoints: [endpoint("br0", address)] }];
  const picture = drawPicture({ sandboxes, bases: [{ name: "br0", addresses: [] }] });
  expect(new Set(picture.map((line) => line.length)).size).toBe(1);
  expect(picture[3]).toContain(`│ ${address} │`);
});

test("drawPicture() refuses an interface whose endpoints are not side by side", () => {
  const sandboxes = ["a", "b", "a"].map((base, i) => ({
    name: `s${i}`,
    endpoints: [endpoint(base, "10.0.0.2/24")],
  }));
  const bases = ["a", "b"].map((name) => ({ name, addresses: [] }));
  expect(() => drawPicture({ sandboxes, bases })).toThrow('Cannot draw "a"');
});
