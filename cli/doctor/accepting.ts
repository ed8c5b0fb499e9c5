/** Commands that have the packet filter let through, or lead no more elsewhere, what is for containers. */
import { allOf, type ShellCommand, shell } from "../terminal/shell.ts";
import type { Evidence } from "../trace/trail.ts";

/**
 * Before whatever drops: what the container sends, the answers, and what is for published ports.
 * @param side the host's interface to the container
 */
export function accepting(side: string, { table = "", chain = "" }: Evidence): ShellCommand {
  const place = [...table.split(" "), chain];
  if (table.includes("firewalld")) return shell`firewall-cmd --zone=trusted --add-interface=${side}`;
  if (table.startsWith("bridge ")) return shell`nft insert rule ${place} accept`;
  const program = iptablesOf(table);
  if (program === undefined) {
    return allOf(
      shell`nft insert rule ${place} iifname ${side} accept`,
      shell`nft insert rule ${place} oifname ${side} ct state established,related accept`,
      shell`nft insert rule ${place} oifname ${side} ct status dnat accept`,
    );
  }
  const answers = ["-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED,DNAT"];
  if (!/forward/i.test(chain)) return shell`${program} -I ${chain} -i ${side} ${answers} -j ACCEPT`;
  return allOf(
    shell`${program} -I FORWARD -i ${side} -j ACCEPT`,
    shell`${program} -I FORWARD -o ${side} ${answers} -j ACCEPT`,
  );
}

/** What takes the rule away: iptables-legacy's by its number, those of nf_tables by their handle. */
export function deleting({ table = "", chain = "", text }: Evidence): ShellCommand {
  const [program = "", name = ""] = table.split(" ");
  const number = / rule (\d+)/.exec(text)?.[1] ?? "";
  if (program.endsWith("legacy")) return shell`${program} -t ${name} -D ${chain} ${number}`;
  const handle = / handle (\d+)/.exec(text)?.[1] ?? "";
  return shell`nft delete rule ${program} ${name} ${chain} handle ${handle}`;
}

/** The program whose table it is; undefined for one of nftables' own. */
function iptablesOf(table: string): string | undefined {
  const legacy = /legacy/.test(table);
  if (/ip6 filter|ip6tables/.test(table)) return legacy ? "ip6tables-legacy" : "ip6tables";
  if (/ip filter|iptables/.test(table)) return legacy ? "iptables-legacy" : "iptables";
  return undefined;
}
