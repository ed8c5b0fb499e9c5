import { expect, test } from "bun:test";
import { chooseBackend } from "./backend.ts";
import { closeNetfilterSocket } from "./netfilter/socket.ts";
import { inNetns } from "./netns/netns.ts";
import { kernelTest, lackingFor, TestNetns } from "./testing/netns.ts";

const noNft = lackingFor("iptables-nft", "-S");
const noLegacy = lackingFor("iptables-legacy", "-S");

test("chooseBackend() gives what was asked for", () => {
  expect(chooseBackend("iptables", { needsForwardAccept: false })).toBe("iptables");
  expect(chooseBackend("nftables", { needsForwardAccept: true })).toBe("nftables");
});

/** What is chosen for ipMasq and portmap, and for firewall, after the command. */
async function choices(command: string): Promise<string[]> {
  using host = await TestNetns.make();
  host.run(command);
  using _ = { [Symbol.dispose]: closeNetfilterSocket }; // it is this namespace's
  return inNetns(host.netns, () =>
    [false, true].map((needsForwardAccept) => chooseBackend(undefined, { needsForwardAccept })),
  );
}

kernelTest("chooseBackend() is nftables where nobody drops", async () => {
  expect(await choices("true")).toEqual(["nftables", "nftables"]);
});

const DROPPING = {
  "iptables-nft -P FORWARD DROP": noNft,
  "ip6tables-nft -P FORWARD DROP": noNft,
  "iptables-legacy -P FORWARD DROP": noLegacy,
  "ip6tables-legacy -P FORWARD DROP": noLegacy,
};
for (const [command, lacking] of Object.entries(DROPPING)) {
  const name = `chooseBackend() is iptables for firewall after ${command}`;
  kernelTest(name, async () => expect(await choices(command)).toEqual(["nftables", "iptables"]), lacking);
}

kernelTest(
  "chooseBackend() is nftables where iptables accepts",
  async () => {
    expect(await choices("iptables-nft -P FORWARD ACCEPT; iptables-nft -P INPUT DROP")).toEqual([
      "nftables",
      "nftables",
    ]);
  },
  noNft,
);
