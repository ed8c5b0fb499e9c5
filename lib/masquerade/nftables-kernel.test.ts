/** Masquerading by our own table, and what the reference's nftables backend left; the oracle is nft. */
import { expect, test } from "bun:test";
import { parsePrefix } from "../netaddr/prefix.ts";
import { kernelTest } from "../testing/netns.ts";
import { NftHost, noNftReason } from "../testing/nft.ts";
import { deleteReferenceRules, masqueradeElements } from "./nftables.ts";

const C1 = { network: "net", containerId: "c1", ifname: "eth0" };

test("masqueradeElements() are the interface of the host and each address, of either family", () => {
  const addresses = ["10.9.0.2/24", "fd00:9:0:0::2/64"].map(parsePrefix);
  expect(masqueradeElements({ ...C1, via: "cni0", addresses })).toEqual([
    { set: "masq4", key: ["cni0", "10.9.0.2"] },
    { set: "masq6", key: ["cni0", "fd00:9::2"] },
  ]);
});

test("masqueradeElements() of an overlay's container exempt what it sends by the overlay's device", () => {
  const addresses = ["10.9.0.2/24"].map(parsePrefix);
  expect(masqueradeElements({ ...C1, via: "vxbr7", overlay: "vx7", addresses })).toEqual([
    { set: "overlay4", key: ["vx7", "10.9.0.2"] },
    { set: "masq4", key: ["vxbr7", "10.9.0.2"] },
  ]);
});

/** What the reference 1.9.1 leaves of container c1 on network net, and of another attachment. */
const OURS = `a4861f4ae9f7d238-f4d01f2ef4b92245, net: net, if: eth0, id: c1`;
const OTHERS = [
  "a4861f4ae9f7d238-0123456789abcdef, net: net, if: eth0, id: c2",
  "mine",
  "a4861f4ae9f7d238-f4d01f2ef4b92245",
];
const rule = (address: string, comment: string) =>
  `ip saddr ${address} ip daddr != 10.9.0.0/24 masquerade comment "${comment}"`;
const table = (rules: readonly string[]) => `table inet cni_plugins_masquerade {
  comment "Masquerading for plugins from github.com/containernetworking/plugins"
  chain masq_checks {
    ${rules.join("\n")}
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ip daddr 224.0.0.0/4 return
    goto masq_checks
  }
}`;

kernelTest(
  "deleteReferenceRules() deletes the attachment's rules by their hashes, and nothing else",
  async () => {
    using host = await NftHost.make();
    const others = OTHERS.map((comment) => rule("10.9.0.3", comment));
    host.load(table(others));
    const before = host.ruleset();
    deleteReferenceRules(host.socket, C1);
    expect(host.ruleset()).toEqual(before);
    const ours = ["10.9.0.2", "10.8.0.2"].map((address) => rule(address, OURS));
    host.load(`flush ruleset\n${table([ours[0] ?? "", ...others, ours[1] ?? ""])}`);
    for (let time = 0; time < 2; time++) deleteReferenceRules(host.socket, C1);
    expect(host.ruleset()).toEqual(before);
    host.load("flush ruleset");
    deleteReferenceRules(host.socket, C1); // there is no such table
    expect(host.ruleset()).toEqual([]);
  },
  noNftReason,
);
