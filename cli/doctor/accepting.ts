/** Commands that have the packet filter let through, or lead no more elsewhere, what is for containers. */
import type { Evidence } from "../trace/trail.ts";

/**
 * Before whatever drops: what the container sends, the answers, and what is for published ports.
 * @param side the host's interface to the container
 */
export function accepting(side: string, { table = "", chain = "" }: Evidence): string {
  if (table.includes("firewalld")) return `firewall-cmd --zone=trusted --add-interface=${side}`;
  if (table.startsWith("bridge ")) return `nft insert rule ${table} ${chain} accept`;
  const program = iptablesOf(table);
  if (program === undefined) {
    const rules = [`iifname ${side} accept`, `oifname ${side} ct state established,related accept`];
    return [...rules, `oifname ${side} ct status dnat accept`]
      .map((rule) => `nft insert rule ${table} ${chain} ${rule}`)
      .join(" && ");
  }
  const answers = "-m conntrack --ctstate RELATED,ESTABLISHED,DNAT";
  if (!/forward/i.test(chain)) return `${program} -I ${chain} -i ${side} ${answers} -j ACCEPT`;
  return `${program} -I FORWARD -i ${side} -j ACCEPT && ${program} -I FORWARD -o ${side} ${answers} -j ACCEPT`;
}

/** What takes the rule away: iptables-legacy's by its number, those of nf_tables by their handle. */
export function deleting({ table = "", chain = "", text }: Evidence): string {
  const [program = "", name = ""] = table.split(" ");
  const number = / rule (\d+)/.exec(text)?.[1];
  if (program.endsWith("legacy")) return `${program} -t ${name} -D ${chain} ${number}`;
  return `nft delete rule ${table} ${chain} handle ${/ handle (\d+)/.exec(text)?.[1]}`;
}

/** The program whose table it is; undefined for one of nftables' own. */
function iptablesOf(table: string): string | undefined {
  const legacy = /legacy/.test(table);
  if (/ip6 filter|ip6tables/.test(table)) return legacy ? "ip6tables-legacy" : "ip6tables";
  if (/ip filter|iptables/.test(table)) return legacy ? "iptables-legacy" : "iptables";
  return undefined;
}
