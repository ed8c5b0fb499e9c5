/**
 * Nodes that change from the reference plugins to ours, or back, with their containers running: each side
 * removes what the other made, and leaves what it leaves of its own.
 */
import { expect } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Reference, referencePlugins } from "../conformance/reference.ts";
import { addIsolateRules, deleteIsolateRules } from "./isolate/iptables.ts";
import type { Isolation } from "./isolate/isolation.ts";
import { addMasqueradeRules, deleteMasqueradeRules } from "./masquerade/iptables.ts";
import { parseAddress } from "./netaddr/address.ts";
import { parsePrefix } from "./netaddr/prefix.ts";
import { addPublishRules, deletePublishRules } from "./publish/iptables.ts";
import type { Publication } from "./publish/publication.ts";
import { IptablesHost, VARIANTS } from "./testing/iptables.ts";
import { kernelTest, TestNetns } from "./testing/netns.ts";

const PREFIXES = ["10.9.0.2/24", "fd00:9::2/64"].map(parsePrefix);
const OWNER = { network: "net", containerId: "c1.a-b_c", ifname: "eth0", via: "cni0" };
const TARGET = { ...OWNER, addresses: PREFIXES };
const PUBLICATION: Publication = {
  ...TARGET,
  ports: [
    { protocol: "tcp", hostPort: 8080, containerPort: 80, hostIp: undefined },
    { protocol: "tcp", hostPort: 8081, containerPort: 81, hostIp: parseAddress("10.1.1.1") },
  ],
  snat: true,
  masqAll: false,
  markMasqBit: 13,
  externalSetMarkChain: undefined,
  conditionsV4: ["!", "-s", "10.7.0.0/16"],
  conditionsV6: undefined,
};
const ISOLATION: Isolation = {
  ...OWNER,
  addresses: PREFIXES.map(({ address }) => address),
  ingressPolicy: "open",
  internal: false,
  icc: true,
  permittedInterfaces: [],
  adminChain: "CNI-ADMIN",
};

/** A host with a container that the reference's bridge connected. */
class ReferenceHost implements Disposable {
  readonly host: IptablesHost;
  readonly #container: TestNetns;
  readonly #leases = mkdtempSync(join(tmpdir(), "weft-leases-"));
  readonly #dir: string;
  #prevResult: unknown;

  constructor(host: IptablesHost, container: TestNetns, { dir }: Reference) {
    this.host = host;
    this.#container = container;
    this.#dir = dir;
  }

  bridge(command: string, config: object = {}): void {
    const ranges = [[{ subnet: "10.9.0.0/24" }], [{ subnet: "fd00:9::/64" }]];
    const ipam = { type: "host-local", dataDir: this.#leases, ranges };
    const answer = this.#run(command, "bridge", { bridge: "cni0", isGateway: true, ipam, ...config });
    if (command === "ADD") this.#prevResult = JSON.parse(answer);
  }

  portmap(command: string): void {
    const portMappings = [
      { hostPort: 8080, containerPort: 80, protocol: "tcp" },
      { hostPort: 8081, containerPort: 81, protocol: "tcp", hostIP: "10.1.1.1" },
    ];
    const { conditionsV4 } = PUBLICATION;
    this.#run(command, "portmap", { backend: "iptables", conditionsV4, runtimeConfig: { portMappings } });
  }

  firewall(command: string, ingressPolicy: string): void {
    this.#run(command, "firewall", { backend: "iptables", ingressPolicy });
  }

  #run(command: string, type: string, keys: object): string {
    const config = { cniVersion: "1.0.0", name: "net", type, prevResult: this.#prevResult, ...keys };
    const variables = [
      `CNI_COMMAND=${command} CNI_CONTAINERID=${OWNER.containerId} CNI_IFNAME=eth0`,
      `CNI_NETNS=${this.#container.path} CNI_PATH=${this.#dir}`,
    ].join(" ");
    return this.host.run(
      `${variables} ${this.#dir}/${type} <<'END' || exit 1\n${JSON.stringify(config)}\nEND\n`,
    );
  }

  [Symbol.dispose](): void {
    this.host[Symbol.dispose]();
    this.#container[Symbol.dispose]();
    rmSync(this.#leases, { recursive: true });
  }
}

const MASQUERADED = { ipMasq: true, ipMasqBackend: "iptables" };

/** Without the notes of whose they are, and what is ours alone. */
function asReference(rules: readonly string[]): string[] {
  return rules.filter((rule) => !rule.includes("OWNERS") && !rule.includes("weft"));
}

for (const reference of await referencePlugins()) {
  // It knows no other policy before 1.2.
  for (const ingressPolicy of reference.version.startsWith("1.1.") ? ["open"] : ["open", "isolated"]) {
    const isolation = { ...ISOLATION, ingressPolicy } as Isolation; // one of the two above
    for (const variant of VARIANTS) {
      const of = `[${reference.version}, ${ingressPolicy}, iptables-${variant.name}]`;
      const lacking = reference.missing ?? variant.lacking;
      const make = async () =>
        new ReferenceHost(await IptablesHost.make(variant), await TestNetns.make(), reference);
      const remove = (node: ReferenceHost) => {
        node.firewall("DEL", ingressPolicy);
        node.portmap("DEL");
        node.bridge("DEL", MASQUERADED);
      };
      const both = ({ host }: ReferenceHost) => [...host.rules(4), ...host.rules(6)];

      kernelTest(
        `our DEL removes what the reference's ADD made, which is what ours makes ${of}`,
        async () => {
          using node = await make();
          node.bridge("ADD", MASQUERADED);
          node.portmap("ADD");
          node.firewall("ADD", ingressPolicy);
          const theirs = both(node);
          node.host.in(() => {
            deleteMasqueradeRules(OWNER);
            deletePublishRules(OWNER);
            deleteIsolateRules({ ...OWNER, addresses: ISOLATION.addresses });
          });
          expect(both(node)).toEqual([]);
          node.host.in(() => {
            addMasqueradeRules(TARGET);
            addPublishRules(PUBLICATION);
            addIsolateRules(isolation);
          });
          expect(asReference(both(node))).toEqual(theirs);
        },
        lacking,
      );

      kernelTest(
        `the reference's DEL removes what our ADD made, as it does what it made itself ${of}`,
        async () => {
          using node = await make();
          node.bridge("ADD", MASQUERADED);
          node.portmap("ADD");
          node.firewall("ADD", ingressPolicy);
          remove(node);

          using other = await make();
          other.bridge("ADD");
          other.host.in(() => {
            addMasqueradeRules(TARGET);
            addPublishRules(PUBLICATION);
            addIsolateRules(isolation);
          });
          remove(other);
          expect(asReference(both(other))).toEqual(both(node));
        },
        lacking,
      );
    }
  }
}
