import { expect } from "bun:test";
import { masqueradeChain } from "../iptables/chain-names.ts";
import { parsePrefix } from "../netaddr/prefix.ts";
import { IptablesHost, VARIANTS } from "../testing/iptables.ts";
import { kernelTest } from "../testing/netns.ts";
import {
  addMasqueradeRules,
  checkMasqueradeRules,
  deleteMasqueradeRules,
  deleteStaleMasqueradeRules,
} from "./iptables.ts";

const target = {
  network: "net",
  containerId: "c1",
  ifname: "eth0",
  via: "cni0",
  addresses: ["10.9.0.2/24", "fd00:9::2/64"].map(parsePrefix),
};
const ipv4Only = { ...target, addresses: target.addresses.slice(0, 1) };
const second = { ...target, ifname: "eth1", addresses: [parsePrefix("10.8.0.2/24")] };

/** What the reference 1.9.1 leaves for the same. */
const RULES = [
  `-A CNI-623e1c388032b20529218ecc ! -d 224.0.0.0/4 -m comment --comment "name: \\"net\\" id: \\"c1\\"" -j MASQUERADE`,
  `-A CNI-623e1c388032b20529218ecc -d 10.9.0.0/24 -m comment --comment "name: \\"net\\" id: \\"c1\\"" -j ACCEPT`,
  `-A POSTROUTING -s 10.9.0.2/32 -m comment --comment "name: \\"net\\" id: \\"c1\\"" -j CNI-623e1c388032b20529218ecc`,
  ":CNI-623e1c388032b20529218ecc",
];

for (const variant of VARIANTS) {
  const of = `[iptables-${variant.name}]`;
  const lacking = variant.lacking;

  kernelTest(
    `addMasqueradeRules() leaves the reference's rules, however often, and DEL nothing ${of}`,
    async () => {
      using host = await IptablesHost.make(variant);
      for (let time = 0; time < 2; time++) host.in(() => addMasqueradeRules(target));
      expect(host.rules()).toEqual(RULES);
      const ipv6 = RULES.map((rule) => rule.replace("10.9.0.0/24", "fd00:9::/64"));
      const ipv6Rules = ipv6.map((rule) => rule.replace("10.9.0.2/32", "fd00:9::2/128"));
      expect(host.rules(6)).toEqual(ipv6Rules.map((rule) => rule.replace("224.0.0.0/4", "ff00::/8")));
      for (let time = 0; time < 2; time++) host.in(() => deleteMasqueradeRules(target));
      expect([...host.rules(), ...host.rules(6)]).toEqual([]);
    },
    lacking,
  );

  kernelTest(
    `checkMasqueradeRules() notices what is gone, and ADD puts it back in order ${of}`,
    async () => {
      using host = await IptablesHost.make(variant);
      host.in(() => addMasqueradeRules(target));
      host.in(() => checkMasqueradeRules(target));
      const chain = masqueradeChain(target);
      const tamperings = ["-F", "-F POSTROUTING", `-F ${chain}`, `-D ${chain} 1`, `-D ${chain} 2`];
      for (const tampering of tamperings) {
        host.run(`iptables -t nat ${tampering}`);
        expect(() => host.in(() => checkMasqueradeRules(target))).toThrow("masquerading of c1 is gone");
        host.in(() => addMasqueradeRules(target));
        host.in(() => checkMasqueradeRules(target));
        expect(host.run(`iptables -t nat -S ${chain}`)).toMatch(/-N .*\n.*ACCEPT\n.*MASQUERADE\n/);
        expect(host.rules()).toEqual(RULES);
      }
      host.run("ip6tables -t nat -F");
      expect(() => host.in(() => checkMasqueradeRules(target))).toThrow("fd00:9::");
    },
    lacking,
  );

  kernelTest(
    `deleteMasqueradeRules() leaves another interface of the container ${of}`,
    async () => {
      using host = await IptablesHost.make(variant);
      host.in(() => addMasqueradeRules(ipv4Only));
      host.in(() => addMasqueradeRules(second));
      host.in(() => deleteMasqueradeRules(second, second.addresses));
      host.in(() => checkMasqueradeRules(ipv4Only));
      host.in(() => deleteMasqueradeRules(ipv4Only, ipv4Only.addresses));
      expect(host.rules()).toEqual([]);
    },
    lacking,
  );

  kernelTest(
    `addMasqueradeRules() of an IPv4 address needs no program for IPv6, nor does DEL ${of}`,
    async () => {
      using host = await IptablesHost.make(variant);
      const which = Bun.which;
      Bun.which = (name, options) => (name.startsWith("ip6") ? null : which(name, options));
      try {
        host.in(() => addMasqueradeRules(ipv4Only));
        host.in(() => checkMasqueradeRules(ipv4Only));
        host.in(() => deleteMasqueradeRules(ipv4Only));
        expect(() => host.in(() => addMasqueradeRules(target))).toThrow('execute "ip6tables-save"');
      } finally {
        Bun.which = which;
      }
    },
    lacking,
  );

  kernelTest(
    `deleteStaleMasqueradeRules() takes what is not valid of its network alone ${of}`,
    async () => {
      using host = await IptablesHost.make(variant);
      const other = { ...target, network: "net2", containerId: "c3" };
      const stale = { ...target, containerId: "c2 no more" };
      for (const one of [target, other, stale]) host.in(() => addMasqueradeRules(one));
      const call = { config: { name: "net" }, validAttachments: [{ containerID: "c1", ifname: "eth0" }] };
      // biome-ignore lint/suspicious/noExplicitAny: no more of a call is looked at
      host.in(() => deleteStaleMasqueradeRules(call as any));
      for (const one of [target, other]) host.in(() => checkMasqueradeRules(one));
      expect(host.rules().filter((rule) => rule.includes("no more"))).toEqual([]);
      expect(host.rules()).not.toContain(`:${masqueradeChain(stale)}`);
    },
    lacking,
  );
}
