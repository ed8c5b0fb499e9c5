/** Links of the host that attachments share; the oracle is ip. */
import { afterEach, beforeEach, describe, expect } from "bun:test";
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { linkByName } from "./rtnetlink/link.ts";
import { macvlanData } from "./rtnetlink/link-kinds.ts";
import { openRouteSocket } from "./rtnetlink/route-socket.ts";
import {
  keepSharedLink,
  releaseSharedLinks,
  releaseStaleSharedLinks,
  sharedLinkName,
  shareLink,
} from "./shared-link.ts";
import { type CallParts, CniHost } from "./testing/cni-host.ts";
import { thrownBy } from "./testing/made-up-things.ts";
import { kernelTest, lackingFor, noNetnsReason } from "./testing/netns.ts";
import { noOwnRunReason } from "./testing/own-run.ts";

const lacking =
  noNetnsReason ??
  noOwnRunReason ??
  lackingFor("sh", "-ec", "ip link add v0 type veth peer name v1; ip link add link v0 name m0 type macvlan");
const CLAIMS = "/run/weft/claims/link shim";
/** A container's network namespace is not looked at here, but ADD must have one. */
const NETNS = "/proc/1/ns/net";

let host: CniHost;
beforeEach(async () => {
  if (lacking !== undefined) return;
  host = await CniHost.make("ip link add wire0 type veth peer name wire1; ip link set wire0 up");
});
afterEach(() => host?.[Symbol.dispose]());

const test = (name: string, body: () => void | Promise<void>) => kernelTest(name, body, lacking);

/** Has the shim be there for an attachment; `last` comes after. @returns whether it was down before */
function share(parts: CallParts = {}, last = () => {}): boolean[] {
  const wereDown: boolean[] = [];
  host.call({ netns: NETNS, ...parts }, (call) => {
    using socket = openRouteSocket();
    const data = macvlanData("bridge", undefined);
    const settings = { name: "shim", kind: "macvlan", link: linkByName(socket, "wire0").index, data };
    const link = shareLink(call, socket, settings, ({ up }) => wereDown.push(!up));
    expect(link).toMatchObject({ name: "shim", up: true });
    last();
  });
  return wereDown;
}
const release = (parts: CallParts = {}) => host.call(parts, releaseSharedLinks);
const gc = (valid: readonly string[], network = "net") =>
  host.call({ valid, network }, releaseStaleSharedLinks);
const isThere = () => host.links().includes("shim macvlan");
const claimants = () => (existsSync(CLAIMS) ? readdirSync(CLAIMS).sort() : []);
const claimByHand = (name: string) => {
  mkdirSync(CLAIMS, { recursive: true });
  writeFileSync(`${CLAIMS}/${name}`, "");
};
const makeByHand = (alias: string) =>
  host.netns.run(`ip link add link wire0 name shim type macvlan; ip link set shim alias "${alias}"`);

test("sharedLinkName() is an interface's, and another for another text", () => {
  expect(sharedLinkName("dm-", "internal-net")).toBe("dm-internal-net"); // fifteen bytes
  const text = fc.stringMatching(/^[a-z0-9._-]{1,40}$/);
  fc.assert(
    fc.property(text, text, (one, other) => {
      const name = sharedLinkName("mvh-", one);
      expect([name.startsWith("mvh-"), name.length <= 15]).toEqual([true, true]);
      expect(name === sharedLinkName("mvh-", other)).toBe(one === other);
    }),
  );
});

describe("shareLink()", () => {
  test("shareLink() makes it for the first, has it for the others, and the last takes it away", () => {
    expect(share()).toEqual([true]);
    const [made] = host.netns.json("ip -j -d link show dev shim");
    expect(made).toMatchObject({
      ifalias: "weft:net",
      link: "wire0",
      linkinfo: { info_kind: "macvlan", info_data: { mode: "bridge" } },
    });
    expect(made.flags).toContain("UP");
    for (const key of ["accept_ra", "accept_dad"]) {
      expect(host.netns.run(`sysctl -n net.ipv6.conf.shim.${key}`).trim()).toBe("0");
    }
    expect(share({ containerId: "c2" })).toEqual([false]);
    expect(share({ network: "other" })).toEqual([false]);
    expect(host.netns.json("ip -j -d link show dev shim")[0].ifindex).toBe(made.ifindex);
    expect(claimants()).toEqual(["c1:eth0:net", "c1:eth0:other", "c2:eth0:net"]);
    release();
    release({ containerId: "c3" });
    release({ containerId: "c2" });
    expect([isThere(), claimants()]).toEqual([true, ["c1:eth0:other"]]);
    release({ network: "other" });
    expect([isThere(), existsSync(CLAIMS)]).toEqual([false, false]);
    release();
  });

  test("shareLink() refuses a macvlan that somebody else made, and does not take it away", () => {
    host.netns.run("ip link add link wire0 name shim type macvlan mode private; ip link set shim up");
    const before = host.netns.run("ip -d link show dev shim");
    expect(thrownBy(() => share())).toMatchObject({
      code: 7,
      msg: '"shim" already exists but was made by somebody else',
    });
    release();
    gc([]);
    expect(host.netns.run("ip -d link show dev shim")).toBe(before);
    expect(claimants()).toEqual([]);
  });

  test("shareLink() leaves one that somebody made in place of ours", () => {
    share();
    host.netns.run("ip link delete shim; ip link add link wire0 name shim type macvlan");
    release();
    expect([isThere(), claimants()]).toEqual([true, []]);
  });

  test("shareLink() refuses a name that something else has", () => {
    host.netns.run("ip link add shim type bridge");
    expect(thrownBy(() => share())).toMatchObject({
      code: 7,
      message:
        '"shim" already exists but is not the macvlan of this master; the network needs that name: rename it',
    });
    expect([host.links().includes("shim bridge"), claimants()]).toEqual([true, []]);
  });

  test("an ADD that fails later takes back what it alone shares", () => {
    const fail = () => {
      throw new Error("later");
    };
    expect(() => share({}, fail)).toThrow("later");
    expect([isThere(), claimants()]).toEqual([false, []]);
    share();
    expect(() => share({ containerId: "c2" }, fail)).toThrow("later");
    expect([isThere(), claimants()]).toEqual([true, ["c1:eth0:net"]]);
  });

  test("one that was set down is up again for the next", () => {
    share();
    host.netns.run("ip link set shim down");
    expect(share({ containerId: "c2" })).toEqual([true]);
  });
});

describe("a bridge", () => {
  const keep = () =>
    host.call({ netns: NETNS }, (call) => {
      using socket = openRouteSocket();
      keepSharedLink(call, socket, linkByName(socket, "br0"));
    });

  test("a bridge that nobody claims is not shared: who stands on it does not take it away", () => {
    host.netns.run("ip link add br0 type bridge; ip link set br0 alias weft:other"); // plugin bridge's
    keep();
    expect(existsSync("/run/weft/claims/link br0")).toBe(false);
    release();
    expect(host.links()).toContain("br0 bridge");
  });

  test("a bridge of another network is refused before it is claimed, and stays", () => {
    host.netns.run("ip link add br0 type bridge; ip link set br0 alias weft:other"); // plugin bridge's
    const refuseOther = ({ alias }: { alias: string }) => {
      throw new Error(alias);
    };
    const shareBridge = () =>
      host.call({ netns: NETNS }, (call) => {
        using socket = openRouteSocket();
        shareLink(call, socket, { name: "br0", kind: "bridge", refuseOther });
      });
    expect(shareBridge).toThrow("weft:other");
    expect(host.links()).toContain("br0 bridge");
  });

  test("a bridge that is shared goes with the last, also with one that only stands on it", () => {
    const shareBridge = () =>
      host.call({ netns: NETNS, network: "other" }, (call) => {
        using socket = openRouteSocket();
        shareLink(call, socket, { name: "br0", kind: "bridge" });
      });
    shareBridge();
    keep();
    release({ network: "other" });
    expect(host.links()).toContain("br0 bridge");
    release();
    expect(host.links()).not.toContain("br0 bridge");
  });
});

test("a bridge stays while its network has containers whose claims are lost", () => {
  const shareBridge = () =>
    host.call({ netns: NETNS }, (call) => {
      using socket = openRouteSocket();
      shareLink(call, socket, { name: "br0", kind: "bridge" });
    });
  shareBridge();
  host.netns.run("ip link add c2 type veth peer name c3; ip link set c2 alias weft:net/c2/eth0");
  release();
  expect(host.links()).toContain("br0 bridge");
  host.netns.run("ip link del c2");
  shareBridge();
  release();
  expect(host.links()).not.toContain("br0 bridge");
});

describe("after a kill", () => {
  test("a claim without a link is no obstacle, and goes with its DEL", () => {
    claimByHand("c1:eth0:net");
    expect(share({ containerId: "c2" })).toEqual([true]);
    release({ containerId: "c2" });
    expect([isThere(), claimants()]).toEqual([true, ["c1:eth0:net"]]);
    release();
    expect([isThere(), claimants()]).toEqual([false, []]);
    claimByHand("c1:eth0:net");
    release();
    expect(claimants()).toEqual([]);
  });

  test("a link that was not yet set up is, by the next ADD; without one DEL takes it away", () => {
    claimByHand("c1:eth0:net");
    makeByHand("weft:net");
    expect(share({ containerId: "c2" })).toEqual([true]);
    release({ containerId: "c2" });
    release();
    expect(isThere()).toBe(false);
    claimByHand("c1:eth0:net");
    makeByHand("weft:net");
    release();
    expect([isThere(), claimants()]).toEqual([false, []]);
  });
});

describe("GC", () => {
  test("GC releases for those of its network that are not valid", () => {
    share();
    share({ containerId: "c2" });
    share({ network: "other", containerId: "c3" });
    gc(["c2"]);
    expect([isThere(), claimants()]).toEqual([true, ["c2:eth0:net", "c3:eth0:other"]]);
    gc([]);
    expect([isThere(), claimants()]).toEqual([true, ["c3:eth0:other"]]);
    gc([], "other");
    expect([isThere(), claimants()]).toEqual([false, []]);
  });

  test("GC of a network with nothing left takes what it made and nobody claims", () => {
    share();
    rmSync("/run/weft", { recursive: true });
    gc(["c1"]);
    gc([], "other");
    expect(isThere()).toBe(true);
    gc([]);
    expect(isThere()).toBe(false);
  });

  test("GC leaves what is an attachment's own, or nobody's of ours", () => {
    for (const alias of ["weft:net/c1/eth0", "weft:network", "net", ""]) {
      makeByHand(alias);
      gc([]);
      expect([alias, isThere()]).toEqual([alias, true]);
      host.netns.run("ip link delete shim");
    }
    host.netns.run("ip link add shim type bridge; ip link set shim alias weft:net"); // a bridge network's
    gc([]);
    expect(host.links()).toContain("shim bridge");
    host.call({}, (call) => releaseStaleSharedLinks(call, { hasBridge: true }));
    expect(host.links()).not.toContain("shim bridge");
  });
});

/** What each of two processes does: it comes and goes, and the link is there in between. */
const COME_AND_GO = `
  const lib = ${JSON.stringify(import.meta.dir)};
  const { shareLink, releaseSharedLinks } = await import(lib + "/shared-link.ts");
  const { openRouteSocket } = await import(lib + "/rtnetlink/route-socket.ts");
  const { linkByName } = await import(lib + "/rtnetlink/link.ts");
  const { macvlanData } = await import(lib + "/rtnetlink/link-kinds.ts");
  using socket = openRouteSocket();
  const call = { config: { name: "net" }, containerId: process.env.ID, ifname: "eth0", undo: { defer() {} } };
  const settings = { name: "shim", kind: "macvlan", link: linkByName(socket, "wire0").index,
    data: macvlanData("bridge", undefined) };
  for (let time = 0; time < 30; time++) {
    shareLink(call, socket, settings);
    if (!linkByName(socket, "shim").up) throw new Error("it is not up");
    releaseSharedLinks(call);
  }`;

test("of two processes at once, each has the link while it needs it, and none is left", async () => {
  const nsenter = ["nsenter", `--net=${host.netns.path}`, process.execPath, "-e", COME_AND_GO];
  const processes = ["c1", "c2"].map((id) =>
    Bun.spawn(nsenter, { env: { ...process.env, ID: id }, stderr: "pipe", cwd: join(import.meta.dir, "..") }),
  );
  const errors = await Promise.all(processes.map(({ stderr }) => new Response(stderr).text()));
  expect([errors, await Promise.all(processes.map(({ exited }) => exited))]).toEqual([
    ["", ""],
    [0, 0],
  ]);
  expect([isThere(), claimants()]).toEqual([false, []]);
});
