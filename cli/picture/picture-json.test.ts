import { expect, test } from "bun:test";
import { EMPTY, HOST } from "./host-pictures.golden.ts";
import { pictureJson } from "./picture-json.ts";

test("pictureJson() has each node once, and a link for each of its cables", () => {
  const { nodes, links } = pictureJson(HOST);
  expect(nodes.map(({ name, kind }) => `${kind} ${name}`)).toEqual([
    "host host",
    "container app & co",
    "container db",
    "hosts other hosts",
    "world outside",
    "container kube-system/node-local-dns-with-a-long-name",
    "namespace blue",
    "namespace sandbox-without-a-cable",
  ]);
  const names = nodes.map(({ name }) => name);
  for (const { node } of links) expect(names).toContain(node ?? "");
  expect(links.filter(({ node }) => node === "app & co")).toMatchObject([
    {
      interface: "docker0",
      port: "veth1a2b3c4d",
      ifname: "eth0",
      network: "blue",
      addresses: ["172.17.0.2/16", "fd00:17::2/64"],
      ports: [{ hostPort: 8080 }],
    },
    { interface: "green0", port: "vethdeadbeef", ifname: "eth1" },
  ]);
});

test("pictureJson() of a host without links", () => {
  expect(pictureJson(EMPTY)).toEqual({
    nodes: [{ name: "host", kind: "host" }],
    interfaces: [],
    links: [],
    others: [],
  });
});
