import { afterEach, describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readlinkSync, rmSync } from "node:fs";
import { parseAddress } from "../netaddr/address.ts";
import { parsePrefix } from "../netaddr/prefix.ts";
import { noOwnRunReason } from "../testing/own-run.ts";
import {
  checkPortClaims,
  claimPorts,
  claimsOf,
  listPortClaims,
  type PortClaim,
  releasePorts,
} from "./port-claims.ts";
import type { PortProtocol, Publication } from "./publication.ts";

const PORTS_DIR = "/run/weft/ports";
const reason = noOwnRunReason ? ` [skipped: ${noOwnRunReason}]` : "";
const rootTest = (name: string, body: () => void) => test.skipIf(reason !== "")(name + reason, body);

afterEach(() => {
  if (!noOwnRunReason) rmSync(PORTS_DIR, { recursive: true, force: true });
});

const C1 = { network: "net", containerId: "c1", ifname: "eth0" };
const C2 = { network: "other", containerId: "c2", ifname: "eth1" };
/** Nobody is gone, and nobody is evicted. */
const ALIVE = {
  isGone: () => false,
  evict() {
    throw new Error("evicted");
  },
};

function claim(hostIp: string, port = 8080, protocol: PortProtocol = "tcp"): PortClaim {
  return { protocol, port, hostIp: parseAddress(hostIp) };
}

describe("claimPorts()", () => {
  rootTest("claimPorts() makes a link for each that says whose it is", () => {
    claimPorts([claim("0.0.0.0"), claim("::"), claim("10.1.1.1", 53, "udp")], C1, ALIVE);
    expect(readdirSync(`${PORTS_DIR}/tcp/8080`).sort()).toEqual(["0.0.0.0", "::"]);
    expect(readlinkSync(`${PORTS_DIR}/udp/53/10.1.1.1`)).toBe("net/c1/eth0");
    checkPortClaims([claim("0.0.0.0"), claim("::")], C1);
  });

  test.skipIf(reason !== "").each([
    ["0.0.0.0", "0.0.0.0"],
    ["0.0.0.0", "10.1.1.1"],
    ["10.1.1.1", "0.0.0.0"],
    ["10.1.1.1", "10.1.1.1"],
    ["::", "fd00::1"],
  ])(`claimPorts() refuses %s to a second container when the first has %s${reason}`, (wanted, held) => {
    claimPorts([claim(held)], C1, ALIVE);
    const where = /^(::|0\.0\.0\.0)$/.test(wanted) ? "" : `${wanted}:`;
    expect(() => claimPorts([claim(wanted, 9_090), claim(wanted)], C2, ALIVE)).toThrow(
      `host port ${where}8080/tcp is already published by container "c1"; its "eth0" on network "net" has it`,
    );
    expect(existsSync(`${PORTS_DIR}/tcp/9090`)).toBe(false); // all or none
  });

  rootTest("claimPorts() gives the other protocol, family, address and port to others", () => {
    claimPorts([claim("10.1.1.1")], C1, ALIVE);
    claimPorts(
      [claim("10.1.1.1", 8080, "udp"), claim("::"), claim("10.1.1.2"), claim("10.1.1.1", 81)],
      C2,
      ALIVE,
    );
  });

  rootTest("claimPorts() gives a container again what it has", () => {
    claimPorts([claim("0.0.0.0")], C1, ALIVE);
    claimPorts([claim("0.0.0.0"), claim("10.1.1.1")], C1, ALIVE);
    expect(listPortClaims()).toHaveLength(2);
  });

  rootTest("claimPorts() takes over what a container has that is gone", () => {
    const held = [claim("10.1.1.1"), claim("10.1.1.2")];
    claimPorts(held, C1, ALIVE);
    const evicted: unknown[] = [];
    claimPorts([claim("0.0.0.0")], C2, {
      isGone: ({ containerId }) => containerId === "c1",
      evict(holder) {
        evicted.push(holder);
        releasePorts(held, holder);
      },
    });
    expect(evicted).toEqual([C1]);
    expect(readlinkSync(`${PORTS_DIR}/tcp/8080/0.0.0.0`)).toBe("other/c2/eth1");
  });

  rootTest("claimPorts() does not try for ever where an eviction changes nothing", () => {
    claimPorts([claim("0.0.0.0")], C1, ALIVE);
    const holders = { isGone: () => true, evict() {} };
    expect(() => claimPorts([claim("0.0.0.0")], C2, holders)).toThrow("already published");
  });
});

rootTest("releasePorts() removes what is the container's, and nothing of another's", () => {
  claimPorts([claim("10.1.1.1"), claim("0.0.0.0", 53, "udp")], C1, ALIVE);
  claimPorts([claim("10.1.1.2")], C2, ALIVE);
  releasePorts([claim("10.1.1.1"), claim("10.1.1.2"), claim("0.0.0.0", 53, "udp"), claim("::", 1)], C1);
  expect(listPortClaims()).toEqual([{ ...claim("10.1.1.2"), owner: C2 }]);
  expect(existsSync(`${PORTS_DIR}/udp/53`)).toBe(false);
});

rootTest("checkPortClaims() names the port that is not the container's", () => {
  claimPorts([claim("0.0.0.0")], C2, ALIVE);
  expect(() => checkPortClaims([claim("0.0.0.0")], C1)).toThrow(
    'host port 8080/tcp is not claimed by container "c1"',
  );
  expect(() => checkPortClaims([claim("fd00::1", 53, "udp")], C1)).toThrow("host port [fd00::1]:53/udp");
});

const PUBLICATION: Publication = {
  ...C1,
  via: "cni0",
  addresses: [parsePrefix("10.9.0.2/24"), parsePrefix("fd00:9::2/64")],
  ports: [
    { hostPort: 8080, containerPort: 80, protocol: "tcp", hostIp: undefined },
    { hostPort: 53, containerPort: 53, protocol: "udp", hostIp: parseAddress("10.1.1.1") },
  ],
  snat: true,
  masqAll: false,
  markMasqBit: 13,
  externalSetMarkChain: undefined,
  conditionsV4: undefined,
  conditionsV6: undefined,
};

test("claimsOf() is each port in each family of the container", () => {
  expect(claimsOf(PUBLICATION)).toEqual([claim("0.0.0.0"), claim("10.1.1.1", 53, "udp"), claim("::")]);
});

test("claimsOf() is the port on any address where there are conditions", () => {
  const claims = claimsOf({ ...PUBLICATION, conditionsV4: ["ip", "saddr", "10.0.0.0/8"] });
  expect(claims).toEqual([claim("0.0.0.0"), claim("0.0.0.0", 53, "udp"), claim("::")]);
});
