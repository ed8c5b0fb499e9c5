import { expect, spyOn } from "bun:test";
import { addIsolateRules, checkIsolateRules, deleteIsolateRules } from "../isolate/iptables.ts";
import type { Isolation } from "../isolate/isolation.ts";
import { parseAddress } from "../netaddr/address.ts";
import { parsePrefix } from "../netaddr/prefix.ts";
import { addPublishRules, checkPublishRules, deletePublishRules } from "../publish/iptables.ts";
import { IptablesHost, VARIANTS } from "../testing/iptables.ts";
import { kernelTest } from "../testing/netns.ts";
import { changeExistingTables, changeTables, changeUsedTables, findMissingRule } from "./change.ts";
import { findVariants } from "./variant.ts";

const RULE = { table: "filter", chain: "FORWARD", text: "-s 10.0.0.1/32 -j ACCEPT" } as const;
const KINDS = ["nft", "legacy"] as const;
type Kind = (typeof KINDS)[number];
const lacking = VARIANTS.find((variant) => variant.lacking)?.lacking;

/** A host on which "iptables" is this variant. */
async function makeHost(plain: Kind, command = "true"): Promise<IptablesHost> {
  const variant = VARIANTS.find(({ name }) => name === plain);
  if (variant === undefined) throw new Error(`no variant is called ${plain}`);
  const host = await IptablesHost.make(variant);
  host.run(command);
  return host;
}

/** The variants in whose FORWARD the rule is; asked only where there is such a table, to make none. */
function placesOf(host: IptablesHost): Kind[] {
  return KINDS.filter((kind) => {
    if (kind === "legacy" && !host.run("cat /proc/net/ip_tables_names").includes("filter")) return false;
    return host.run(`iptables-${kind}-save -t filter`).includes(RULE.text);
  });
}

/** "iptables", what others did before; where a rule goes; where one goes that has to be in all. */
const CASES: readonly [plain: Kind, before: string, place: Kind, places: readonly Kind[]][] = [
  ["nft", "true", "nft", ["nft"]],
  ["nft", "iptables-nft -P FORWARD DROP", "nft", ["nft"]],
  ["nft", "iptables-legacy -P FORWARD DROP", "legacy", ["legacy"]],
  ["nft", "iptables-legacy -A FORWARD -j REJECT", "legacy", ["legacy"]],
  ["nft", "iptables-legacy -L; iptables-nft -L", "nft", ["nft"]],
  ["nft", "iptables-legacy -P FORWARD DROP; iptables-nft -A INPUT -j ACCEPT", "nft", ["nft", "legacy"]],
  ["nft", "ip6tables-legacy -P FORWARD DROP", "nft", ["nft"]],
  ["legacy", "true", "legacy", ["legacy"]],
  ["legacy", "iptables-legacy -P FORWARD DROP", "legacy", ["legacy"]],
  ["legacy", "iptables-nft -P FORWARD DROP", "nft", ["nft"]],
  ["legacy", "nft add table ip filter", "legacy", ["legacy"]],
];

for (const [plain, before, place, places] of CASES) {
  kernelTest(
    `changeTables(), changeUsedTables() and what looks there after "${before}" [iptables-${plain}]`,
    async () => {
      const makeRule = { changeTables: [place], changeUsedTables: places };
      for (const [name, wanted] of Object.entries(makeRule)) {
        const change = name === "changeTables" ? changeTables : changeUsedTables;
        using host = await makeHost(plain, before);
        const find = () => findMissingRule(4, ["filter"], () => [RULE]);
        host.in(() => expect(find()).toEqual(RULE));
        host.in(() => change(4, ["filter"], ({ filter }) => filter.ensureRule(RULE)));
        expect(placesOf(host)).toEqual([...wanted]);
        host.in(() => expect(find()).toBeUndefined());
        const remove = () =>
          changeExistingTables(4, ["filter"], ({ filter }) => filter.deleteRules("FORWARD", isRule));
        host.in(remove);
        expect(placesOf(host)).toEqual([]);
      }
    },
    lacking,
  );
}

function isRule(text: string): boolean {
  return text === RULE.text;
}

kernelTest(
  "changeExistingTables() finds what is in either variant, and runs no program for one without the table",
  async () => {
    const rule = RULE.text;
    for (const filled of [["nft"], ["legacy"], KINDS]) {
      using host = await makeHost(
        "nft",
        filled.map((kind) => `iptables-${kind} -A FORWARD ${rule}`).join(";"),
      );
      const spawn = spyOn(Bun, "spawnSync");
      try {
        host.in(() =>
          changeExistingTables(4, ["filter"], ({ filter }) => filter.deleteRules("FORWARD", isRule)),
        );
        expect(spawn.mock.calls.length).toBe(2 * filled.length); // a save and a restore
        host.in(() => changeExistingTables(4, ["nat"], () => expect.unreachable()));
        expect(spawn.mock.calls.length).toBe(2 * filled.length);
      } finally {
        spawn.mockRestore();
      }
      expect(placesOf(host)).toEqual([]);
    }
  },
  lacking,
);

kernelTest(
  "findVariants() asks a script that is called iptables whose it is, once",
  async () => {
    const which = Bun.which;
    const spawn = spyOn(Bun, "spawnSync");
    Bun.which = (name, options) => (name === "iptables-save" ? "/bin/true" : which(name, options));
    try {
      for (let time = 0; time < 2; time++) expect(findVariants(4, [])[0].kind).toBe("legacy");
      expect(spawn.mock.calls.length).toBe(1);
    } finally {
      Bun.which = which;
      spawn.mockRestore();
    }
  },
  lacking,
);

const ISOLATION: Isolation = {
  network: "net",
  containerId: "c1",
  ifname: "eth0",
  via: "cni0",
  addresses: [parseAddress("10.9.0.2")],
  ingressPolicy: "isolated",
  internal: false,
  icc: true,
  permittedInterfaces: [],
  adminChain: "CNI-ADMIN",
};

kernelTest(
  "checkIsolateRules() wants all where a FORWARD drops, else in one variant; DEL leaves nothing in either",
  async () => {
    using host = await makeHost("nft", "iptables-legacy -P FORWARD DROP; iptables-nft -A INPUT -j ACCEPT");
    const check = () => host.in(() => checkIsolateRules(ISOLATION));
    host.in(() => addIsolateRules(ISOLATION));
    check();
    host.run("iptables-nft -F CNI-FORWARD");
    check(); // its FORWARD lets it pass
    host.run("iptables-nft -P FORWARD DROP");
    expect(check).toThrow("the firewall's rules for c1 are gone");
    host.in(() => addIsolateRules(ISOLATION));
    check();
    host.run("iptables-legacy -F CNI-FORWARD");
    expect(check).toThrow("the firewall's rules for c1 are gone");
    host.in(() => addIsolateRules(ISOLATION));
    host.in(() => deleteIsolateRules(ISOLATION));
    expect(host.run("iptables-nft-save; iptables-legacy-save")).not.toContain("CNI-");
  },
  lacking,
);

kernelTest(
  "addPublishRules() leads to somebody else's chain of marks in the variant that has it",
  async () => {
    const publication = {
      ...ISOLATION,
      addresses: [parsePrefix("10.9.0.2/24")],
      ports: [{ protocol: "tcp" as const, hostPort: 8080, containerPort: 80, hostIp: undefined }],
      snat: true,
      masqAll: false,
      markMasqBit: 13,
      externalSetMarkChain: "KUBE-MARK-MASQ",
      conditionsV4: undefined,
      conditionsV6: undefined,
    };
    using host = await makeHost(
      "nft",
      "iptables-nft -t nat -N OTHER; iptables-legacy -t nat -N KUBE-MARK-MASQ",
    );
    host.in(() => addPublishRules(publication));
    host.in(() => checkPublishRules(publication));
    expect(host.run("iptables-legacy-save -t nat")).toContain("-j KUBE-MARK-MASQ");
    expect(host.run("iptables-nft-save")).not.toContain("CNI-");
    host.in(() => deletePublishRules(publication));
    expect(host.run("iptables-legacy-save")).not.toContain("CNI-");
  },
  lacking,
);
