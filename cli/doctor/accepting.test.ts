import { expect, test } from "bun:test";
import type { Evidence } from "../trace/trail.ts";
import { accepting, deleting } from "./accepting.ts";

function rule(table: string, chain: string, name = "handle 7"): Evidence {
  return { kind: "rule", text: `${table} ${chain} ${name}: dropped`, table, chain };
}

const ANSWERS = "-m conntrack --ctstate RELATED,ESTABLISHED,DNAT -j ACCEPT";

function forwarding(program: string): string {
  return `${program} -I FORWARD -i br0 -j ACCEPT && ${program} -I FORWARD -o br0 ${ANSWERS}`;
}

test.each([
  [rule("ip filter", "FORWARD"), forwarding("iptables")],
  [rule("ip6 filter", "FORWARD"), forwarding("ip6tables")],
  [rule("iptables-legacy filter", "FORWARD", "rule 1"), forwarding("iptables-legacy")],
  [rule("ip filter", "INPUT"), `iptables -I INPUT -i br0 ${ANSWERS}`],
  [rule("bridge mine", "f"), "nft insert rule bridge mine f accept"],
  [rule("inet firewalld", "filter_FORWARD"), "firewall-cmd --zone=trusted --add-interface=br0"],
  [
    rule("inet mine", "f"),
    [
      "nft insert rule inet mine f iifname br0 accept",
      "nft insert rule inet mine f oifname br0 ct state established,related accept",
      "nft insert rule inet mine f oifname br0 ct status dnat accept",
    ].join(" && "),
  ],
])("accepting() goes before $text", (evidence, command) => {
  expect<string>(accepting("br0", evidence)).toBe(command);
});

test.each([
  [rule("ip nat", "PREROUTING"), "nft delete rule ip nat PREROUTING handle 7"],
  [rule("iptables-legacy nat", "PREROUTING", "rule 1"), "iptables-legacy -t nat -D PREROUTING 1"],
  [rule("ip6tables-legacy nat", "OUTPUT", "rule 12"), "ip6tables-legacy -t nat -D OUTPUT 12"],
])("deleting() takes away $text", (evidence, command) => {
  expect<string>(deleting(evidence)).toBe(command);
});
