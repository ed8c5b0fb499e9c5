/**
 * portmap and firewall, which stand behind another plugin: they hand on its result as it is in every version,
 * and refuse what they cannot do in the reference's words, by the key's name, with nothing changed.
 */
import t, { type Test } from "tap";
import { attachChain, type Chain, type ChainConfig, pluginConfig } from "./fixtures/chain.ts";
import { type Host, makeHost } from "./fixtures/host.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { natNetwork, type PortMapping, publishing } from "./fixtures/nat-network.ts";
import { normalise } from "./fixtures/normalise.ts";
import { BACKENDS } from "./fixtures/packet-filter.ts";
import type { CniResult, PluginOutcome } from "./fixtures/plugin-call.ts";
import { answered, refused, silent, unchanged } from "./fixtures/refusal.ts";
import { referencePlugins } from "./reference.ts";

const TIMEOUT_MS = 120_000;
t.setTimeout(5 * TIMEOUT_MS);
const lacks = await missing("bridge", "nf_tables");
const SUBNETS = ["10.9.0.0/24", "fd00:9::/64"];
const WEB: PortMapping = { hostPort: 8080, containerPort: 80, protocol: "tcp" };
const VERSIONS = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];
const INTERNAL = /^1\./;

/** The list with bridge alone: what it answers is the other plugins' prevResult. */
function bridgeOnly(list: ChainConfig): ChainConfig {
  return { ...list, plugins: list.plugins.slice(0, 1) };
}

/** ADD of one plugin behind bridge. */
function addBehind(bridge: Chain, config: object, dir?: string): Promise<PluginOutcome> {
  const { container } = bridge;
  const type = String((config as { type?: unknown }).type);
  return container.host.cni(type, { command: "ADD", config, container, ...(dir !== undefined && { dir }) });
}

for (const cniVersion of VERSIONS) {
  await t.test(`the result in ${cniVersion}`, { timeout: TIMEOUT_MS }, async (t) => {
    if (lacks) return skip(t, lacks);
    const host = await makeHost(t);
    for (const backend of BACKENDS) {
      const list = natNetwork("net", SUBNETS, { backend, cniVersion });
      const bridge = await attachChain(await host.container(backend), bridgeOnly(list));
      const prevResult: CniResult = {
        ...bridge.result,
        routes: [...(bridge.result.routes ?? []), { dst: "10.99.0.0/16", gw: "10.9.0.1" }],
        dns: { nameservers: ["10.9.0.1"], domain: "example", search: ["a.example"], options: ["ndots:2"] },
        ...(INTERNAL.test(cniVersion) && { "example.com/more": { kept: true } }),
      };
      for (const [what, runtime] of [
        ["with a port", publishing(WEB)],
        ["with no port", publishing()],
        ["with no runtimeConfig", undefined],
      ] as const) {
        const config = pluginConfig(list, "portmap", { runtime, prevResult });
        answered(t, await addBehind(bridge, config), prevResult, `portmap ${what}, ${backend}`);
      }
      const config = pluginConfig(list, "firewall", { prevResult });
      answered(t, await addBehind(bridge, config), prevResult, `firewall, ${backend}`);
      const { cniVersion: _, ...unsaid } = prevResult;
      const again = pluginConfig(list, "firewall", { prevResult: unsaid as CniResult });
      answered(t, await addBehind(bridge, again), prevResult, `a prevResult without a version, ${backend}`);
    }
  });
}

await t.test("results of 0.1.0 and 0.2.0", { timeout: TIMEOUT_MS }, async (t) => {
  if (lacks) return skip(t, lacks);
  const reference = (await referencePlugins()).find(({ version }) => version === "1.9.1");
  for (const cniVersion of ["0.1.0", "0.2.0"]) {
    const host = await makeHost(t);
    const list = natNetwork("net", SUBNETS, { cniVersion, firewall: false });
    const bridge = await attachChain(await host.container("c1"), bridgeOnly(list));
    const config = pluginConfig(list, "portmap", { runtime: publishing(WEB), prevResult: bridge.result });
    answered(t, await addBehind(bridge, config), bridge.result, `portmap hands it on in ${cniVersion}`);
    if (reference?.missing === undefined && reference) {
      const theirs = await addBehind(bridge, config, reference.dir);
      t.match(
        theirs,
        { code: 0, result: { cniVersion, ip4: bridge.result["ip4"] } },
        "as the reference does",
      );
    }
    const isolating = { ...config, type: "firewall" };
    const wanted = { code: 1, msg: "incompatible CNI versions", details: new RegExp(cniVersion) };
    refused(t, await addBehind(bridge, isolating), wanted, `firewall has no ${cniVersion}`);
  }
});

/** What it is, which keys, what is said. */
type Row = [what: string, keys: object, msg: string | RegExp];

const port = (keys: object) => ({ runtimeConfig: { portMappings: [{ ...WEB, ...keys }] } });
const NFT_WORDS = ["ip", "saddr", "192.0.2.7"];
const IPTABLES_WORDS = ["-s", "192.0.2.7"];
const conflict = (backend: string, other: string, key: string) =>
  `${backend} backend was requested but configuration contains ${other}-specific options [${key}]`;

const PORTMAP: readonly Row[] = [
  ["hostPort 0", port({ hostPort: 0 }), "Invalid host port number: 0"],
  ["hostPort -1", port({ hostPort: -1 }), "Invalid host port number: -1"],
  ["hostPort 65536", port({ hostPort: 65_536 }), "Invalid host port number: 65536"],
  ["containerPort 0", port({ containerPort: 0 }), "Invalid container port number: 0"],
  ["containerPort 65536", port({ containerPort: 65_536 }), "Invalid container port number: 65536"],
  ["a hostPort that is text", port({ hostPort: "8080" }), /hostPort/],
  ["half a port", port({ hostPort: 80.5 }), /hostPort/],
  ["a protocol that has no ports", port({ protocol: "icmp" }), /[Pp]rotocol.*icmp/],
  ["a hostIP that is none", port({ hostIP: "here" }), /[Hh]ost ?IP.*here/],
  ["the hostIP ::1", port({ hostIP: "::1" }), /::1/],
  ["ports that are no list", { runtimeConfig: { portMappings: WEB } }, /portMappings/],
  ["a port that is no object", { runtimeConfig: { portMappings: [8080] } }, /portMappings/],
  ["a backend that is none", { backend: "pf" }, /unrecognized backend "pf"|backend.*pf/],
  ["a bit of 32", { markMasqBit: 32 }, /MasqMarkBit must be between 0 and 31/],
  ["a bit of -1", { markMasqBit: -1 }, /MasqMarkBit must be between 0 and 31/],
  [
    "a bit and a chain",
    { markMasqBit: 5, externalSetMarkChain: "KUBE-MARK-MASQ" },
    "Cannot specify externalSetMarkChain and markMasqBit",
  ],
  [
    "a chain with nftables",
    { backend: "nftables", externalSetMarkChain: "KUBE-MARK-MASQ" },
    conflict("nftables", "iptables", "externalSetMarkChain"),
  ],
  [
    "iptables' words with nftables",
    { backend: "nftables", conditionsV4: IPTABLES_WORDS },
    conflict("nftables", "iptables", "conditionsV4"),
  ],
  [
    "nftables' words with iptables",
    { backend: "iptables", conditionsV6: NFT_WORDS },
    conflict("iptables", "nftables", "conditionsV6"),
  ],
  ["snat as text", { snat: "true" }, /snat/],
  ["masqAll as a number", { masqAll: 1 }, /masqAll/],
  ["a bit as text", { markMasqBit: "5" }, /markMasqBit/],
  ["half a bit", { markMasqBit: 1.5 }, /markMasqBit/],
  ["a chain as a number", { externalSetMarkChain: 5 }, /externalSetMarkChain/],
  ["conditions as text", { conditionsV4: "ip saddr 192.0.2.7" }, /conditionsV4/],
  ["conditions as numbers", { conditionsV6: [5] }, /conditionsV6/],
  ["a runtimeConfig that is none", { runtimeConfig: "x" }, /runtimeConfig/],
];

const FIREWALL: readonly Row[] = [
  ["a policy that nobody knows", { ingressPolicy: "somewhat" }, 'unknown ingress policy: "somewhat"'],
  ["a policy as a number", { ingressPolicy: 5 }, /ingressPolicy|ingress policy/],
  ["a backend that is none", { backend: "pf" }, /backend.*pf/],
  ["a backend as a list", { backend: ["iptables"] }, /backend/],
  ["a chain as a number", { iptablesAdminChainName: 5 }, /iptablesAdminChainName/],
  [
    "a chain whose name is too long",
    { backend: "iptables", iptablesAdminChainName: "x".repeat(29) },
    /iptablesAdminChainName/,
  ],
  ["a zone as a number", { firewalldZone: 5 }, /firewalldZone/],
  ["internal as text", { internal: "true" }, /internal/],
  ["icc as text", { icc: "no" }, /icc/],
  ["permitted as text", { permittedInterfaces: "cni1" }, /permittedInterfaces/],
  ["permitted as numbers", { permittedInterfaces: [1] }, /permittedInterfaces/],
];

for (const [plugin, rows] of [
  ["portmap", PORTMAP],
  ["firewall", FIREWALL],
] as const) {
  await t.test(`what ${plugin} refuses`, { timeout: TIMEOUT_MS }, async (t) => {
    if (lacks) return skip(t, lacks);
    const host = await makeHost(t);
    const list = natNetwork("net", SUBNETS);
    const bridge = await attachChain(await host.container("c1"), bridgeOnly(list));
    const config = pluginConfig(list, plugin, { runtime: publishing(WEB), prevResult: bridge.result });
    const before = normalise(await host.snapshot());
    for (const [what, keys, msg] of rows) {
      refused(t, await addBehind(bridge, { ...config, ...keys }), { code: 7, msg, details: /.*/ }, what);
    }
    await unchanged(t, host, before, "nothing changed");
    for (const [what, keys] of rows) {
      const call = { config: { ...config, ...keys }, container: bridge.container };
      silent(t, await host.cni(plugin, { ...call, command: "DEL" }), `DEL: ${what}`);
    }
    await unchanged(t, host, before, "nor by DEL");
    await showUnchained(t, host, { bridge, config });
  });
}

interface Unchained {
  bridge: Chain;
  config: ReturnType<typeof pluginConfig> & { type?: unknown };
}

/** Without the result of another plugin there is nothing to publish or to isolate. */
async function showUnchained(t: Test, host: Host, { bridge, config }: Unchained): Promise<void> {
  const { prevResult: _, ...alone } = config;
  const isPortmap = config.type === "portmap";
  const msg = isPortmap ? "must be called as chained plugin" : "missing prevResult from earlier plugin";
  refused(t, await addBehind(bridge, alone), { code: 7, msg, details: /.*/ }, "ADD without a prevResult");
  const { container } = bridge;
  const type = String(config.type);
  const check = await host.cni(type, { command: "CHECK", config: alone, container });
  refused(t, check, { code: 7, msg: /prevResult/, details: /.*/ }, "CHECK without a prevResult");
  silent(t, await host.cni(type, { command: "DEL", config: alone, container }), "DEL without a prevResult");
  silent(t, await host.cni(type, { command: "STATUS", config: alone }), "STATUS");
  const prevResult = { cniVersion: "1.1.0", interfaces: [{ name: "eth0", sandbox: container.path }] };
  const bare = isPortmap ? { runtimeConfig: { portMappings: [] } } : { ingressPolicy: "open" };
  const nothing = { ...alone, ...bare, prevResult };
  answered(
    t,
    await addBehind(bridge, nothing),
    prevResult,
    "nothing to do for a container without addresses",
  );
}
