import { expect } from "bun:test";
import { parseAddress } from "../netaddr/address.ts";
import { IptablesHost, VARIANTS } from "../testing/iptables.ts";
import { kernelTest } from "../testing/netns.ts";
import {
  addIsolateRules,
  checkIsolateRules,
  deleteIsolateRules,
  deleteStaleIsolateRules,
} from "./iptables.ts";
import type { Isolation } from "./isolation.ts";

const open: Isolation = {
  network: "net",
  containerId: "c1",
  ifname: "eth0",
  via: "cni0",
  addresses: ["10.9.0.2", "fd00:9::2"].map(parseAddress),
  ingressPolicy: "open",
  internal: false,
  icc: true,
  permittedInterfaces: [],
  adminChain: "CNI-ADMIN",
};
const isolated: Isolation = { ...open, ingressPolicy: "isolated" };
const second: Isolation = { ...isolated, containerId: "c2", addresses: [parseAddress("10.9.0.3")] };

/** What the reference 1.9.1 leaves for the policies open and isolated. */
const OPEN = [
  ":CNI-ADMIN",
  ":CNI-FORWARD",
  `-A FORWARD -m comment --comment "CNI firewall plugin rules" -j CNI-FORWARD`,
  `-A CNI-FORWARD -m comment --comment "CNI firewall plugin admin overrides" -j CNI-ADMIN`,
  "-A CNI-FORWARD -d 10.9.0.2/32 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
  "-A CNI-FORWARD -s 10.9.0.2/32 -j ACCEPT",
];
const EITHER = `-m comment --comment "CNI firewall plugin rules (ingressPolicy: same-bridge|isolated)"`;
const ISOLATED = `-m comment --comment "CNI firewall plugin rules (ingressPolicy: isolated)"`;
const STAGES = [
  ":CNI-ISOLATION-STAGE-1",
  ":CNI-ISOLATION-STAGE-2",
  `-A FORWARD ${EITHER} -j CNI-ISOLATION-STAGE-1`,
  `-A CNI-ISOLATION-STAGE-1 -i cni0 -o cni0 ${ISOLATED} -j DROP`,
  `-A CNI-ISOLATION-STAGE-1 -i cni0 ! -o cni0 ${ISOLATED} -j CNI-ISOLATION-STAGE-2`,
  `-A CNI-ISOLATION-STAGE-1 ${EITHER} -j RETURN`,
  `-A CNI-ISOLATION-STAGE-2 -o cni0 ${EITHER} -j DROP`,
  `-A CNI-ISOLATION-STAGE-2 ${EITHER} -j RETURN`,
];

/** Without the notes of whose they are, and what is ours alone. */
function asReference(rules: readonly string[]): string[] {
  return rules.filter((rule) => !rule.includes("OWNERS") && !rule.includes("weft"));
}

for (const variant of VARIANTS) {
  const of = `[iptables-${variant.name}]`;
  const lacking = variant.lacking;
  const make = () => IptablesHost.make(variant);

  kernelTest(
    `addIsolateRules() leaves the reference's rules, however often, and DEL nothing ${of}`,
    async () => {
      using host = await make();
      for (const [isolation, rules] of [
        [open, OPEN],
        [isolated, [...OPEN, ...STAGES]],
      ] as const) {
        for (let time = 0; time < 2; time++) host.in(() => addIsolateRules(isolation));
        expect(asReference(host.rules())).toEqual([...rules].sort());
        expect(asReference(host.rules(6)).length).toBe(rules.length);
        host.in(() => checkIsolateRules(isolation));
        for (let time = 0; time < 2; time++) host.in(() => deleteIsolateRules(isolation));
        expect([...host.rules(), ...host.rules(6)]).toEqual([]);
      }
    },
    lacking,
  );

  kernelTest(
    `addIsolateRules() asks what is dropped before what is accepted ${of}`,
    async () => {
      using host = await make();
      const targets = () => host.run("iptables -S FORWARD").match(/CNI-\S+$/gm);
      host.in(() => addIsolateRules(isolated));
      expect(targets()).toEqual(["CNI-ISOLATION-STAGE-1", "CNI-FORWARD"]);
      host.run("iptables -D FORWARD 2; iptables -I FORWARD 1 -s 192.0.2.1");
      host.in(() => addIsolateRules({ ...open, containerId: "c9", addresses: [parseAddress("10.8.0.9")] }));
      expect(targets()).toEqual(["CNI-ISOLATION-STAGE-1", "CNI-FORWARD"]);
      host.run("iptables -D FORWARD 1; iptables -A FORWARD -j CNI-ISOLATION-STAGE-1");
      host.in(() => addIsolateRules(isolated));
      expect(targets()).toEqual(["CNI-ISOLATION-STAGE-1", "CNI-FORWARD"]);
    },
    lacking,
  );

  kernelTest(
    `checkIsolateRules() notices what is gone, and ADD puts it back ${of}`,
    async () => {
      using host = await make();
      const all: Isolation = { ...isolated, internal: true, icc: false, permittedInterfaces: ["cni1"] };
      host.in(() => addIsolateRules(all));
      const before = host.rules();
      const stage = host.run("iptables -S CNI-ISOLATION-STAGE-1");
      const chains = ["FORWARD", "CNI-FORWARD", "CNI-ISOLATION-STAGE-1", "CNI-ISOLATION-STAGE-2"];
      for (const tampering of [...chains.map((chain) => `-F ${chain}`), "-F", "-D CNI-ISOLATION-STAGE-1 1"]) {
        host.run(`iptables ${tampering}`);
        expect(() => host.in(() => checkIsolateRules(all))).toThrow("the firewall's rules for c1 are gone");
        host.in(() => addIsolateRules(all));
        host.in(() => checkIsolateRules(all));
        expect(host.rules()).toEqual(before);
        expect(host.run("iptables -S CNI-ISOLATION-STAGE-1")).toBe(stage);
      }
    },
    lacking,
  );

  kernelTest(
    `addIsolateRules() sorts what is ours before what is the reference's ${of}`,
    async () => {
      using host = await make();
      host.in(() => addIsolateRules({ ...isolated, via: "cni7", addresses: [parseAddress("10.7.0.7")] }));
      host.in(() =>
        addIsolateRules({
          ...second,
          ingressPolicy: "published",
          internal: true,
          icc: false,
          permittedInterfaces: ["cni1"],
        }),
      );
      const lines = host.run("iptables -S CNI-ISOLATION-STAGE-1").trim().split("\n").slice(1);
      const short = lines.map((line) =>
        line.replace(/^-A \S+ /, "").replace(/-m comment --comment ".*?" /, ""),
      );
      expect(short.slice(0, 2).sort()).toEqual(["-i cni0 -o cni1 -j RETURN", "-i cni1 -o cni0 -j RETURN"]);
      expect(short.slice(2, 4).sort()).toEqual(["! -i cni0 -o cni0 -j DROP", "-i cni0 ! -o cni0 -j DROP"]);
      expect(short[4]).toBe("-m conntrack --ctstate DNAT -j RETURN");
      expect(short.slice(5, 9).sort()).toEqual([
        "! -i cni0 -o cni0 -m conntrack ! --ctstate RELATED,ESTABLISHED -j DROP",
        "-i cni0 -o cni0 -j DROP",
        "-i cni7 ! -o cni7 -j CNI-ISOLATION-STAGE-2",
        "-i cni7 -o cni7 -j DROP",
      ]);
      expect(short.slice(9)).toEqual(["-j RETURN"]);
    },
    lacking,
  );

  kernelTest(
    `deleteIsolateRules() leaves a bridge's rules until its last attachment ${of}`,
    async () => {
      using host = await make();
      const elsewhere = { ...open, containerId: "c3", via: "cni1", addresses: [parseAddress("10.8.0.2")] };
      for (const one of [isolated, second, elsewhere]) host.in(() => addIsolateRules(one));
      host.in(() => deleteIsolateRules(isolated));
      host.in(() => checkIsolateRules(second));
      host.in(() => deleteIsolateRules({ network: "net", containerId: "c2", ifname: "eth0" }));
      host.in(() => checkIsolateRules(elsewhere));
      expect(host.rules().join("\n")).not.toMatch(/STAGE|10\.9/);
      host.in(() => deleteIsolateRules(elsewhere));
      expect([...host.rules(), ...host.rules(6)]).toEqual([]);
    },
    lacking,
  );

  kernelTest(
    `deleteIsolateRules() leaves what an administrator wrote, and what others may need ${of}`,
    async () => {
      using host = await make();
      host.in(() => addIsolateRules(isolated));
      host.run("iptables -A CNI-ADMIN -s 192.0.2.1 -j DROP; iptables -A CNI-FORWARD -s 10.6.0.6 -j ACCEPT");
      host.in(() => deleteIsolateRules(isolated));
      expect(asReference(host.rules())).toEqual(
        [
          ...[...OPEN, ...STAGES].filter((rule) => !rule.includes("10.9.0.2")),
          "-A CNI-ADMIN -s 192.0.2.1/32 -j DROP",
          "-A CNI-FORWARD -s 10.6.0.6/32 -j ACCEPT",
        ].sort(),
      );
      host.in(() =>
        deleteIsolateRules({ ...second, containerId: "c6", addresses: [parseAddress("10.6.0.6")] }),
      );
      expect(host.rules()).toEqual(["-A CNI-ADMIN -s 192.0.2.1/32 -j DROP", ":CNI-ADMIN"]);
    },
    lacking,
  );

  kernelTest(
    `addIsolateRules() drops what is no longer asked for, and who had its address before ${of}`,
    async () => {
      using host = await make();
      host.in(() => addIsolateRules({ ...isolated, permittedInterfaces: ["cni1"] }));
      host.in(() => addIsolateRules({ ...isolated, ingressPolicy: "open" }));
      expect(asReference(host.rules())).toEqual([...OPEN].sort());
      host.in(() => addIsolateRules({ ...open, containerId: "c5" }));
      expect(host.rules().filter((rule) => rule.includes('id: \\"c1\\"'))).toEqual([]);
      host.in(() => deleteIsolateRules({ ...open, addresses: [] }));
      expect(asReference(host.rules())).toEqual([...OPEN].sort());
    },
    lacking,
  );

  kernelTest(
    `addIsolateRules() accepts published ports where FORWARD drops ${of}`,
    async () => {
      using host = await make();
      host.run("iptables -P FORWARD DROP");
      host.in(() => addIsolateRules(open));
      host.in(() => checkIsolateRules(open));
      const accepts = (family: 4 | 6) => host.rules(family).filter((rule) => rule.includes("--ctstate DNAT"));
      expect(accepts(4)).toEqual([
        `-A CNI-FORWARD -d 10.9.0.2/32 -m conntrack --ctstate DNAT -m comment --comment "weft firewall: published ports" -j ACCEPT`,
      ]);
      expect(accepts(6)).toEqual([]);
      host.in(() => deleteIsolateRules(open));
      expect([...host.rules(), ...host.rules(6)]).toEqual([]);
    },
    lacking,
  );

  kernelTest(
    `deleteStaleIsolateRules() takes what is not valid of its network alone ${of}`,
    async () => {
      using host = await make();
      const other = {
        ...isolated,
        network: "net2",
        containerId: "c2",
        addresses: [parseAddress("10.8.0.2")],
      };
      for (const one of [open, second, other]) host.in(() => addIsolateRules(one));
      const call = { config: { name: "net" }, validAttachments: [{ containerID: "c1", ifname: "eth0" }] };
      // biome-ignore lint/suspicious/noExplicitAny: no more of a call is looked at
      host.in(() => deleteStaleIsolateRules(call as any));
      for (const one of [open, other]) host.in(() => checkIsolateRules(one));
      expect(host.rules().join("\n")).not.toContain("10.9.0.3");
    },
    lacking,
  );
}
