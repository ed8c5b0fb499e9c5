import { expect } from "bun:test";
import { IptablesHost, VARIANTS } from "../testing/iptables.ts";
import { kernelTest } from "../testing/netns.ts";
import { changeExistingTables, changeTables, findMissingRule } from "./change.ts";
import { variantInForce, variantsInUse } from "./variant.ts";

const RULE = { table: "filter", chain: "FORWARD", text: "-s 10.0.0.1/32 -j ACCEPT" } as const;
const [nft, legacy] = VARIANTS;
const lacking = nft?.lacking ?? legacy?.lacking;

function makeHost(): Promise<IptablesHost> {
  if (nft === undefined) throw new Error("no variant is called nft");
  return IptablesHost.make(nft);
}

kernelTest(
  "variantInForce() is the legacy one where that drops, and rules go there",
  async () => {
    using host = await makeHost();
    host.run("iptables-legacy -P FORWARD DROP; ip6tables-legacy -P FORWARD ACCEPT");
    host.in(() => {
      expect([variantInForce(4), variantInForce(6)]).toEqual(["-legacy", ""]);
      expect(findMissingRule(4, [RULE])).toEqual(RULE);
      changeTables(4, ["filter"], ({ filter }) => filter.ensureRule(RULE));
      expect(findMissingRule(4, [RULE])).toBeUndefined();
    });
    expect(host.run("iptables-legacy -S FORWARD")).toContain(RULE.text);
    expect(host.run("iptables-nft -S FORWARD")).not.toContain(RULE.text);
  },
  lacking,
);

kernelTest(
  "changeExistingTables() finds the rules of either variant, whatever is in force by then",
  async () => {
    using host = await makeHost();
    host.run(
      "iptables-nft -A FORWARD -s 10.0.0.1 -j ACCEPT; iptables-legacy -A FORWARD -s 10.0.0.1 -j ACCEPT",
    );
    host.in(() => {
      expect([variantInForce(4), variantsInUse(4), variantsInUse(6)]).toEqual(["", ["", "-legacy"], [""]]);
      changeExistingTables(4, ["filter"], ({ filter }) => {
        filter.deleteRules("FORWARD", (rule) => rule.includes("10.0.0.1"));
      });
    });
    expect(host.run("iptables-legacy -S FORWARD; iptables-nft -S FORWARD")).not.toContain("10.0.0.1");
  },
  lacking,
);

kernelTest(
  "variantsInUse() is one where the plain names are the legacy variant's",
  async () => {
    if (legacy === undefined) throw new Error("no variant is called legacy");
    using host = await IptablesHost.make(legacy);
    host.run("iptables-legacy -P FORWARD DROP");
    host.in(() => expect([variantInForce(4), variantsInUse(4)]).toEqual(["", [""]]));
  },
  lacking,
);
