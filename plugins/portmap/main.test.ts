/** portmap in a namespace of the kernel this machine runs; the oracle is nft and iptables-save. */
import { afterAll, afterEach, beforeAll, describe, expect } from "bun:test";
import { existsSync, readdirSync, readlinkSync, rmSync } from "node:fs";
import { callPlugin } from "../../lib/cni/plugin.ts";
import { closeNetfilterSocket } from "../../lib/netfilter/socket.ts";
import { inNetns } from "../../lib/netns/netns.ts";
import { kernelTest, lackingFor, noNetnsReason, TestNetns } from "../../lib/testing/netns.ts";
import { noOwnRunReason } from "../../lib/testing/own-run.ts";
import { input } from "../../lib/testing/probe.ts";
import { portmapPlugin } from "./main.ts";

const lacking = noOwnRunReason ?? lackingFor("nft", "list", "ruleset");
const PORTS_DIR = "/run/weft/ports";

let host: TestNetns;
/** The containers' namespaces. */
let c1: TestNetns;
let c2: TestNetns;

beforeAll(async () => {
  if ((noNetnsReason ?? lacking) !== undefined) return;
  [host, c1, c2] = [await TestNetns.make(), await TestNetns.make(), await TestNetns.make()];
  host.run(`ip link set lo up; ip link add cni0 type bridge; ip link set cni0 up
    ip addr add 10.9.0.1/24 dev cni0; ip addr add fd00:9::1/64 dev cni0 nodad
    ip link add veth1 type veth peer name peer1; ip link set veth1 master cni0 up`);
});
afterEach(() => {
  if (!host) return;
  host.run("nft flush ruleset");
  rmSync("/run/weft", { recursive: true, force: true });
});
afterAll(() => {
  for (const netns of [host, c1, c2]) netns?.[Symbol.dispose]();
});

interface Parts {
  readonly containerId?: string;
  readonly ports?: readonly object[];
  readonly [key: string]: unknown;
}

const HTTP = { hostPort: 8080, containerPort: 80, protocol: "tcp" };
const DNS = { hostPort: 53, containerPort: 53, protocol: "udp", hostIP: "10.1.1.1" };

/** What portmap answers to a command about a container, on the test's host. */
function call(command: string, { containerId = "c1", ports = [HTTP, DNS], ...config }: Parts = {}): string {
  const container = containerId === "c1" ? c1 : c2;
  const address = containerId === "c1" ? 2 : 3;
  const prevResult = {
    cniVersion: "1.1.0",
    interfaces: [{ name: "cni0" }, { name: "veth1" }, { name: "eth0", sandbox: container.path }],
    ips: [
      { address: `10.9.0.${address}/24`, interface: 2 },
      { address: `fd00:9::${address}/64`, interface: 2 },
    ],
  };
  const request = input(
    command,
    { type: "portmap", runtimeConfig: { portMappings: ports }, prevResult, ...config },
    { CNI_CONTAINERID: containerId, CNI_NETNS: container.path },
  );
  closeNetfilterSocket();
  try {
    return inNetns(host.netns, () => callPlugin(portmapPlugin, request));
  } finally {
    closeNetfilterSocket();
  }
}

/** The elements of a set of ours, a line each, without the comment that all have. */
function elements(set: string): string[] {
  const text = host.run(`nft list ${set.startsWith("hairpin") ? "set" : "map"} inet weft ${set}`);
  const [, inner = ""] = /elements = \{([^}]*)\}/.exec(text) ?? [];
  return inner
    .split(",")
    .map((line) => line.trim().replace(' comment "net/c1/eth0"', ""))
    .filter(Boolean)
    .sort();
}

const portmapTest = (name: string, body: () => void) => kernelTest(name, body, lacking);

describe("ADD", () => {
  portmapTest("ADD publishes under nftables, and passes prevResult on", () => {
    const result = JSON.parse(call("ADD"));
    expect(result.interfaces.map(({ name }: { name: string }) => name)).toEqual(["cni0", "veth1", "eth0"]);
    expect(elements("port4")).toEqual(["tcp . 8080 : 10.9.0.2 . 80"]);
    expect(elements("hostport4")).toEqual(["10.1.1.1 . udp . 53 : 10.9.0.2 . 53"]);
    expect(elements("port6")).toEqual(["tcp . 8080 : fd00:9::2 . 80"]);
    expect(elements("hairpin6")).toEqual(['"cni0" . fd00:9::2']);
    expect(host.run("sysctl -n net.ipv4.conf.cni0.route_localnet").trim()).toBe("1");
    expect(readlinkSync(`${PORTS_DIR}/tcp/8080/0.0.0.0`)).toBe("net/c1/eth0");
  });

  portmapTest("ADD publishes under iptables", () => {
    call("ADD", { backend: "iptables" });
    expect(host.run("iptables-save -t nat")).toMatch(
      /-A CNI-DN-\w+ -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.9.0.2:80/,
    );
    expect(host.run("ip6tables-save -t nat")).toContain("--to-destination [fd00:9::2]:80");
    call("CHECK", { backend: "iptables" });
    call("DEL", { backend: "iptables" });
    expect(host.run("iptables-save -t nat")).not.toContain("CNI-");
  });

  portmapTest("ADD with conditions makes a chain of the container's own, which goes with it", () => {
    const parts = { conditionsV4: ["ip", "saddr", "10.0.0.0/8"], ports: [HTTP] };
    call("ADD", parts);
    const [element = ""] = elements("condition4");
    const chain = element.split("jump ")[1];
    expect(host.run(`nft list chain inet weft ${chain}`)).toContain(
      "tcp dport 8080 ip saddr 10.0.0.0/8 dnat ip to 10.9.0.2:80",
    );
    call("CHECK", parts);
    host.run(`nft flush chain inet weft ${chain}`);
    expect(() => call("CHECK", parts)).toThrow(`chain ${chain} has 0 rules, not 1`);
    call("DEL", parts);
    expect(host.run("nft list table inet weft")).not.toContain("condition4-");
  });

  portmapTest("ADD of a port that another container has names it, and changes nothing", () => {
    call("ADD");
    const before = host.run("nft -s list ruleset");
    expect(() => call("ADD", { containerId: "c2", ports: [{ ...HTTP, hostPort: 9090 }, HTTP] })).toThrow(
      'host port 8080/tcp is already published by container "c1"; its "eth0" on network "net" has it',
    );
    expect(host.run("nft -s list ruleset")).toBe(before);
    expect(readdirSync(`${PORTS_DIR}/tcp`)).toEqual(["8080"]);
    expect(readdirSync("/run/weft/attachments/net")).toEqual(["c1:eth0:portmap"]);
  });

  portmapTest("ADD takes the port of a container whose namespace is gone, and all that it had", () => {
    call("ADD");
    const record = "/run/weft/attachments/net/c1:eth0:portmap";
    host.run(`sed -i 's#"netns":"[^"]*"#"netns":"/run/netns/gone"#' ${record}`);
    call("ADD", { containerId: "c2", ports: [HTTP] });
    expect(existsSync(record)).toBe(false);
    expect(host.run("nft list table inet weft")).not.toContain("10.9.0.2");
    expect(readdirSync(PORTS_DIR)).toContain("tcp");
    expect(readlinkSync(`${PORTS_DIR}/tcp/8080/0.0.0.0`)).toBe("net/c2/eth0");
    call("DEL"); // too late for it: it is another's by now
    call("CHECK", { containerId: "c2", ports: [HTTP] });
  });

  portmapTest("ADD again has the ports of the last one", () => {
    call("ADD");
    call("ADD", { ports: [{ ...HTTP, hostPort: 9090 }] });
    expect(elements("port4")).toEqual(["tcp . 9090 : 10.9.0.2 . 80"]);
    expect(elements("hostport4")).toEqual([]);
    call("ADD", { ports: [] });
    expect(elements("port4")).toEqual([]);
    expect(existsSync("/run/weft/attachments/net")).toBe(false);
  });

  portmapTest("ADD without ports changes nothing", () => {
    expect(JSON.parse(call("ADD", { ports: [] })).ips).toHaveLength(2);
    expect(host.run("nft list ruleset")).toBe("");
  });

  portmapTest("ADD refuses what it cannot publish before it changes anything", () => {
    expect(() => call("ADD", { prevResult: undefined })).toThrow("must be called as chained plugin");
    expect(() => call("ADD", { prevResult: { cniVersion: "1.1.0" }, ports: [HTTP] })).toThrow(
      "the container has no address to publish its ports of",
    );
    const prevResult = { cniVersion: "1.1.0", ips: [{ address: "10.9.0.2/24" }] };
    expect(() => call("ADD", { prevResult, ports: [HTTP, { ...DNS, hostIP: "fd00::1" }] })).toThrow(
      "host port 53/udp cannot be published on fd00::1; the container has no IPv6 address",
    );
    expect(() => call("ADD", { ports: [HTTP, { ...HTTP, hostPort: 0 }] })).toThrow(
      "Invalid host port number: 0",
    );
    expect(() => call("ADD", { backend: "foo" })).toThrow('unrecognized backend "foo"');
    expect(() => call("ADD", { markMasqBit: 32 })).toThrow("MasqMarkBit must be between 0 and 31");
    expect(host.run("nft list ruleset")).toBe("");
    expect(existsSync("/run/weft/attachments")).toBe(false);
  });
});

describe("DEL", () => {
  portmapTest("DEL needs no ports and no prevResult, and is fine with nothing", () => {
    call("ADD");
    const parts = { prevResult: undefined, ports: [] };
    call("DEL", parts);
    expect([elements("port4"), elements("hostport4"), elements("hairpin4"), elements("port6")]).toEqual([
      [],
      [],
      [],
      [],
    ]);
    expect(readdirSync(`${PORTS_DIR}/tcp`)).toEqual([]);
    call("DEL", parts);
    call("DEL");
  });

  portmapTest("DEL without a record finds what is the container's", () => {
    call("ADD");
    rmSync("/run/weft/attachments", { recursive: true });
    call("DEL");
    expect(elements("port4")).toEqual([]);
    expect(readdirSync(`${PORTS_DIR}/tcp`)).toEqual([]);
  });

  portmapTest("DEL without a record removes what the reference plugin made with nft", () => {
    host.run(`nft -f - <<'END'
      table ip cni_hostport {
        chain hostports {
          tcp dport 8080 dnat to 10.9.0.2:80 comment "c1"
          tcp dport 8081 dnat to 10.9.0.3:80 comment "c2"
        }
      }
END`);
    call("DEL");
    const left = host.run("nft list ruleset");
    expect(left).not.toContain('"c1"');
    expect(left).toContain('"c2"');
  });
});

describe("CHECK", () => {
  const CASES = [
    ["an element", "nft delete element inet weft port4 '{ tcp . 8080 }'", "element port4 { tcp . 8080 }"],
    ["a rule", "nft flush chain inet weft prerouting", "of chain prerouting"],
    ["the table", "nft delete table inet weft", "table inet weft not found"],
    ["route_localnet", "sysctl -qw net.ipv4.conf.cni0.route_localnet=0", "route_localnet is not 1"],
    ["a claim", `rm ${PORTS_DIR}/tcp/8080/0.0.0.0`, "host port 8080/tcp is not claimed"],
  ] as const;
  for (const [what, command, message] of CASES) {
    portmapTest(`CHECK misses ${what}`, () => {
      call("ADD");
      call("CHECK");
      host.run(command);
      expect(() => call("CHECK")).toThrow(message);
    });
  }

  portmapTest("CHECK without prevResult is refused, without ports it is content", () => {
    expect(() => call("CHECK", { prevResult: undefined })).toThrow("required prevResult missing");
    call("CHECK", { ports: [] });
  });
});

portmapTest("GC closes the ports of containers that the network no longer has", () => {
  call("ADD");
  call("ADD", { containerId: "c2", ports: [{ ...HTTP, hostPort: 9090 }] });
  call("GC", { "cni.dev/valid-attachments": [{ containerID: "c2", ifname: "eth0" }] });
  expect(host.run("nft list table inet weft")).not.toContain("net/c1/eth0");
  expect(readdirSync(`${PORTS_DIR}/tcp`)).toEqual(["9090"]);
  call("CHECK", { containerId: "c2", ports: [{ ...HTTP, hostPort: 9090 }] });
});

portmapTest("STATUS is ready where there is a backend", () => {
  expect(call("STATUS")).toBe("");
  expect(call("STATUS", { backend: "nftables" })).toBe("");
});
