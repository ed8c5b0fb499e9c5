import { expect } from "bun:test";
import { toCniError } from "../cni/error.ts";
import { IptablesHost, VARIANTS } from "../testing/iptables.ts";
import { kernelTest, lackingFor } from "../testing/netns.ts";
import { changeExistingTables, changeTables, findMissingRule } from "./change.ts";
import { runProgram } from "./program.ts";
import type { Rule } from "./rule.ts";

for (const variant of VARIANTS) {
  const of = `[iptables-${variant.name}]`;
  const lacking = variant.lacking;

  kernelTest(
    `changeTables() changes a table as a whole or not at all, and says which line was refused ${of}`,
    async () => {
      using host = await IptablesHost.make(variant);
      const change = () =>
        changeTables(4, ["nat"], ({ nat }) => {
          nat.ensureRule({ chain: "A", text: "-s 10.0.0.1 -j ACCEPT" });
          nat.ensureRule({ chain: "A", text: "-p tcp --dport 99999 -j ACCEPT" });
        });
      expect(() => host.in(change)).toThrow("(-A A -p tcp --dport 99999 -j ACCEPT)");
      expect(host.rules()).toEqual([]);
    },
    lacking,
  );

  kernelTest(
    `changeTables() works it out again when somebody else was faster ${of}`,
    async () => {
      using host = await IptablesHost.make(variant);
      let attempts = 0;
      host.in(() =>
        changeTables(4, ["nat"], ({ nat }) => {
          nat.ensureRule({ chain: "A", text: "-j RETURN" });
          if (attempts++ === 0) host.run("iptables -t nat -N A");
        }),
      );
      expect(attempts).toBe(2);
      expect(host.rules()).toEqual(["-A A -j RETURN", ":A"]);
    },
    lacking,
  );

  kernelTest(
    `changeExistingTables() makes no table ${of}`,
    async () => {
      using host = await IptablesHost.make(variant);
      host.in(() => changeTables(4, ["nat"], ({ nat }) => nat.ensureChain("A")));
      host.in(() => changeExistingTables(4, ["nat", "raw"], ({ nat }) => nat.deleteChain("A")));
      host.in(() => changeExistingTables(6, ["nat", "raw"], () => expect.unreachable()));
      expect(host.run("cat /proc/net/ip_tables_names /proc/net/ip6_tables_names")).not.toContain("raw");
      expect(host.rules()).toEqual([]);
    },
    lacking,
  );

  kernelTest(
    `findMissingRule() takes a user's words for the rule that iptables prints in others ${of}`,
    async () => {
      using host = await IptablesHost.make(variant);
      const rule = (text: string): Rule => ({ table: "nat", chain: "A", text });
      const written = rule('--protocol 6 --source 10.0.0.1 -m comment --comment "it\'s" --jump RETURN');
      host.in(() => changeTables(4, ["nat"], ({ nat }) => nat.ensureRule(written)));
      host.in(() => expect(findMissingRule(4, ["nat"], () => [written])).toBeUndefined());
      const other = rule("-s 10.0.0.2 -j RETURN");
      host.in(() => expect(findMissingRule(4, ["nat"], () => [written, other])).toBe(other));
    },
    lacking,
  );

  kernelTest(
    `changeTables() says which program is missing, changeExistingTables() has then nothing to do ${of}`,
    async () => {
      using host = await IptablesHost.make(variant);
      host.run("iptables -t nat -N A");
      const which = Bun.which;
      Bun.which = () => null;
      try {
        expect(() => host.in(() => changeTables(4, ["nat"], () => {}))).toThrow('execute "iptables-save"');
        host.in(() => changeExistingTables(4, ["nat"], () => expect.unreachable()));
      } finally {
        Bun.which = which;
      }
    },
    lacking,
  );
}

const [nft, legacy] = VARIANTS;
kernelTest(
  "changeTables() refuses a table that nft filled, changeExistingTables() leaves it alone [iptables-nft]",
  async () => {
    if (!nft) throw new Error("no first variant");
    using host = await IptablesHost.make(nft);
    const chain = "type nat hook prerouting priority -100; dnat to tcp dport map @m;";
    const map = "map m { type inet_service : ipv4_addr; };";
    host.run(`nft 'table ip nat { ${map} chain PREROUTING { ${chain} }; }'`);
    const change = () => changeTables(4, ["nat"], ({ nat }) => nat.ensureChain("A"));
    expect(() => host.in(change)).toThrow("it holds rules of nft's; choose the nftables backend");
    const before = host.run("nft list ruleset");
    host.in(() => changeExistingTables(4, ["nat"], ({ nat }) => nat.deleteChain("PREROUTING")));
    expect(host.run("nft list ruleset")).toBe(before);
  },
  nft?.lacking ?? lackingFor("nft", "list", "ruleset"),
);

kernelTest(
  "runProgram() tells of a lock that is held with code 11 [iptables-legacy]",
  async () => {
    if (!legacy) throw new Error("no second variant");
    using host = await IptablesHost.make(legacy);
    const holder = Bun.spawn(["flock", "/run/xtables.lock", "sh", "-c", "echo held; exec cat"], {
      stdin: "pipe",
      stdout: "pipe",
    });
    await holder.stdout.getReader().read();
    try {
      host.in(() => runProgram("iptables-restore", ["--noflush", "-w", "1"], "*nat\n-N A\nCOMMIT\n"));
      expect.unreachable();
    } catch (error) {
      expect(toCniError(error).code).toBe(11);
    } finally {
      holder.stdin.end();
      await holder.exited;
    }
  },
  legacy?.lacking,
);
