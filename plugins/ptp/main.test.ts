/** ptp in namespaces of the kernel this machine runs; the oracle is ip and nft. */
import { afterAll, afterEach, beforeAll, describe, expect } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { callPlugin, type Plugin } from "../../lib/cni/plugin.ts";
import { parseAddress } from "../../lib/netaddr/address.ts";
import { parsePrefix } from "../../lib/netaddr/prefix.ts";
import { closeNetfilterSocket } from "../../lib/netfilter/socket.ts";
import { inNetns } from "../../lib/netns/netns.ts";
import { kernelTest, lackingFor, noNetnsReason, TestNetns } from "../../lib/testing/netns.ts";
import { noOwnRunReason } from "../../lib/testing/own-run.ts";
import { input, probe } from "../../lib/testing/probe.ts";
import { ptpPlugin } from "./main.ts";

const lacking = noOwnRunReason ?? lackingFor("nft", "list", "ruleset");
const RECORDS = "/run/weft/attachments/net";

let host: TestNetns;
let c1: TestNetns;
/** CNI_PATH: where the IPAM plugin is this program, and so is called as a function. */
let bin: string;

beforeAll(async () => {
  if ((noNetnsReason ?? lacking) !== undefined) return;
  [host, c1] = [await TestNetns.make(), await TestNetns.make()];
  host.run("ip link set lo up");
  bin = mkdtempSync(join(tmpdir(), "ptp-"));
  symlinkSync(process.execPath, join(bin, "probe"));
});
afterEach(() => {
  if (!host) return;
  host.run(
    "nft flush ruleset; for link in $(ip -br link | grep -o '^veth[0-9a-f]*'); do ip link del $link; done",
  );
  rmSync("/run/weft", { recursive: true, force: true });
});
afterAll(() => {
  for (const netns of [host, c1]) netns?.[Symbol.dispose]();
  if (bin) rmSync(bin, { recursive: true });
});

const LEASED = {
  ips: [
    { address: parsePrefix("10.9.0.2/24"), gateway: parseAddress("10.9.0.1") },
    { address: parsePrefix("fd00:9::2/64") },
  ],
  routes: [{ dst: parsePrefix("0.0.0.0/0") }, { dst: parsePrefix("::/0") }],
};

/** The commands that IPAM got, and what ptp answered. */
interface Outcome {
  readonly asked: string[];
  readonly text: string;
}

/** What ptp answers to a command, on the test's host, with an IPAM plugin that gives these addresses. */
function call(command: string, keys: Record<string, unknown> = {}, ipam: Partial<Plugin> = {}): Outcome {
  const { plugin, calls } = probe({ add: () => LEASED, ...ipam });
  const { environment, stdin } = input(
    command,
    { type: "ptp", ipam: { type: "probe" }, ...keys },
    { CNI_NETNS: c1.path, CNI_PATH: bin },
  );
  closeNetfilterSocket();
  try {
    const own = new Map([["probe", plugin]]);
    const text = inNetns(host.netns, () => callPlugin(ptpPlugin, { environment, stdin, own }));
    return { asked: calls.map((each) => each.command), text };
  } finally {
    closeNetfilterSocket();
  }
}

/** The host's pairs, and the container's interface. */
const links = () => ({
  host: host.json("ip -j link show type veth").length,
  container: c1.json("ip -j link show type veth").length,
});
const records = () => (existsSync(RECORDS) ? readdirSync(RECORDS) : []);
const NOTHING = { host: 0, container: 0 };

const ptpTest = (name: string, body: () => void) => kernelTest(name, body, lacking);

describe("ADD", () => {
  ptpTest("ADD makes both ends routed, each by the other", () => {
    const { text, asked } = call("ADD");
    const { interfaces, ips } = JSON.parse(text);
    const [{ name }] = interfaces;
    expect(asked).toEqual(["ADD"]);
    expect(interfaces[1]).toMatchObject({ name: "eth0", sandbox: c1.path, mtu: 1500 });
    expect(ips).toEqual([
      { interface: 1, address: "10.9.0.2/24", gateway: "10.9.0.1" },
      { interface: 1, address: "fd00:9::2/64", gateway: "fd00:9::1" },
    ]);
    expect(host.run(`ip -o address show dev ${name}`)).toMatch(
      /inet 10\.9\.0\.1\/32 [\s\S]*inet6 fd00:9::1\/128 /,
    );
    expect(host.run("ip route; ip -6 route")).toMatch(/^10\.9\.0\.2 dev veth\w+ scope link *$/m);
    expect(host.run("ip -6 route")).toMatch(/^fd00:9::2 dev veth/m);
    const ways = c1
      .run("ip route; ip -6 route")
      .replaceAll(/ metric .*$/gm, "")
      .split("\n")
      .map((line) => line.trim());
    expect(ways).toContain("10.9.0.1 dev eth0 scope link src 10.9.0.2");
    expect(ways).toContain("10.9.0.0/24 via 10.9.0.1 dev eth0 src 10.9.0.2");
    expect(ways).toContain("default via 10.9.0.1 dev eth0");
    expect(ways).toContain("fd00:9::1 dev eth0 src fd00:9::2");
    expect(ways).toContain("fd00:9::/64 via fd00:9::1 dev eth0 src fd00:9::2");
    expect(ways).toContain("default via fd00:9::1 dev eth0");
    expect(host.run("sysctl -n net.ipv4.ip_forward net.ipv6.conf.all.forwarding")).toBe("1\n1\n");
    expect(host.run("ip -br link show type veth")).toMatch(/UP/);
  });

  ptpTest("ADD that fails leaves nothing, whatever it fails at", () => {
    const refuse = () => {
      throw new Error("no address");
    };
    expect(() => call("ADD", {}, { add: refuse })).toThrow("no address");
    expect(links()).toEqual(NOTHING);
    expect(() => call("ADD", { mtu: 1000 })).toThrow("cannot have IPv6 addresses at an MTU of 1000");
    expect(links()).toEqual(NOTHING);
    host.run("ip link add other0 type bridge; ip link set other0 up; ip route add fd00:9::2 dev other0");
    expect(() => call("ADD")).toThrow('it leads to "other0"');
    host.run("ip link del other0");
    expect(links()).toEqual(NOTHING);
    expect(records()).toEqual([]);
  });

  ptpTest("ADD that fails after IPAM gives the addresses back", () => {
    const released: string[] = [];
    host.run("ip link add other0 type bridge; ip link set other0 up; ip route add 10.9.0.2 dev other0");
    const del = () => {
      released.push("DEL");
    };
    expect(() => call("ADD", {}, { del })).toThrow("this host already has a route to 10.9.0.2");
    host.run("ip link del other0");
    expect(released).toEqual(["DEL"]);
  });

  ptpTest("ADD masquerades behind the host's end", () => {
    const { text } = call("ADD", { ipMasq: true });
    const [{ name }] = JSON.parse(text).interfaces;
    expect(host.run("nft list set inet weft masq4")).toContain(`"${name}" . 10.9.0.2 comment "net/c1/eth0"`);
    expect(host.run("nft list set inet weft masq6")).toContain(`"${name}" . fd00:9::2 comment "net/c1/eth0"`);
    expect(call("DEL").asked).toEqual(["DEL"]);
    expect(host.run("nft list table inet weft")).not.toContain("net/c1/eth0");
  });
});

describe("DEL", () => {
  ptpTest("DEL takes the pair and its record, from either side, and asks IPAM each time", () => {
    for (const loss of ["true", "ip link set $VETH alias x", "ip link del $VETH"]) {
      const { text } = call("ADD");
      host.run(`VETH=${JSON.parse(text).interfaces[0].name}; ${loss}`);
      expect(call("DEL").asked).toEqual(["DEL"]);
      expect(call("DEL").asked).toEqual(["DEL"]);
      expect(links()).toEqual(NOTHING);
      expect(records()).toEqual([]);
    }
  });

  ptpTest("DEL without ipam takes the pair", () => {
    call("ADD");
    expect(call("DEL", { ipam: {} }).asked).toEqual([]);
    expect(links()).toEqual(NOTHING);
  });
});

describe("CHECK", () => {
  ptpTest("CHECK finds what is missing on either side", () => {
    const prevResult = JSON.parse(call("ADD").text);
    const [{ name }] = prevResult.interfaces;
    expect(call("CHECK", { prevResult }).asked).toEqual(["CHECK"]);
    expect(() => call("CHECK")).toThrow("required prevResult missing");
    const undone: [change: string, back: string, message: string][] = [
      [
        "ip route del 10.9.0.2",
        `ip route add 10.9.0.2 dev ${name}`,
        `Route to 10.9.0.2 by ${name} not found`,
      ],
      [
        `ip address del fd00:9::1/128 dev ${name}`,
        `ip address add fd00:9::1/128 dev ${name}`,
        `Gateway address fd00:9::1/128 not found on ${name}`,
      ],
      ["sysctl -qw net.ipv4.ip_forward=0", "sysctl -qw net.ipv4.ip_forward=1", "IPv4 forwarding is off"],
    ];
    for (const [change, back, message] of undone) {
      host.run(change);
      expect(() => call("CHECK", { prevResult })).toThrow(message);
      host.run(back);
      call("CHECK", { prevResult });
    }
    c1.run("ip route del 10.9.0.0/24");
    expect(() => call("CHECK", { prevResult })).toThrow("Expected Route 10.9.0.0/24 via 10.9.0.1 not found");
    host.run(`ip link set ${name} down`);
    expect(() => call("CHECK", { prevResult })).toThrow();
  });
});

describe("GC and STATUS", () => {
  ptpTest("GC takes what is not named, and asks IPAM to", () => {
    call("ADD");
    const valid = [{ containerID: "c1", ifname: "eth0" }];
    expect(call("GC", { "cni.dev/valid-attachments": valid }).asked).toEqual(["GC"]);
    expect(links()).toEqual({ host: 1, container: 1 });
    expect(call("GC", { "cni.dev/valid-attachments": [] }).asked).toEqual(["GC"]);
    expect(links()).toEqual(NOTHING);
  });

  ptpTest("STATUS asks IPAM, which it needs", () => {
    expect(call("STATUS", { ipMasq: true }).asked).toEqual(["STATUS"]);
    expect(() => call("STATUS", { ipam: {} })).toThrow('"ipam" is missing');
  });
});
