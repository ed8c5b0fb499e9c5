/** An interface in a container, from its record to its end; the oracle is ip. */
import { afterEach, beforeEach, describe, expect } from "bun:test";
import { mkdirSync, rmSync, symlinkSync } from "node:fs";
import type { Call } from "./cni/plugin.ts";
import {
  createContainerLink,
  deleteContainerLink,
  type LinkMakings,
  makeContainerLink,
  recordContainerLink,
  staleContainerLinkSteps,
} from "./container-link.ts";
import { parseMac } from "./netaddr/mac.ts";
import { createLink, linkByName } from "./rtnetlink/link.ts";
import { macvlanData } from "./rtnetlink/link-kinds.ts";
import { openSandbox, type Sandbox } from "./sandbox.ts";
import { type CallParts, CniHost, linksOf, recordsThere } from "./testing/cni-host.ts";
import { thrownBy } from "./testing/made-up-things.ts";
import { kernelTest, lackingFor, noNetnsReason, TestNetns } from "./testing/netns.ts";
import { noOwnRunReason } from "./testing/own-run.ts";

/** A kind that every kernel has, and needs no master. */
const BRIDGE = { plugin: "test", kind: "bridge" };
const MACVLAN = { plugin: "test", kind: "macvlan" };
const noMacvlan = lackingFor(
  ...["sh", "-ec", "ip link add v0 type veth peer name v1; ip link add link v0 name m0 type macvlan"],
);
/** Where a test has namespaces come and go. */
const PATHS = "/run/test-netns";
const FIRST_NAME = `weft${new Bun.CryptoHasher("sha256").update("net/c1/eth0").digest("hex")}`.slice(0, 15);

let host: CniHost;
let c1: TestNetns;
let c2: TestNetns;

beforeEach(async () => {
  if ((noNetnsReason ?? noOwnRunReason) !== undefined) return;
  [host, c1, c2] = [await CniHost.make(), await TestNetns.make(), await TestNetns.make()];
  mkdirSync(PATHS, { recursive: true });
});
afterEach(() => {
  for (const each of [host, c1, c2]) each?.[Symbol.dispose]();
  if (!noOwnRunReason) rmSync(PATHS, { recursive: true, force: true });
});

const test = (name: string, body: () => void, lacking?: string) =>
  kernelTest(name, body, noOwnRunReason ?? lacking);

/** ADD's part: record and interface. `last` comes after. */
function add(parts: CallParts = {}, makings: LinkMakings = {}, last = (_call: Call, _: Sandbox) => {}): void {
  host.call({ netns: c1.path, ...parts }, (call) => {
    const sandbox = openSandbox(call);
    recordContainerLink(call, BRIDGE, sandbox);
    createContainerLink(call, sandbox, BRIDGE, makings);
    last(call, sandbox);
  });
}
function del(parts: CallParts = {}, release = () => {}): void {
  host.call(parts, (call) => deleteContainerLink(call, BRIDGE, release));
}
function gc(valid: readonly string[]): void {
  host.call({ valid }, (call) => {
    for (const step of staleContainerLinkSteps(call, BRIDGE)) step();
  });
}
/** What an ADD leaves that is killed before the interface has its name: the record, and this. */
function killedAdd(): void {
  add();
  c1.run(`ip link set eth0 name ${FIRST_NAME} alias ""`);
}
/** A path that is the namespace until it is said to be another; with none it is gone. */
function pathTo(netns: TestNetns | undefined): string {
  const path = `${PATHS}/c1`;
  rmSync(path, { force: true });
  if (netns) symlinkSync(netns.path, path);
  return path;
}

describe("ADD", () => {
  test("createContainerLink() makes it as it is asked for, with the alias that says whose it is", () => {
    add({}, { mac: parseMac("02:00:00:00:00:01"), mtu: 1400 });
    expect(c1.json("ip -j -d link show dev eth0")[0]).toMatchObject({
      ifalias: "weft:net/c1/eth0",
      address: "02:00:00:00:00:01",
      mtu: 1400,
      operstate: "DOWN",
      linkinfo: { info_kind: "bridge" },
    });
    expect([host.links(), recordsThere()]).toEqual([[], ["c1:eth0:test"]]);
  });

  test("recordContainerLink() has written the record before there is an interface", () => {
    const seen: string[][] = [];
    host.call({ netns: c1.path }, (call) => {
      const sandbox = openSandbox(call);
      recordContainerLink(call, BRIDGE, sandbox);
      makeContainerLink(call, sandbox, BRIDGE, (alias) => {
        seen.push(recordsThere(), linksOf(c1));
        createLink(sandbox.container, { name: "eth0", kind: "bridge", alias });
      });
    });
    expect(seen).toEqual([["c1:eth0:test"], []]);
    expect(c1.json("ip -j link show dev eth0")[0].ifalias).toBe("weft:net/c1/eth0");
  });

  test("an ADD that fails later leaves neither interface nor record", () => {
    const fail = () => {
      throw new Error("later");
    };
    expect(() => add({}, {}, fail)).toThrow("later");
    expect([linksOf(c1), recordsThere()]).toEqual([[], []]);
  });

  test("an ADD whose interface cannot be made leaves no record", () => {
    const act = () =>
      host.call({ netns: c1.path }, (call) => {
        const sandbox = openSandbox(call);
        recordContainerLink(call, BRIDGE, sandbox);
        createContainerLink(call, sandbox, { plugin: "test", kind: "no-such-kind" }, {});
      });
    expect(thrownBy(act)).toMatchObject({
      code: 50,
      message:
        "the kernel has no no-such-kind interfaces; load the module no-such-kind, or use a kernel that has it",
    });
    expect(recordsThere()).toEqual([]);
  });

  test("ADD of a name that is taken is refused, and what is there stays", () => {
    add();
    const before = c1.run("ip -d link show dev eth0");
    expect(thrownBy(add)).toMatchObject({ code: 4, msg: expect.stringContaining('"eth0" already exists') });
    expect(c1.run("ip -d link show dev eth0")).toBe(before);
    expect(recordsThere()).toEqual(["c1:eth0:test"]);
  });

  test("ADD of an attachment that has its interface in another namespace is refused", () => {
    add();
    expect(thrownBy(() => add({ netns: c2.path }))).toMatchObject({
      code: 4,
      msg: 'container "c1" already has "eth0" on network "net"',
      details: `it is in "${c1.path}"; run DEL first`,
    });
    expect([linksOf(c1), linksOf(c2), recordsThere()]).toEqual([["eth0 bridge"], [], ["c1:eth0:test"]]);
    add({ netns: c2.path, containerId: "c2" }); // another's is not in the way
    add({ netns: c2.path, ifname: "net1" });
    expect(linksOf(c2)).toEqual(["eth0 bridge", "net1 bridge"]);
  });

  test("ADD of an attachment whose interface went with its namespace, or was deleted, goes through", () => {
    add({ netns: pathTo(c1) });
    pathTo(undefined);
    add({ netns: c2.path });
    c2.run("ip link delete eth0");
    add({ netns: c2.path });
    expect(linksOf(c2)).toEqual(["eth0 bridge"]);
  });

  const onMaster = (parts: CallParts = {}, last = () => {}) =>
    host.call({ netns: c1.path, ...parts }, (call) => {
      const sandbox = openSandbox(call);
      recordContainerLink(call, MACVLAN, sandbox);
      const master = { link: linkByName(sandbox.host, "eth0"), socket: sandbox.host };
      createContainerLink(call, sandbox, MACVLAN, { master, data: macvlanData("bridge", undefined) });
      last();
    });

  test(
    "an interface on the host's eth0 is eth0 in the container",
    () => {
      host.netns.run("ip link add eth0 type veth peer name far");
      onMaster();
      const [inside] = c1.json("ip -j -d link show dev eth0");
      expect(inside).toMatchObject({ ifalias: "weft:net/c1/eth0", linkinfo: { info_kind: "macvlan" } });
      expect(inside.link_index).toBe(host.netns.json("ip -j link show dev eth0")[0].ifindex);
      expect([linksOf(c1), host.links()]).toEqual([["eth0 macvlan"], ["eth0 veth", "far veth"]]);
    },
    noMacvlan,
  );

  test(
    "an ADD with a master takes over from one that was killed, in this namespace and in another",
    () => {
      host.netns.run("ip link add eth0 type veth peer name far");
      killedAdd();
      onMaster();
      expect(linksOf(c1)).toEqual(["eth0 macvlan"]);
      c1.run(`ip link set eth0 name ${FIRST_NAME} alias ""`);
      onMaster({ netns: c2.path });
      expect([linksOf(c1), linksOf(c2)]).toEqual([[], ["eth0 macvlan"]]);
    },
    noMacvlan,
  );

  test(
    "an ADD with a master that fails while the interface has its first name leaves nothing",
    () => {
      host.netns.run("ip link add eth0 type veth peer name far");
      // eth0 comes to the container between the look and the rename.
      const act = () =>
        host.call({ netns: c1.path }, (call) => {
          const sandbox = openSandbox(call);
          recordContainerLink(call, MACVLAN, sandbox);
          const master = { link: linkByName(sandbox.host, "eth0"), socket: sandbox.host };
          c1.run("ip link add eth0 type bridge");
          createContainerLink(call, sandbox, MACVLAN, { master, data: macvlanData("bridge", undefined) });
        });
      expect(act).toThrow("EEXIST");
      expect([linksOf(c1), recordsThere()]).toEqual([["eth0 bridge"], []]);
    },
    noMacvlan,
  );
});

describe("DEL", () => {
  test("DEL takes the interface, then gives back the rest, then forgets; again is nothing", () => {
    add();
    const seen: string[][] = [];
    del({ netns: c1.path }, () => seen.push(linksOf(c1), recordsThere()));
    expect(seen).toEqual([[], ["c1:eth0:test"]]);
    expect(recordsThere()).toEqual([]);
    let released = 0;
    for (const netns of [c1.path, "", "/run/netns/gone"]) del({ netns }, () => void released++);
    expect(released).toBe(3);
  });

  test("DEL that cannot give back the rest keeps the record, for the next", () => {
    add();
    const fail = () => {
      throw new Error("no IPAM");
    };
    expect(() => del({ netns: c1.path }, fail)).toThrow("no IPAM");
    expect([linksOf(c1), recordsThere()]).toEqual([[], ["c1:eth0:test"]]);
    del({ netns: c1.path });
    expect(recordsThere()).toEqual([]);
  });

  test("DEL without a namespace's path finds the interface by its record", () => {
    add();
    del();
    expect([linksOf(c1), recordsThere()]).toEqual([[], []]);
  });

  test("DEL without a record finds the interface by its name", () => {
    add();
    rmSync("/run/weft", { recursive: true });
    del({ netns: c1.path });
    expect(linksOf(c1)).toEqual([]);
  });

  test("DEL leaves an interface of another kind, or of another attachment", () => {
    c1.run("ip link add eth0 type veth peer name other; ip link set eth0 alias weft:net/c1/eth0");
    del({ netns: c1.path });
    expect(linksOf(c1)).toEqual(["eth0 veth", "other veth"]);
    const others = ["weft:net/c2/eth0", "weft:other/c1/eth0", "weft:net/c1/eth1"];
    for (const alias of others) {
      c2.run(`ip link add eth0 type bridge; ip link set eth0 alias ${alias}`);
      del({ netns: c2.path });
      expect([alias, linksOf(c2)]).toEqual([alias, ["eth0 bridge"]]);
      c2.run("ip link delete eth0");
    }
  });

  test("DEL and GC delete what a killed ADD left under its first name, and no other's", () => {
    add({ containerId: "c2", netns: c2.path });
    for (const clean of [() => del({ netns: c1.path }), () => del(), () => gc(["c2"])]) {
      killedAdd();
      c1.run("ip link add weft0123456789a type bridge");
      clean();
      expect(linksOf(c1)).toEqual(["weft0123456789a bridge"]);
      expect([linksOf(c2), recordsThere()]).toEqual([["eth0 bridge"], ["c2:eth0:test"]]);
      c1.run("ip link delete weft0123456789a");
    }
  });

  test("DEL and GC delete what a killed ADD left with its name and without its alias", () => {
    for (const clean of [() => del({ netns: c1.path }), () => del(), () => gc([])]) {
      add();
      c1.run('ip link set eth0 alias ""');
      clean();
      expect([linksOf(c1), recordsThere()]).toEqual([[], []]);
    }
  });
});

describe("GC", () => {
  test("GC deletes what is not valid any more, with its record, and leaves the rest", () => {
    add();
    add({ containerId: "c2", netns: c2.path });
    add({ network: "other", containerId: "c3", netns: c2.path, ifname: "net1" });
    gc(["c2"]);
    expect([linksOf(c1), linksOf(c2)]).toEqual([[], ["eth0 bridge", "net1 bridge"]]);
    expect(recordsThere()).toEqual(["c2:eth0:test", "c3:net1:test"]);
  });

  test("GC forgets what went with its namespace", () => {
    add({ netns: pathTo(c1) });
    pathTo(undefined);
    gc([]);
    expect(recordsThere()).toEqual([]);
  });

  test("GC, and DEL by the record, leave a namespace that is another by now", () => {
    for (const clean of [() => gc([]), () => del()]) {
      add({ netns: pathTo(c1) });
      pathTo(c2);
      c2.run("ip link add eth0 type bridge; ip link set eth0 alias weft:net/c1/eth0");
      clean();
      expect([linksOf(c2), recordsThere()]).toEqual([["eth0 bridge"], []]);
      for (const netns of [c1, c2]) netns.run("ip link delete eth0");
    }
  });
});
