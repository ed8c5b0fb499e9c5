import { expect, test } from "bun:test";
import type { Evidence } from "../trace/trail.ts";
import { accepting, deleting } from "./accepting.ts";

/** One that had a packet of br0's containers. */
function rule(table: string, chain: string, more: Partial<Evidence> | string = {}): Evidence {
  const name = typeof more === "string" ? more : "handle 7";
  const number = name.startsWith("rule") ? Number(name.slice(5)) : 3;
  const rest = typeof more === "string" ? {} : more;
  return { kind: "rule", text: `${table} ${chain} ${name}: dropped`, table, chain, number, ...rest };
}

function policy(table: string, chain: string, more: Partial<Evidence>): Evidence {
  return { kind: "rule", text: `${table} ${chain}, its policy: policy drop`, table, chain, ...more };
}

const OUTWARD = { hook: "forward", iif: "br0", oif: "eth0" };
const INWARD = { hook: "forward", iif: "eth0", oif: "br0" };
const ANSWERS = "-m conntrack --ctstate RELATED,ESTABLISHED,DNAT -j ACCEPT";

function forwarding(program: string, place: string): string {
  const within = `${program} ${place} -i br0 -o eth0 -j ACCEPT`;
  return `${within} && ${program} ${place} -i eth0 -o br0 ${ANSWERS}`;
}

function nft(place: string): string {
  const inward = `nft ${place} iifname '"eth0"' oifname '"br0"'`;
  return [
    `nft ${place} iifname '"br0"' oifname '"eth0"' accept`,
    `${inward} ct state established,related accept`,
    `${inward} ct status dnat accept`,
  ].join(" && ");
}

test.each<[Evidence, string]>([
  [rule("ip filter", "FORWARD", OUTWARD), forwarding("iptables", "-I FORWARD 3")],
  [rule("ip6 filter", "FORWARD", INWARD), forwarding("ip6tables", "-I FORWARD 3")],
  [rule("ip filter", "DOCKER-USER", OUTWARD), forwarding("iptables", "-I DOCKER-USER 3")],
  [rule("ip mangle", "FORWARD", OUTWARD), forwarding("iptables -t mangle", "-I FORWARD 3")],
  [rule("iptables-legacy filter", "FORWARD", INWARD), forwarding("iptables-legacy", "-I FORWARD 3")],
  [rule("inet mine", "f", OUTWARD), nft("insert rule inet mine f position 7")],
  [rule("ip filter", "forward", OUTWARD), nft("insert rule ip filter forward position 7")],
  [
    rule("ip filter", "FORWARD", { hook: "forward", iif: "br0", oif: "br0" }),
    "iptables -I FORWARD 3 -i br0 -o br0 -j ACCEPT",
  ],
  [
    rule("ip filter", "FORWARD", { hook: "forward", iif: "br0.10", oif: "br0.10" }),
    "iptables -I FORWARD 3 -i br0.10 -o br0.10 -j ACCEPT",
  ],
  [rule("ip filter", "INPUT", { hook: "input", iif: "br0" }), `iptables -I INPUT 3 -i br0 ${ANSWERS}`],
  [rule("ip filter", "OUTPUT", { hook: "output", oif: "br0" }), "iptables -I OUTPUT 3 -o br0 -j ACCEPT"],
  [
    rule("bridge mine", "f", { hook: "forward", iif: "veth1", oif: "veth2" }),
    "nft delete rule bridge mine f handle 7",
  ],
  [rule("inet firewalld", "filter_FORWARD", OUTWARD), "firewall-cmd --zone=trusted --add-interface=br0"],
  [
    rule("ip raw", "PREROUTING", { hook: "prerouting", iif: "br0" }),
    "nft delete rule ip raw PREROUTING handle 7",
  ],
])("accepting() goes before $text, and lets through no more than it has to", (evidence, command) => {
  expect<string>(accepting("br0", evidence)).toBe(command);
});

test.each<[Evidence, string]>([
  [policy("ip filter", "FORWARD", OUTWARD), forwarding("iptables", "-A FORWARD")],
  [policy("inet mine", "f", INWARD), nft("add rule inet mine f")],
  [
    policy("ip raw", "PREROUTING", { hook: "prerouting", iif: "br0" }),
    "iptables -t raw -P PREROUTING ACCEPT",
  ],
  [
    policy("inet mine", "pre", { hook: "prerouting", iif: "br0" }),
    "nft add chain inet mine pre '{ policy accept; }'",
  ],
])("accepting() goes behind the rules of $table $chain where its policy drops", (evidence, command) => {
  expect<string>(accepting("br0", evidence)).toBe(command);
});

test("accepting() leaves names words", () => {
  const odd = rule("ip filter", "FORWARD", { hook: "forward", iif: "a;b", oif: "a;b" });
  expect<string>(accepting("a;b", odd)).toBe("iptables -I FORWARD 3 -i 'a;b' -o 'a;b' -j ACCEPT");
});

test.each([
  [rule("ip nat", "PREROUTING"), "nft delete rule ip nat PREROUTING handle 7"],
  [rule("iptables-legacy nat", "PREROUTING", "rule 1"), "iptables-legacy -t nat -D PREROUTING 1"],
  [rule("ip6tables-legacy nat", "OUTPUT", "rule 12"), "ip6tables-legacy -t nat -D OUTPUT 12"],
])("deleting() takes away $text", (evidence, command) => {
  expect<string>(deleting(evidence)).toBe(command);
});
