import { expect, test } from "bun:test";
import type { Evidence } from "../trace/trail.ts";
import { accepting, deleting } from "./accepting.ts";

function rule(table: string, chain: string, name = "handle 7"): Evidence {
  return { kind: "rule", text: `${table} ${chain} ${name}: dropped`, table, chain };
}

const FORWARD =
  "-I FORWARD -i br0 -j ACCEPT && P -I FORWARD -o br0 -m conntrack --ctstate RELATED,ESTABLISHED,DNAT -j ACCEPT";

test.each([
  [rule("ip filter", "FORWARD"), `iptables ${FORWARD.replace("P", "iptables")}`],
  [rule("ip6 filter", "FORWARD"), `ip6tables ${FORWARD.replace("P", "ip6tables")}`],
  [
    rule("iptables-legacy filter", "FORWARD", "rule 1"),
    `iptables-legacy ${FORWARD.replace("P", "iptables-legacy")}`,
  ],
  [
    rule("ip filter", "INPUT"),
    "iptables -I INPUT -i br0 -m conntrack --ctstate RELATED,ESTABLISHED,DNAT -j ACCEPT",
  ],
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
  expect(accepting("br0", evidence)).toBe(command);
});

test.each([
  [rule("ip nat", "PREROUTING"), "nft delete rule ip nat PREROUTING handle 7"],
  [rule("iptables-legacy nat", "PREROUTING", "rule 1"), "iptables-legacy -t nat -S PREROUTING"],
  [rule("ip6tables-legacy nat", "OUTPUT", "rule 1"), "ip6tables-legacy -t nat -S OUTPUT"],
])("deleting() takes away $text, or shows it", (evidence, command) => {
  expect(deleting(evidence)).toBe(command);
});
