import { expect, test } from "bun:test";
import { drawHosts } from "./hosts-picture.ts";

function host(number: number, container: string) {
  const endpoint = { ifname: "eth0", addresses: [`10.8.0.${number}1/24`], label: `veth${number}` };
  return {
    title: `host${number}`,
    cable: ["eth0", `192.0.2.${number}`],
    bases: [{ name: "vxbr42", addresses: ["vx42"] }],
    sandboxes: [{ name: container, endpoints: [{ ...endpoint, base: "vxbr42" }] }],
  };
}

test("drawHosts() puts hosts side by side over their switch", () => {
  expect(`\n${drawHosts([host(1, "web"), host(2, "api")], "switch0").join("\n")}\n`).toBe(`
┌─ host1 ─────────────┐ ┌─ host2 ─────────────┐
│  ┌─ web ─────────┐  │ │  ┌─ api ─────────┐  │
│  │      eth0     │  │ │  │      eth0     │  │
│  │  10.8.0.11/24 │  │ │  │  10.8.0.21/24 │  │
│  └───────┬───────┘  │ │  └───────┬───────┘  │
│        veth1        │ │        veth2        │
│  ┌───────┴───────┐  │ │  ┌───────┴───────┐  │
│  │     vxbr42    │  │ │  │     vxbr42    │  │
│  │      vx42     │  │ │  │      vx42     │  │
│  └───────────────┘  │ │  └───────────────┘  │
└──────────┬──────────┘ └──────────┬──────────┘
         eth0                    eth0
       192.0.2.1               192.0.2.2
┌─ switch0 ┴───────────────────────┴──────────┐
└─────────────────────────────────────────────┘
`);
});

test("drawHosts() puts a lower picture's foot beside that of the others", () => {
  const lower = { ...host(2, "api"), bases: [{ name: "vxbr42", addresses: [] }] };
  const lines = drawHosts([host(1, "web"), lower], "switch0");
  const feet = lines.filter((line) => /^└─+┬─+┘ └─+┬─+┘$/.test(line));
  expect(feet.length).toBe(1);
  expect(lines.findIndex((line) => line.includes("host2"))).toBe(1);
});
