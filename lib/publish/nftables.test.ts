import { describe, expect, test } from "bun:test";
import { parseAddress } from "../netaddr/address.ts";
import { parsePrefix } from "../netaddr/prefix.ts";
import { type Element, elementName } from "../weft-table/element.ts";
import { publishChains, publishElements } from "./nftables.ts";
import type { Publication, PublishedPort } from "./publication.ts";

/** `tcp 8080 80` or `udp 53 53 10.1.1.1`. */
function port(text: string): PublishedPort {
  const [protocol, hostPort, containerPort, hostIp] = text.split(" ");
  return {
    protocol: protocol as PublishedPort["protocol"],
    hostPort: Number(hostPort),
    containerPort: Number(containerPort),
    hostIp: hostIp === undefined ? undefined : parseAddress(hostIp),
  };
}

function publication(ports: readonly string[], parts: Partial<Publication> = {}): Publication {
  return {
    network: "net",
    containerId: "c1",
    ifname: "eth0",
    via: "cni0",
    addresses: [parsePrefix("10.9.0.2/24")],
    ports: ports.map(port),
    snat: false,
    masqAll: false,
    markMasqBit: 13,
    externalSetMarkChain: undefined,
    conditionsV4: undefined,
    conditionsV6: undefined,
    ...parts,
  };
}

const shown = (element: Element): string =>
  element.data ? `${elementName(element)} : ${element.data.join(" . ")}` : elementName(element);
const elements = (ports: readonly string[], parts: Partial<Publication> = {}): string[] =>
  publishElements(publication(ports, parts)).map(shown);

describe("publishElements()", () => {
  test("publishElements() has one for a port, of any hostIP or one", () => {
    expect(elements(["tcp 8080 80", "udp 53 53 10.1.1.1", "tcp 443 443 0.0.0.0"])).toEqual([
      "port4 { tcp . 8080 } : 10.9.0.2 . 80",
      "port4 { tcp . 443 } : 10.9.0.2 . 443",
      "hostport4 { 10.1.1.1 . udp . 53 } : 10.9.0.2 . 53",
    ]);
  });

  test("publishElements() has one for a run of ports that lead to the same ones", () => {
    const run = Array.from({ length: 1001 }, (_, i) => `udp ${30_000 + i} ${30_000 + i}`);
    const more = ["tcp 80 80", "tcp 81 81 10.1.1.1", "tcp 82 82 10.1.1.1", "tcp 83 8083", "tcp 84 8084"];
    expect(elements([...run.reverse(), ...more])).toEqual([
      "hostrange4 { 10.1.1.1 . tcp . 81-82 } : 10.9.0.2",
      "port4 { tcp . 83 } : 10.9.0.2 . 8083",
      "port4 { tcp . 84 } : 10.9.0.2 . 8084",
      "port4 { tcp . 80 } : 10.9.0.2 . 80",
      "range4 { udp . 30000-31000 } : 10.9.0.2",
    ]);
  });

  test("publishElements() has no port twice, with any hostIP and 0.0.0.0", () => {
    expect(elements(["tcp 80 80", "tcp 80 80 0.0.0.0", "tcp 81 81"])).toEqual([
      "range4 { tcp . 80-81 } : 10.9.0.2",
    ]);
  });

  test("publishElements() has those of each family the container has, and of the port's", () => {
    const addresses = [parsePrefix("10.9.0.2/24"), parsePrefix("fd00:9::2/64")];
    expect(elements(["tcp 80 80", "tcp 81 81 ::", "tcp 82 82 10.1.1.1"], { addresses })).toEqual([
      "hostport4 { 10.1.1.1 . tcp . 82 } : 10.9.0.2 . 82",
      "port4 { tcp . 80 } : 10.9.0.2 . 80",
      "range6 { tcp . 80-81 } : fd00:9::2",
    ]);
  });

  test("publishElements() has who must be masqueraded", () => {
    expect(elements(["tcp 80 80"], { snat: true }).slice(1)).toEqual(['hairpin4 { "cni0" . 10.9.0.2 }']);
    expect(elements(["tcp 80 80"], { snat: true, masqAll: true }).slice(2)).toEqual([
      "masqall4 { 10.9.0.2 }",
    ]);
  });

  test("publishElements() leads the ports of a container with conditions to its own chain", () => {
    const [first, ...others] = elements(["tcp 80 80 10.1.1.1", "tcp 80 80", "udp 1 1", "udp 2 2"], {
      conditionsV4: ["iifname", "eth0"],
    });
    const chain = /: jump (condition4-[0-9a-f]{16})$/.exec(first ?? "")?.[1];
    expect([first, ...others]).toEqual([
      `condition4 { tcp . 80 } : jump ${chain}`,
      `condition4 { udp . 1 } : jump ${chain}`,
      `condition4 { udp . 2 } : jump ${chain}`,
    ]);
  });
});

describe("publishChains()", () => {
  test("publishChains() has a rule for each run and condition, one hostIP first", () => {
    const chains = publishChains(
      publication(["tcp 80 8080", "tcp 80 81 10.1.1.1", "udp 1 1", "udp 2 2"], {
        conditionsV4: ["iifname", "{", "a,", "b", "}"],
      }),
    );
    expect(chains).toHaveLength(1);
    expect(chains[0]?.name).toMatch(/^condition4-[0-9a-f]{16}$/);
    const both = (...[start, end]: string[]) => [
      `${start} iifname "a" ${end}`,
      `${start} iifname "b" ${end}`,
    ];
    expect(chains[0]?.rules.map(({ text }) => text)).toEqual([
      ...both("meta l4proto tcp ip daddr 10.1.1.1 th dport 80", "dnat ip to 10.9.0.2:81"),
      ...both("meta l4proto tcp th dport 80", "dnat ip to 10.9.0.2:8080"),
      ...both("meta l4proto udp th dport 1-2", "dnat ip to 10.9.0.2"),
    ]);
  });

  test("publishChains() has one for each family with conditions", () => {
    const addresses = [parsePrefix("10.9.0.2/24"), parsePrefix("fd00:9::2/64")];
    const parts = { addresses, conditionsV6: ["ip6", "saddr", "fd00::/8"] };
    const chains = publishChains(publication(["tcp 80 8080"], parts));
    expect(chains.map(({ rules }) => rules.map(({ text }) => text))).toEqual([
      ["meta l4proto tcp th dport 80 ip6 saddr fd00::/8 dnat ip6 to [fd00:9::2]:8080"],
    ]);
    expect(publishChains(publication(["tcp 80 8080"]))).toEqual([]);
  });
});
