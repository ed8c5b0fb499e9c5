/** Which link is the master, and why none is; the oracle is ip. */
import { afterEach, beforeEach, test as bunTest, describe, expect } from "bun:test";
import { checkMaster, checkMasterAvailable, type MasterConfig, useMaster, verifyMaster } from "./master.ts";
import { linkByName } from "./rtnetlink/link.ts";
import { openSandbox } from "./sandbox.ts";
import { releaseSharedLinks } from "./shared-link.ts";
import { CniHost } from "./testing/cni-host.ts";
import { thrownBy } from "./testing/made-up-things.ts";
import { kernelTest, lackingFor, noNetnsReason, TestNetns } from "./testing/netns.ts";
import { noOwnRunReason } from "./testing/own-run.ts";

const lacking = noNetnsReason ?? noOwnRunReason;
const VETH = "ip link add v0 type veth peer name v1";
const noMacvlan = lacking ?? lackingFor("sh", "-ec", `${VETH}; ip link add link v0 name m0 type macvlan`);
const noVlan = lacking ?? lackingFor("sh", "-ec", `${VETH}; ip link add link v0 name v0.5 type vlan id 5`);
const noDummy = lacking ?? lackingFor("ip", "link", "add", "d0", "type", "dummy");

type Keys = Partial<MasterConfig>;
const DEFAULTS: MasterConfig = { master: "", linkInContainer: false, mtu: 0, vlan: 0, internal: false };

let host: CniHost;
let c1: TestNetns;
beforeEach(async () => {
  if (lacking !== undefined) return;
  host = await CniHost.make(`ip link add wire0 mtu 1400 type veth peer name far0; ip link set wire0 up
    ip link add wire1 type veth peer name far1; ip link set wire1 up; ip link set far0 up; ip link set far1 up
    ip addr add 10.1.0.2/24 dev wire0; ip addr add 10.2.0.2/24 dev wire1
    ip addr add fd00::2/64 dev wire1 nodad`);
  c1 = await TestNetns.make();
});
afterEach(() => {
  for (const each of [host, c1]) each?.[Symbol.dispose]();
});
const test = (name: string, body: () => void | Promise<void>, lack = lacking) => kernelTest(name, body, lack);

/** The name of the master that ADD takes. */
const found = (keys: Keys = {}, containerId = "c1"): string =>
  host.call({ netns: c1.path, containerId, config: { ...DEFAULTS, ...keys } }, (call) => {
    return useMaster(call, openSandbox(call)).link.name;
  });
const release = (containerId = "c1") => host.call({ containerId }, releaseSharedLinks);
/** STATUS. */
const status = (keys: Keys = {}) =>
  host.call({ netns: c1.path, config: { ...DEFAULTS, ...keys } }, checkMasterAvailable);
/** CHECK of an interface of the container. */
const check = (keys: Keys, name: string) =>
  host.call({ netns: c1.path, config: { ...DEFAULTS, ...keys } }, (call) => {
    const sandbox = openSandbox(call);
    checkMaster(call, sandbox, linkByName(sandbox.container, name));
  });

bunTest.each<[Keys, message: string]>([
  [{ master: "a/b" }, 'invalid "master": "a/b"'],
  [{ mtu: 67 }, 'invalid "mtu": 67'],
  [{ internal: true, master: "eth0" }, '"internal" makes a master that leads nowhere; leave out "master"'],
  [{ internal: true, vlan: 5 }, '"internal" makes a master that leads nowhere'],
  [{ linkInContainer: true, vlan: 5 }, 'with "linkInContainer" the master must be there already'],
  [{ linkInContainer: true, internal: true }, 'with "linkInContainer" the master must be there already'],
  [{ master: "long-name-12", vlan: 100 }, '"long-name-12.100" is too long for an interface; make the sub-'],
])("verifyMaster() refuses %j", (keys, message) => {
  expect(thrownBy(() => verifyMaster({ name: "net", ...DEFAULTS, ...keys } as never))).toMatchObject({
    code: 7,
    message: expect.stringContaining(message),
  });
});

bunTest.each<[Keys]>([
  [{}],
  [{ master: "eth0" }],
  [{ master: "eth0", vlan: 4094 }],
  [{ master: "long-name-1", vlan: 100 }],
  [{ vlan: 100 }],
  [{ internal: true }],
  [{ linkInContainer: true, master: "eth0" }],
])("verifyMaster() has nothing against %j", (keys) => {
  verifyMaster({ name: "net", ...DEFAULTS, ...keys } as never);
});

describe("useMaster()", () => {
  test("useMaster() takes the way out of the default route: IPv4's of the least metric, else IPv6's", () => {
    const refusal = { code: 7, msg: "no default route interface found" };
    host.netns.run("ip route add default dev wire1 table 100; ip route add unreachable default metric 5000");
    expect(thrownBy(() => found())).toMatchObject(refusal);
    host.netns.run("ip -6 route add default via fd00::1 dev wire1");
    expect(found()).toBe("wire1");
    host.netns.run("ip route add default via 10.1.0.1 dev wire0 metric 200");
    expect(found()).toBe("wire0");
    host.netns.run("ip route add default via 10.2.0.1 dev wire1 metric 100");
    expect(found()).toBe("wire1");
    host.netns.run("ip route add default via 10.1.0.1 dev wire0"); // metric 0
    expect(found()).toBe("wire0");
    host.netns.run("ip route flush default; ip -6 route flush default; ip route add 0.0.0.0/1 dev wire0");
    expect(thrownBy(() => found())).toMatchObject(refusal);
  });

  test("useMaster() looks for the way out where there has never been a route of IPv4", async () => {
    host[Symbol.dispose]();
    host = await CniHost.make(
      "ip link add wire1 type veth peer name far1; ip link set wire1 up; ip link set far1 up",
    );
    for (const act of [() => found(), () => status()])
      expect(act).toThrow("no default route interface found");
    host.netns.run("ip addr add fd00::2/64 dev wire1 nodad; ip -6 route add default via fd00::1 dev wire1");
    expect(found()).toBe("wire1");
  });

  test("useMaster() takes the one that is named, whatever the default route", () => {
    host.netns.run("ip route add default via 10.1.0.1 dev wire0");
    expect(found({ master: "wire1" })).toBe("wire1");
  });

  test("useMaster() says which link there is not, and where", () => {
    expect(thrownBy(() => found({ master: "eth9" }))).toMatchObject({
      code: 7,
      message: 'failed to lookup master "eth9": Link not found; this host has no interface of that name',
    });
    expect(thrownBy(() => found({ master: "wire0", linkInContainer: true }))).toMatchObject({
      code: 7,
      message: 'failed to lookup master "wire0": Link not found; the container has no interface of that name',
    });
    expect(thrownBy(() => found({ master: "lo" }))).toMatchObject({
      code: 7,
      message: 'invalid "master": "lo" has no wire; name an Ethernet interface',
    });
    // of the loopback device there is no VLAN, and of what is not there none either
    for (const master of ["lo.5", "eth9.5", "wire0.4095", "wire0.0", "wire0.05"]) {
      expect(() => found({ master })).toThrow(`failed to lookup master "${master}": Link not found`);
    }
  });

  test("useMaster() looks in the container where the master is there", () => {
    c1.run("ip link add inner type veth peer name other");
    const keys = { master: "inner", linkInContainer: true };
    expect(found(keys)).toBe("inner");
    expect(() => found({ master: "inner" })).toThrow("Link not found");
    status(keys); // no container has been made yet
  });

  test("useMaster() refuses an MTU above the master's", () => {
    expect(found({ master: "wire0", mtu: 1400 })).toBe("wire0");
    expect(thrownBy(() => found({ master: "wire0", mtu: 1401 }))).toMatchObject({
      code: 7,
      message:
        'invalid MTU 1401, must be [0, master MTU(1400)]; "mtu" may not be above that of "wire0"; 0 takes it over',
    });
  });

  const subInterface = { link: "wire0", linkinfo: { info_kind: "vlan", info_data: { id: 5 } } };

  test(
    "useMaster() makes a sub-interface for the first, by either key, and the last takes it away",
    () => {
      expect(found({ master: "wire0", vlan: 5 })).toBe("wire0.5");
      expect(host.netns.json("ip -j -d link show dev wire0.5")[0]).toMatchObject({
        ...subInterface,
        ifalias: "weft:net",
        flags: expect.arrayContaining(["UP"]),
      });
      expect(found({ master: "wire0.5" }, "c2")).toBe("wire0.5");
      release();
      expect(host.links()).toContain("wire0.5 vlan");
      release("c2");
      expect(host.links()).not.toContain("wire0.5 vlan");
    },
    noVlan,
  );

  test(
    "useMaster() uses a sub-interface that somebody made, under whatever name, and leaves it",
    () => {
      host.netns.run("ip link add link wire0 name five type vlan id 5; ip link set five up");
      expect(found({ master: "wire0", vlan: 5 })).toBe("five");
      release();
      expect(host.links()).toContain("five vlan");
      host.netns.run("ip link delete five; ip link add link wire0 name wire0.5 type vlan id 6");
      expect(thrownBy(() => found({ master: "wire0", vlan: 5 }))).toMatchObject({
        code: 7,
        msg: '"wire0.5" already exists but is not VLAN 5 of "wire0"',
      });
    },
    noVlan,
  );

  test(
    "useMaster() makes no sub-interface of what is down",
    () => {
      host.netns.run("ip link set wire0 down");
      expect(thrownBy(() => found({ master: "wire0", vlan: 5 }))).toMatchObject({
        code: 7,
        message: '"wire0" is down, and so would be its VLAN 5; set it up first',
      });
      expect(host.links()).not.toContain("wire0.5 vlan");
    },
    noVlan,
  );

  test(
    "useMaster() of an internal network is a dummy of its own, for as long as somebody uses it",
    () => {
      expect(found({ internal: true })).toBe("dm-net");
      expect(host.netns.json("ip -j -d link show dev dm-net")[0]).toMatchObject({ ifalias: "weft:net" });
      expect(found({ internal: true }, "c2")).toBe("dm-net");
      release();
      expect(host.links()).toContain("dm-net dummy");
      release("c2");
      expect(host.links()).not.toContain("dm-net dummy");
    },
    noDummy,
  );

  for (const [keys, kind, module] of [
    [{ master: "wire0", vlan: 5 }, "vlan", "8021q"],
    [{ internal: true }, "dummy", "dummy"],
  ] as const) {
    const lacks = kind === "vlan" ? noVlan : noDummy;
    const notLacking = lacks === undefined ? `this kernel has ${kind} interfaces` : lacking;
    test(
      `useMaster() says that the kernel has no ${kind}, and which module does`,
      () => {
        expect(thrownBy(() => found(keys))).toMatchObject({
          code: 50,
          message: `the kernel has no ${kind} interfaces; load the module ${module}, or use a kernel that has it`,
        });
      },
      notLacking,
    );
  }
});

describe("checkMaster()", () => {
  const inside = (below: string, name: string) =>
    host.netns.run(
      `ip link add link ${below} name ${name} netns ${/\d+/.exec(c1.path)?.[0]} type macvlan mode bridge`,
    );

  test(
    "checkMaster() is content with the master's own, and names another",
    () => {
      inside("wire0", "eth0");
      check({ master: "wire0" }, "eth0");
      host.netns.run("ip route add default via 10.1.0.1 dev wire0");
      check({}, "eth0");
      const { ifindex } = host.netns.json("ip -j link show dev wire0")[0];
      expect(thrownBy(() => check({ master: "wire1" }, "eth0"))).toMatchObject({
        code: 100,
        message: `the master of eth0 is not "wire1": its link is ${ifindex}`,
      });
      expect(thrownBy(() => check({ master: "gone" }, "eth0"))).toMatchObject({
        code: 100,
        msg: 'failed to lookup master "gone": Link not found',
      });
    },
    noMacvlan,
  );

  test(
    "checkMaster() knows that a macvlan on a macvlan is one of what is below",
    () => {
      host.netns.run("ip link add link wire0 name mid type macvlan mode bridge; ip link set mid up");
      inside("mid", "eth0");
      check({ master: "mid" }, "eth0");
      inside("wire1", "eth1");
      expect(() => check({ master: "mid" }, "eth1")).toThrow('the master of eth1 is not "mid"');
    },
    noMacvlan,
  );

  test(
    "checkMaster() misses a master that was to be made",
    () => {
      inside("wire0", "eth0");
      for (const keys of [{ internal: true }, { master: "wire0", vlan: 5 }]) {
        expect(thrownBy(() => check(keys, "eth0"))).toMatchObject({
          code: 100,
          message: "the master of eth0 is not there",
        });
      }
    },
    noMacvlan,
  );
});

describe("checkMasterAvailable()", () => {
  test("checkMasterAvailable() is content with a master that is up, or what it is made from", () => {
    host.netns.run("ip route add default via 10.1.0.1 dev wire0");
    for (const keys of [{}, { master: "wire1" }, { master: "wire0.7" }, { vlan: 7 }, { internal: true }]) {
      status(keys);
    }
    expect(host.links()).toEqual(["far0 veth", "far1 veth", "wire0 veth", "wire1 veth"]); // nothing was made
  });

  test("checkMasterAvailable() says that the master is down, or that there is none: not available", () => {
    host.netns.run("ip link set wire0 down");
    for (const keys of [{ master: "wire0" }, { master: "wire0.7" }, { master: "wire0", vlan: 7 }]) {
      expect(thrownBy(() => status(keys))).toMatchObject({ code: 50, msg: 'master "wire0" is down' });
    }
    expect(thrownBy(() => status())).toMatchObject({ code: 50, msg: "no default route interface found" });
    expect(thrownBy(() => status({ master: "eth9" }))).toMatchObject({
      code: 50,
      msg: 'failed to lookup master "eth9": Link not found',
    });
  });
});
