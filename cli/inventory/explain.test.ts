import { expect, test } from "bun:test";
import { TABLES } from "../../lib/weft-table/element.ts";
import { explain } from "./explain.ts";
import { elementText } from "./filter.ts";

test("explain() has a sentence for every set of our tables", () => {
  for (const { sets } of TABLES) {
    for (const { name, key, data } of sets) {
      const element = {
        set: name,
        key: key.map((type) => (type === "inet_service" ? 80 : "x")),
        ...(data && { data: data === "verdict" ? ["accept"] : ["192.0.2.1", 80] }),
      };
      expect(explain(element).says).toMatch(/^\S.*\.$/);
    }
  }
  expect(() => explain({ set: "nobody's", key: [] })).toThrow(RangeError);
});

test.each([
  ["masq4", ["docker0", "172.17.0.2"], undefined, "What comes from it by docker0 and leaves this host has"],
  [
    "overlay6",
    ["vx42", "fd00::2"],
    undefined,
    "What it sends into its own overlay by vx42 keeps its address.",
  ],
  ["port4", ["tcp", 8080], ["172.17.0.2", 80], "TCP port 8080 of this host leads to its port 80."],
  [
    "hostport6",
    ["2001:db8::1", "udp", 53],
    ["fd00::2", 5353],
    "UDP port 53 of the host's address 2001:db8::1",
  ],
  [
    "range4",
    ["sctp", "10-20"],
    ["172.17.0.2"],
    "SCTP ports 10-20 of this host lead to the same ports of it.",
  ],
  [
    "hostrange4",
    ["192.0.2.1", "tcp", "10-20"],
    ["172.17.0.2"],
    "TCP ports 10-20 of the host's address 192.0.2.1",
  ],
  [
    "port4",
    ["tcp", "80-81"],
    ["172.17.0.2", "90-91"],
    "TCP ports 80-81 of this host lead to its ports 90-91.",
  ],
  ["condition4", ["tcp", 80], ["jump condition4-1a"], "under conditions, those of chain condition4-1a."],
  [
    "hairpin4",
    ["docker0", "172.17.0.2"],
    undefined,
    "from docker0 and from this host itself come with the host's",
  ],
  ["masqall4", ["172.17.0.2"], undefined, "it does not see its clients."],
  ["pairs", ["b0", "b0"], ["accept"], "Containers of b0 reach each other."],
  [
    "pairs",
    ["b0", "b0"],
    ["goto icc-off"],
    "Containers of b0 do not reach each other but by published ports",
  ],
  ["pairs", ["b0", "vx1"], ["goto icc-off"], "From b0 to vx1 only published ports are reached (icc off)."],
  ["pairs", ["b0", "eth1"], ["accept"], "What goes from b0 to eth1 is let through, whatever else is said."],
  ["leaving", ["b0"], ["jump isolation"], "Between b0 and other isolated networks nothing is let through"],
  ["isolated", ["b0"], undefined, "Between b0 and other isolated networks nothing is let through"],
  ["entering", ["b0"], ["jump published"], "From elsewhere b0 is reached by published ports alone"],
  ["entering", ["b0"], ["drop"], "b0 is internal: nothing is forwarded between it and any other interface."],
  ["leaving", ["b0"], ["drop"], "b0 is internal: nothing is forwarded between it and any other interface."],
  ["macs", ["veth1", "02:00:00:00:00:01"], undefined, "By veth1 it sends frames with its own MAC alone"],
])("explain() of %s %j : %j", (set, key, data, says) => {
  expect(explain({ set, key, data }).says).toContain(says);
});

test.each([
  [{ set: "masq4", key: ["docker0", "172.17.0.2"] }, 'masq4 { "docker0" . 172.17.0.2 }'],
  [{ set: "port4", key: ["tcp", 80], data: ["10.0.0.2", 8080] }, "port4 { tcp . 80 : 10.0.0.2 . 8080 }"],
  [{ set: "pairs", key: ["a", "b*"], data: ["accept"] }, 'pairs { "a" . "b\\*" : accept }'],
])("elementText() writes %j as nft does", (element, text) => {
  expect(elementText(element)).toBe(text);
});
