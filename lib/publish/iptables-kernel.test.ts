import { expect } from "bun:test";
import { publishChain } from "../iptables/chain-names.ts";
import { parseAddress } from "../netaddr/address.ts";
import { parsePrefix } from "../netaddr/prefix.ts";
import { IptablesHost, VARIANTS } from "../testing/iptables.ts";
import { kernelTest } from "../testing/netns.ts";
import {
  addPublishRules,
  checkPublishRules,
  deleteOwnSharedRules,
  deletePublishRules,
  deleteStalePublishRules,
} from "./iptables.ts";
import type { Publication, PublishedPort } from "./publication.ts";

function port(protocol: "tcp" | "udp" | "sctp", hostPort: number, rest: Partial<PublishedPort> = {}) {
  return { protocol, hostPort, containerPort: 80, hostIp: undefined, ...rest };
}

const publication: Publication = {
  network: "net",
  containerId: "c1",
  ifname: "eth0",
  via: "cni0",
  addresses: ["10.9.0.2/24", "fd00:9::2/64"].map(parsePrefix),
  ports: [
    port("tcp", 8080),
    port("udp", 53, { hostIp: parseAddress("10.1.1.1") }),
    port("udp", 54, { hostIp: parseAddress("::") }),
  ],
  snat: true,
  masqAll: false,
  markMasqBit: 13,
  externalSetMarkChain: undefined,
  conditionsV4: undefined,
  conditionsV6: undefined,
};
const chain = publishChain(publication);
const note = `-m comment --comment "dnat name: \\"net\\" id: \\"c1\\""`;
const STAYS = `-m comment --comment "weft portmap: 127.0.0.0/8 stays on the host"`;
const GUARDS = ["-d", "-s"].map((end) => `-A PREROUTING ${end} 127.0.0.0/8 ! -i lo ${STAYS} -j DROP`);

/** What the reference 1.9.1 leaves for the same. */
const SHARED = [
  ":CNI-HOSTPORT-DNAT",
  ":CNI-HOSTPORT-MASQ",
  ":CNI-HOSTPORT-SETMARK",
  "-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT",
  "-A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT",
  `-A POSTROUTING -m comment --comment "CNI portfwd requiring masquerade" -j CNI-HOSTPORT-MASQ`,
  "-A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE",
  `-A CNI-HOSTPORT-SETMARK -m comment --comment "CNI portfwd masquerade mark" -j MARK --set-xmark 0x2000/0x2000`,
];
const ENTRIES = [
  `-A CNI-HOSTPORT-DNAT -p tcp ${note} -m multiport --dports 8080 -j ${chain}`,
  `-A CNI-HOSTPORT-DNAT -p udp ${note} -m multiport --dports 53,54 -j ${chain}`,
];
const IPV4 = [
  ...GUARDS,
  ...SHARED,
  ...ENTRIES,
  `:${chain}`,
  `-A ${chain} -s 10.9.0.0/24 -p tcp -m tcp --dport 8080 -j CNI-HOSTPORT-SETMARK`,
  `-A ${chain} -s 127.0.0.1/32 -p tcp -m tcp --dport 8080 -j CNI-HOSTPORT-SETMARK`,
  `-A ${chain} -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.9.0.2:80`,
  `-A ${chain} -s 10.9.0.0/24 -d 10.1.1.1/32 -p udp -m udp --dport 53 -j CNI-HOSTPORT-SETMARK`,
  `-A ${chain} -s 127.0.0.1/32 -d 10.1.1.1/32 -p udp -m udp --dport 53 -j CNI-HOSTPORT-SETMARK`,
  `-A ${chain} -d 10.1.1.1/32 -p udp -m udp --dport 53 -j DNAT --to-destination 10.9.0.2:80`,
].sort();
const IPV6 = [
  ...SHARED,
  `-A CNI-HOSTPORT-DNAT -d ::1/128 -m comment --comment "weft portmap: no answer comes back to ::1" -j RETURN`,
  ...ENTRIES,
  `:${chain}`,
  `-A ${chain} -s fd00:9::/64 -p tcp -m tcp --dport 8080 -j CNI-HOSTPORT-SETMARK`,
  `-A ${chain} -p tcp -m tcp --dport 8080 -j DNAT --to-destination [fd00:9::2]:80`,
  `-A ${chain} -s fd00:9::/64 -p udp -m udp --dport 54 -j CNI-HOSTPORT-SETMARK`,
  `-A ${chain} -p udp -m udp --dport 54 -j DNAT --to-destination [fd00:9::2]:80`,
].sort();

const TAMPERINGS = [
  "-t nat -F PREROUTING",
  "-t nat -F OUTPUT",
  "-t nat -F POSTROUTING",
  "-t nat -F CNI-HOSTPORT-MASQ",
  "-t nat -F CNI-HOSTPORT-SETMARK",
  "-t nat -F CNI-HOSTPORT-DNAT",
  `-t nat -F ${chain}`,
  `-t nat -D ${chain} 3`,
  "-t nat -F",
  "-t raw -F",
];

for (const variant of VARIANTS) {
  const of = `[iptables-${variant.name}]`;
  const lacking = variant.lacking;

  kernelTest(
    `addPublishRules() leaves the reference's rules and the guards, however often, and DEL nothing ${of}`,
    async () => {
      using host = await IptablesHost.make(variant);
      for (let time = 0; time < 2; time++) host.in(() => addPublishRules(publication));
      expect(host.rules()).toEqual(IPV4);
      expect(host.rules(6)).toEqual(IPV6);
      for (let time = 0; time < 2; time++) host.in(() => deletePublishRules(publication));
      expect([...host.rules(), ...host.rules(6)]).toEqual([]);
    },
    lacking,
  );

  kernelTest(
    `deleteOwnSharedRules() leaves what the reference has ${of}`,
    async () => {
      using host = await IptablesHost.make(variant);
      host.in(() => addPublishRules(publication));
      for (let time = 0; time < 2; time++) host.in(() => deleteOwnSharedRules());
      const isTheirs = (rule: string) => !rule.includes("weft portmap");
      expect(host.rules()).toEqual(IPV4.filter(isTheirs));
      expect(host.rules(6)).toEqual(IPV6.filter(isTheirs));
    },
    lacking,
  );

  kernelTest(
    `checkPublishRules() notices what is gone, and ADD puts it back in order ${of}`,
    async () => {
      using host = await IptablesHost.make(variant);
      host.in(() => addPublishRules(publication));
      const before = host.run(`iptables -t nat -S ${chain}`);
      for (const tampering of TAMPERINGS) {
        host.in(() => checkPublishRules(publication));
        host.run(`iptables ${tampering}`);
        expect(() => host.in(() => checkPublishRules(publication))).toThrow(
          "a published port of c1 is closed",
        );
        host.in(() => addPublishRules(publication));
        expect(host.rules()).toEqual(IPV4);
        expect(host.run(`iptables -t nat -S ${chain}`)).toBe(before);
      }
    },
    lacking,
  );

  kernelTest(
    `addPublishRules() takes conditions as they are, and replaces what was published before ${of}`,
    async () => {
      using host = await IptablesHost.make(variant);
      host.in(() => addPublishRules(publication));
      const words = ["!", "--source", "10.7.0.0/16", "-m", "comment", "--comment", `it's "here" \\`];
      const conditional = { ...publication, ports: [port("sctp", 99)], conditionsV4: words };
      for (let time = 0; time < 2; time++) host.in(() => addPublishRules(conditional));
      host.in(() => checkPublishRules(conditional));
      const entries = host.rules().filter((rule) => rule.startsWith("-A CNI-HOSTPORT-DNAT"));
      expect(entries.length).toBe(1);
      expect(entries[0]).toStartWith("-A CNI-HOSTPORT-DNAT ! -s 10.7.0.0/16 -p sctp ");
      expect(host.rules(6).filter((rule) => rule.includes("8080") || rule.includes("10.7"))).toEqual([]);
      host.in(() => deletePublishRules(publication));
      expect([...host.rules(), ...host.rules(6)]).toEqual([]);
    },
    lacking,
  );

  kernelTest(
    `addPublishRules() with masqAll, another bit, without snat, and with 20 ports ${of}`,
    async () => {
      using host = await IptablesHost.make(variant);
      const chainRules = () => host.rules().filter((rule) => rule.startsWith(`-A ${chain} `));
      const ports = [port("tcp", 1)];
      host.in(() => addPublishRules({ ...publication, ports, masqAll: true, markMasqBit: 31 }));
      expect(chainRules()[0]).toBe(`-A ${chain} -p tcp -m tcp --dport 1 -j CNI-HOSTPORT-SETMARK`);
      expect(chainRules().length).toBe(2);
      expect(host.rules()).toContain(
        "-A CNI-HOSTPORT-MASQ -m mark --mark 0x80000000/0x80000000 -j MASQUERADE",
      );
      host.in(() => deletePublishRules(publication));

      const many = Array.from({ length: 20 }, (_, at) => port("tcp", at + 1));
      const unmasked = { ...publication, ports: many, snat: false };
      host.in(() => addPublishRules(unmasked));
      host.in(() => checkPublishRules(unmasked));
      expect(chainRules().length).toBe(20);
      expect(host.rules().join("\n")).not.toMatch(/SETMARK|MASQ|127/);
      expect(host.rules()).toContain(
        `-A CNI-HOSTPORT-DNAT -p tcp ${note} -m multiport --dports 16,17,18,19,20 -j ${chain}`,
      );
      host.in(() => deletePublishRules(publication));
      expect([...host.rules(), ...host.rules(6)]).toEqual([]);
    },
    lacking,
  );

  kernelTest(
    `addPublishRules() with somebody else's chain of marks, which DEL leaves ${of}`,
    async () => {
      using host = await IptablesHost.make(variant);
      const external = { ...publication, externalSetMarkChain: "KUBE-MARK-MASQ" };
      expect(() => host.in(() => addPublishRules(external))).toThrow('no chain "KUBE-MARK-MASQ"');
      expect([...host.rules(), ...host.rules(6)]).toEqual([]);
      for (const command of ["iptables", "ip6tables"]) host.run(`${command} -t nat -N KUBE-MARK-MASQ`);
      host.in(() => addPublishRules(external));
      host.in(() => checkPublishRules(external));
      expect(host.rules().filter((rule) => rule.endsWith("-j KUBE-MARK-MASQ")).length).toBe(4);
      host.in(() => deletePublishRules(publication));
      expect(host.rules()).toEqual([":KUBE-MARK-MASQ"]);
    },
    lacking,
  );

  kernelTest(
    `deleteStalePublishRules() takes what is not valid of its network alone ${of}`,
    async () => {
      using host = await IptablesHost.make(variant);
      const other = { ...publication, network: "net2", containerId: "c3" };
      const stale = { ...publication, containerId: "c2" };
      for (const one of [publication, other, stale]) host.in(() => addPublishRules(one));
      const call = { config: { name: "net" }, validAttachments: [{ containerID: "c1", ifname: "eth0" }] };
      // biome-ignore lint/suspicious/noExplicitAny: no more of a call is looked at
      host.in(() => deleteStalePublishRules(call as any));
      for (const one of [publication, other]) host.in(() => checkPublishRules(one));
      expect(host.rules().join("\n")).not.toContain(publishChain(stale));
      host.in(() => deletePublishRules(publication));
      host.in(() => checkPublishRules(other));
    },
    lacking,
  );
}
