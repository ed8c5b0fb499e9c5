import { describe, expect, test } from "bun:test";
import { formatAddress } from "../netaddr/address.ts";
import {
  askedBackend,
  type PortMapping,
  type PublishConfig,
  parsePortMappings,
  verifyPublishConfig,
} from "./port-mappings.ts";

function config(parts: Partial<PublishConfig> = {}, ...portMappings: Partial<PortMapping>[]): PublishConfig {
  return {
    snat: true,
    masqAll: false,
    ...parts,
    runtimeConfig: {
      portMappings: portMappings.map((mapping) => ({
        hostPort: 8080,
        containerPort: 80,
        protocol: "tcp",
        hostIP: "",
        ...mapping,
      })),
    },
  };
}

/** As `hostIP:hostPort/protocol→containerPort`. */
function parsed(...portMappings: Partial<PortMapping>[]): string[] {
  return parsePortMappings(config({}, ...portMappings)).map(
    ({ hostIp, hostPort, protocol, containerPort }) =>
      `${hostIp ? formatAddress(hostIp) : ""}:${hostPort}/${protocol}→${containerPort}`,
  );
}

describe("parsePortMappings()", () => {
  test("parsePortMappings() reads protocols in any case, and addresses as Go does", () => {
    expect(parsed({}, { protocol: "UDP" }, { protocol: "sctp", hostIP: "::ffff:10.1.1.1" })).toEqual([
      ":8080/tcp→80",
      ":8080/udp→80",
      "10.1.1.1:8080/sctp→80",
    ]);
    expect(parsed({ hostIP: "0.0.0.0" }, { hostIP: "::" })).toEqual([
      "0.0.0.0:8080/tcp→80",
      ":::8080/tcp→80",
    ]);
  });

  test("parsePortMappings() has each port once", () => {
    expect(parsed({}, {}, { hostIP: "0.0.0.0" }, { hostIP: "::" }, { hostIP: "10.1.1.1" })).toEqual([
      ":8080/tcp→80",
      "10.1.1.1:8080/tcp→80",
    ]);
  });

  test.each([
    [{ hostPort: 0 }, "Invalid host port number: 0"],
    [{ hostPort: -1 }, "Invalid host port number: -1"],
    [{ hostPort: 65_536 }, "Invalid host port number: 65536"],
    [{ containerPort: 0, hostPort: 0 }, "Invalid container port number: 0"],
    [{ containerPort: 65_536 }, "Invalid container port number: 65536"],
    [{ protocol: "" }, 'Invalid protocol: ""; it must be "tcp", "udp" or "sctp"'],
    [{ protocol: "icmp" }, 'Invalid protocol: "icmp"'],
    [{ hostIP: "nope" }, 'Invalid host IP: "nope"'],
    [{ hostIP: "::1" }, 'Invalid host IP: "::1" cannot be published; '],
  ])("parsePortMappings() refuses %o", (mapping, message) => {
    expect(() => parsed(mapping)).toThrow(message);
  });

  test.each([
    [{}, { containerPort: 81 }],
    [{}, { hostIP: "0.0.0.0", containerPort: 81 }],
    [{ hostIP: "::" }, { containerPort: 81 }],
  ])("parsePortMappings() refuses one port that leads to two (%o, %o)", (first, second) => {
    expect(() => parsed(first, second)).toThrow(
      "host port 8080/tcp is published twice; to the container's ports 80 and 81",
    );
  });
});

describe("askedBackend()", () => {
  test.each([
    [{}, undefined],
    [{ backend: "nftables" }, "nftables"],
    [{ externalSetMarkChain: "KUBE-MARK-MASQ" }, "iptables"],
    [{ markMasqBit: 14 }, "iptables"],
    [{ markMasqBit: 14, backend: "nftables" }, "nftables"],
    [{ conditionsV4: ["-s", "10.0.0.0/8"] }, "iptables"],
    [{ conditionsV6: ["!", "-s", "fd00::/8"] }, "iptables"],
    [{ conditionsV4: ["ip", "saddr", "10.0.0.0/8"] }, "nftables"],
    [{ conditionsV4: [], conditionsV6: [""] }, undefined],
  ] as const)("askedBackend() of %o is %s", (parts, backend) => {
    expect(askedBackend(config(parts))).toBe(backend);
  });

  test.each([
    [
      { backend: "nftables", externalSetMarkChain: "X", conditionsV4: ["-s", "10.0.0.0/8"] },
      "nftables backend was requested but configuration contains iptables-specific options [externalSetMarkChain conditionsV4]",
    ],
    [
      { backend: "iptables", conditionsV6: ["ip6", "saddr", "::1"] },
      "iptables backend was requested but configuration contains nftables-specific options [conditionsV6]",
    ],
    [
      { conditionsV4: ["-s", "10.0.0.0/8"], conditionsV6: ["ip6", "saddr", "::1"] },
      "iptables backend was requested but configuration contains nftables-specific options [conditionsV6]",
    ],
  ] as const)("askedBackend() refuses what the other one has (%o)", (parts, message) => {
    expect(() => askedBackend(config(parts))).toThrow(message);
  });
});

test("verifyPublishConfig() refuses both ways to a mark, and conditions that nobody knows", () => {
  expect(() => verifyPublishConfig(config({ markMasqBit: 1, externalSetMarkChain: "X" }))).toThrow(
    "Cannot specify externalSetMarkChain and markMasqBit",
  );
  expect(() => verifyPublishConfig(config({ conditionsV4: ["ct", "state", "new"] }))).toThrow(
    'invalid "conditionsV4": "ct" is not known here',
  );
  verifyPublishConfig(config({ conditionsV4: ["-m", "whatever"] })); // for iptables to say
});
