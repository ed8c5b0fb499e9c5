/**
 * DEL by iptables after somebody emptied the chain in which the firewall notes whose its rules are: the
 * record has the addresses too. CNI spec 1.1 §4 DEL.
 */
import t from "tap";
import { attachChain } from "./fixtures/chain.ts";
import { filteredNetwork } from "./fixtures/filtered-network.ts";
import { makeHost } from "./fixtures/host.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { rulesAbout, rulesOf } from "./fixtures/packet-filter.ts";
import { silent } from "./fixtures/refusal.ts";

const lacks = await missing("bridge", "nf_tables");
const FLUSH = ["iptables", "ip6tables"].map((command) => `${command} -F CNI-FORWARD-OWNERS`).join("\n");

await t.test("DEL without the notes", { timeout: 60_000 }, async (t) => {
  if (lacks) return skip(t, lacks);
  const host = await makeHost(t);
  await host.outside();
  const list = filteredNetwork("net", ["10.34.0.0/24", "fd00:34::/64"], {
    backend: "iptables",
    firewall: { ingressPolicy: "isolated" },
  });
  const c1 = await attachChain(await host.container("c1"), list);
  t.not((await rulesAbout(host, "CNI-FORWARD", ...c1.addresses)).length, 0, "ADD makes rules");
  await host.exec("sh", ["-e", "-c", FLUSH]);
  silent(t, await c1.del({ prevResult: undefined }), "DEL says nothing");
  const left = (await rulesOf(host)).filter((line) => line.includes("CNI-"));
  t.same(left, [], "and leaves neither a rule nor a chain");
});
