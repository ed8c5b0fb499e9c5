/**
 * tap on the kernel's own tap devices: frames through them, who may open them, and every key. The life of an
 * attachment is in tap-lifecycle.test.ts, the reference plugin beside it in tap-reference.test.ts.
 */
import { readFileSync } from "node:fs";
import t, { type Test } from "tap";
import { attach, type NetworkConfig } from "./fixtures/attachment.ts";
import { type Container, type Host, makeHost } from "./fixtures/host.ts";
import { missing, SHOWN_BEFORE, skip } from "./fixtures/kernel.ts";
import { normalise } from "./fixtures/normalise.ts";
import { refused, unchanged } from "./fixtures/refusal.ts";
import {
  IFF_MULTI_QUEUE,
  IFF_NO_PI,
  IFF_TAP,
  IFF_TUN,
  IFF_VNET_HDR,
  openTap,
  PEER_ADDRESSES,
  type TapPeerOptions,
} from "./fixtures/tap-peer.ts";

const TIMEOUT_MS = 240_000;
t.setTimeout(3 * TIMEOUT_MS);
const lacks = await missing("tun", "bridge");
if (lacks) {
  skip(t, lacks);
  process.exit();
}

const ranges = [[{ subnet: "10.9.0.0/24" }], [{ subnet: "fd00:9::/64" }]];
const DUAL = { ipam: { type: "host-local", ranges } };
const config = (keys: object = {}): NetworkConfig => ({
  cniVersion: "1.1.0",
  name: "net",
  type: "tap",
  ...keys,
});
const UID = 54_321;
const GID = 54_322;
const USER = { uid: UID, gid: GID };
const MAC = (last: number) => `02:00:00:00:00:0${last}`;

/** A host with a /dev/net/tun that everybody may open, which is not the machine's. */
async function makeStage(t: Test): Promise<{ host: Host; container: Container }> {
  const host = await makeHost(t);
  const script = "mount -t tmpfs tmpfs /dev/net && mknod -m 666 /dev/net/tun c 10 200 && chmod 755 /dev/net";
  await host.exec("sh", ["-c", script]);
  return { host, container: await host.container("c1") };
}

/** What `ip -d link` says of the tap. */
async function tapData(container: Container, name = "eth0"): Promise<Record<string, unknown>> {
  const { linkinfo } = await container.link(name);
  return { kind: linkinfo?.info_kind, ...linkinfo?.info_data };
}

await t.test(
  "frames reach the program that has the tap open, and come back",
  { timeout: TIMEOUT_MS },
  async (t) => {
    const { container } = await makeStage(t);
    const attachment = await attach(container, config({ ...DUAL, owner: UID, group: GID }));
    const closed = await container.link("eth0");
    t.match(closed.flags, ["NO-CARRIER", "BROADCAST", "MULTICAST", "UP"], "it is up, without carrier");
    const { code } = await attachment.check();
    t.equal(code, 0, "which is nothing to CHECK");

    const peer = await openTap(container, "eth0", { user: USER, asked: attachment.address });
    t.equal(peer.attached, "attached", "its owner attaches");
    t.equal(await peer.answer(), `${closed.address} echo`, "the kernel answers ARP and echo requests");
    for (const address of PEER_ADDRESSES) t.ok(await container.ping(address), `${address} answers`);
    t.match(await container.link("eth0"), { operstate: "UP" }, "there is carrier");
    t.equal((await attachment.check()).code, 0, "CHECK is content");
    await peer.stop();
    t.equal((await attachment.check()).code, 0, "and when it is closed again");
    t.match(await container.link("eth0"), { operstate: "DOWN" }, "the tap stays");
    t.equal((await attachment.del()).code, 0);
  },
);

await t.test("a tap that is open goes with DEL", { timeout: TIMEOUT_MS }, async (t) => {
  const { container } = await makeStage(t);
  const attachment = await attach(container, config(DUAL));
  const peer = await openTap(container, "eth0");
  t.equal((await attachment.del()).code, 0);
  t.strictSame(
    (await container.ip("link")).map(({ ifname }) => ifname),
    ["lo"],
  );
  await peer.stop();
  t.equal((await (await attach(container, config(DUAL))).del()).code, 0, "ADD makes another");
});

type Opening = readonly [who: string, options: TapPeerOptions, attached: string];
const OTHER_GROUP: Opening = ["its owner in another group", { user: { uid: UID, gid: 1 } }, "EPERM"];
const OTHER_OWNER: Opening = ["another in its group", { user: { uid: 1, gid: GID } }, "EPERM"];
const ADMIN: Opening = ["who has CAP_NET_ADMIN", {}, "attached"];
const OPENINGS: readonly [what: string, keys: object, found: object, openings: readonly Opening[]][] = [
  [
    "owner and group",
    { owner: UID, group: GID },
    { user: `${UID}`, group: `${GID}` },
    [["both", { user: USER }, "attached"], OTHER_GROUP, OTHER_OWNER, ADMIN],
  ],
  [
    "owner",
    { owner: UID },
    { user: `${UID}` },
    [[...OTHER_GROUP.slice(0, 2), "attached"] as never, OTHER_OWNER],
  ],
  [
    "group",
    { group: GID },
    { group: `${GID}` },
    [[...OTHER_OWNER.slice(0, 2), "attached"] as never, OTHER_GROUP],
  ],
  ["neither", { owner: null, group: null }, {}, [["anybody", { user: { uid: 1, gid: 1 } }, "attached"]]],
  ["root", { owner: 0, group: 0 }, { user: "root", group: "root" }, [["another", { user: USER }, "EPERM"]]],
  ["one queue", {}, { multi_queue: false }, [["with several", { flags: 0x1102 }, "EINVAL"], ADMIN]],
  [
    "packet information and virtio headers",
    {},
    { pi: false, vnet_hdr: false },
    [
      ["asks for both", { flags: IFF_TAP | IFF_VNET_HDR }, "attached"],
      ["asks for a tun", { flags: IFF_TUN | IFF_NO_PI }, "EINVAL"],
      ["asks for neither", {}, "attached"],
    ],
  ],
];

await t.test("who may open a tap, and how", { timeout: TIMEOUT_MS }, async (t) => {
  if (SHOWN_BEFORE) return skip(t, SHOWN_BEFORE);
  const { container } = await makeStage(t);
  for (const [what, keys, found, openings] of OPENINGS) {
    const attachment = await attach(container, config(keys));
    const data = await tapData(container);
    t.match(data, { kind: "tun", type: "tap", persist: true, ...found }, what);
    for (const key of ["user", "group"]) t.equal(key in data, key in found, `${what}: ${key}`);
    for (const [who, options, attached] of openings) {
      const peer = await openTap(container, "eth0", options);
      t.equal(peer.attached, attached, `${what}: ${who}`);
      await peer.stop();
    }
    t.equal((await attachment.check()).code, 0, `${what}: CHECK`);
    t.equal((await attachment.del()).code, 0, `${what}: DEL`);
  }
});

await t.test("multiQueue: opened several times", { timeout: TIMEOUT_MS }, async (t) => {
  const { container } = await makeStage(t);
  const flags = IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE;
  const attachment = await attach(container, config({ ...DUAL, multiQueue: true }));
  const peers = [await openTap(container, "eth0", { flags }), await openTap(container, "eth0", { flags })];
  t.strictSame(
    peers.map(({ attached }) => attached),
    ["attached", "attached"],
  );
  t.match(await tapData(container), { multi_queue: true, numqueues: 2 });
  for (const address of PEER_ADDRESSES) t.ok(await container.ping(address), `${address} answers`);
  t.equal((await attachment.check()).code, 0);
  const single = await openTap(container, "eth0");
  t.equal(single.attached, "EINVAL", "IFF_MULTI_QUEUE is how it was made");
  for (const peer of [...peers, single]) await peer.stop();

  await attachment.del();
  await attach(container, config(DUAL));
  const [first, second] = [await openTap(container, "eth0"), await openTap(container, "eth0")];
  t.strictSame([first.attached, second.attached], ["attached", "EBUSY"], "without it, once");
});

/** Keys, CNI_ARGS, and what the link is then. */
const KEYS: readonly [what: string, keys: object, args: string | undefined, link: object][] = [
  ["mac", { mac: MAC(1) }, undefined, { address: MAC(1) }],
  ["MAC of CNI_ARGS", { mac: MAC(1) }, `MAC=${MAC(2)}`, { address: MAC(2) }],
  [
    "MAC of the runtime",
    { mac: MAC(1), runtimeConfig: { mac: MAC(3) } },
    `MAC=${MAC(2)}`,
    { address: MAC(3) },
  ],
  [
    "mac and mtu with owner and group",
    { mac: MAC(1), mtu: 1400, owner: 5, group: 5 },
    undefined,
    { address: MAC(1), mtu: 1400 },
  ],
  ["the least MTU of IPv6", { mtu: 1280 }, undefined, { mtu: 1280 }],
  ["the largest MTU", { mtu: 65_521 }, undefined, { mtu: 65_521 }],
  ["no MTU", { mtu: 0 }, undefined, { mtu: 1500 }],
  ["bridge", { bridge: "br0" }, undefined, { master: "br0" }],
  ["keys in any case", { MULTIQUEUE: true, Mtu: 1300 }, undefined, { mtu: 1300 }],
];

await t.test("MAC, MTU, bridge, with addresses and without", { timeout: TIMEOUT_MS }, async (t) => {
  if (SHOWN_BEFORE) return skip(t, SHOWN_BEFORE);
  const { container } = await makeStage(t);
  await container.exec("ip", ["link", "add", "br0", "type", "bridge"]);
  for (const ipam of [{}, DUAL]) {
    const without = "ipam" in ipam ? "with IPAM" : "without IPAM";
    for (const [what, keys, args, wanted] of KEYS) {
      const attachment = await attach(
        container,
        config({ ...keys, ...ipam }),
        args === undefined ? {} : { args },
      );
      const { address: mac, mtu, flags, addr_info, ifalias, ...link } = await container.link("eth0");
      t.match({ address: mac, mtu, ...link }, wanted, `${what}, ${without}`);
      t.ok(flags.includes("UP"), "up");
      const [told] = attachment.result.interfaces ?? [];
      t.strictSame(told, { name: "eth0", mac, mtu, sandbox: container.path }, "as the result says");
      const held = addr_info.map(({ local, prefixlen }) => `${local}/${prefixlen}`);
      t.strictSame(
        held,
        (attachment.result.ips ?? []).map(({ address }) => address),
        "its addresses",
      );
      t.equal(ifalias, "weft:net/c1-0123456789abcdef/eth0");
      t.equal((await attachment.check()).code, 0, "CHECK");
      t.equal((await attachment.del()).code, 0, "DEL");
    }
  }
});

await t.test(
  "a tap that is a bridge's port carries what the bridge carries",
  { timeout: TIMEOUT_MS },
  async (t) => {
    const { container } = await makeStage(t);
    const steps = "ip link add br0 type bridge; ip address add 10.9.0.1/24 dev br0; ip link set br0 up";
    await container.exec("sh", ["-ec", steps]);
    await attach(container, config({ bridge: "br0" }));
    const peer = await openTap(container, "eth0", { asked: "10.9.0.1" });
    const { address } = await container.link("br0");
    t.equal(await peer.answer(), `${address} echo`);
    t.ok(await container.ping(PEER_ADDRESSES[0]), "the guest answers through the bridge");
    await peer.stop();
  },
);

await t.test("DNS settings: the network's, else those of IPAM", { timeout: TIMEOUT_MS }, async (t) => {
  if (SHOWN_BEFORE) return skip(t, SHOWN_BEFORE);
  const { container } = await makeStage(t);
  const [mine, theirs] = [{ nameservers: ["10.9.0.53"] }, { nameservers: ["10.9.0.1"], domain: "example" }];
  const ipam = { type: "static", addresses: [{ address: "10.9.0.5/24" }], dns: theirs };
  for (const [keys, dns] of [
    [{ ipam }, theirs],
    [{ ipam, dns: mine }, mine],
    [{ dns: mine }, mine],
  ] as const) {
    const attachment = await attach(container, config(keys));
    t.strictSame(attachment.result.dns, dns);
    await attachment.del();
  }
});

await t.test("no other program is run", { timeout: TIMEOUT_MS }, async (t) => {
  if (SHOWN_BEFORE) return skip(t, SHOWN_BEFORE);
  const { host, container } = await makeStage(t);
  for (const keys of [DUAL, { owner: UID, group: GID, multiQueue: true, mtu: 1400, mac: MAC(1) }]) {
    for (const command of ["ADD", "DEL"]) {
      const under = ["strace", "-f", "-qq", "-e", "trace=execve", "-o", "/run/trace"];
      const { code } = await host.cni("tap", { command, config: config(keys), container, under });
      t.equal(code, 0, command);
      const programs = readFileSync(host.view("/run/trace"), "utf8").match(/execve\("[^"]*"/g);
      t.match(programs, [/\/tap"$/], "the plugin alone");
      t.equal(programs?.length, 1);
    }
  }
});

const WRONG: readonly [what: string, keys: object, msg: string | RegExp, args?: string][] = [
  ["mtu below the least", { mtu: 67 }, 'invalid "mtu": 67'],
  ["mtu above the largest", { mtu: 65_522 }, /65522 for "mtu"/],
  ["a negative mtu", { mtu: -1 }, /-1 for "mtu"/],
  ["a mac that is none", { mac: "02:00" }, 'invalid "mac": "02:00"'],
  ["a multicast mac", { mac: "01:00:5e:00:00:01" }, 'invalid "mac": "01:00:5e:00:00:01"'],
  ["a mac of zeros", { runtimeConfig: { mac: "00:00:00:00:00:00" } }, 'invalid "mac": "00:00:00:00:00:00"'],
  ["a mac in CNI_ARGS", {}, 'invalid "mac": "x"', "MAC=x"],
  ["a negative owner", { owner: -1 }, /-1 for "owner"/],
  ["the owner that stands for none", { owner: 4_294_967_295 }, /4294967295 for "owner"/],
  ["an owner by name", { owner: "root" }, /"root" for "owner"/],
  ["a group with a fraction", { group: 1.5 }, /1\.5 for "group"/],
  ["multiQueue as text", { multiQueue: "yes" }, /"yes" for "multiQueue"/],
  ["a bridge that is not there", { bridge: "br9" }, "failed to get bridge br9: Link not found"],
  ["a bridge of the host", { bridge: "host0" }, "failed to get bridge host0: Link not found"],
  ["a bridge that is none", { bridge: "lo" }, "failed to get bridge lo: it is not a bridge"],
  ["a bridge's name that is none", { bridge: "a/b" }, /invalid "bridge": "a\/b"/],
  ["a bridge's name that is too long", { bridge: "sixteen-bytes-xx" }, /invalid "bridge"/],
  ["a context of two lines", { selinuxContext: "a\nb" }, /invalid "selinuxContext"/],
  ["an IPAM plugin that is not there", { ipam: { type: "nosuch" } }, /failed to find plugin "nosuch"/],
];

await t.test("what is refused, with nothing changed", { timeout: TIMEOUT_MS }, async (t) => {
  if (SHOWN_BEFORE) return skip(t, SHOWN_BEFORE);
  const { host, container } = await makeStage(t);
  await host.exec("ip", ["link", "add", "host0", "type", "bridge"]);
  const before = normalise(await host.snapshot());
  for (const [what, keys, msg, args] of WRONG) {
    const call = { command: "ADD", config: config(keys), container, ...(args === undefined ? {} : { args }) };
    refused(t, await host.cni("tap", call), { code: 7, msg }, what);
  }
  const empty = { type: "static" };
  const nothing = await host.cni("tap", { command: "ADD", config: config({ ipam: empty }), container });
  refused(t, nothing, { code: 999, msg: "IPAM plugin returned missing IP config" }, "no addresses");
  const named = { command: "ADD", config: config(), container, ifname: "tap%d" };
  refused(
    t,
    await host.cni("tap", named),
    { code: 4, msg: "interface name contains % or NUL", details: /another name/ },
    "a name that the kernel would complete",
  );
  await unchanged(t, host, before, "nothing changed");
});

await t.test("the name is taken", { timeout: TIMEOUT_MS }, async (t) => {
  if (SHOWN_BEFORE) return skip(t, SHOWN_BEFORE);
  const { host, container } = await makeStage(t);
  for (const make of ["link add eth0 type bridge", "tuntap add eth0 mode tap", "tuntap add eth0 mode tun"]) {
    await container.exec("ip", make.split(" "));
    const before = normalise(await host.snapshot());
    const added = await host.cni("tap", { command: "ADD", config: config(DUAL), container });
    refused(t, added, { code: 4, msg: /"eth0" already exists/, details: /./ }, make);
    await unchanged(t, host, before, "nothing changed");
    await container.exec("ip", ["link", "delete", "eth0"]);
  }
});

await t.test("/dev/net/tun is not there, or nothing is behind it", { timeout: TIMEOUT_MS }, async (t) => {
  if (SHOWN_BEFORE) return skip(t, SHOWN_BEFORE);
  const host = await makeHost(t);
  const container = await host.container("c1");
  const before = normalise(await host.snapshot());
  const wanted = { code: 50, msg: "this host has no /dev/net/tun", details: /modprobe tun/ };
  for (const [what, script] of [
    ["no file", "mount -t tmpfs tmpfs /dev/net"],
    ["no driver", "mknod /dev/net/tun c 10 254"],
  ] as const) {
    await host.exec("sh", ["-ec", script]);
    for (const command of ["ADD", "STATUS"]) {
      refused(
        t,
        await host.cni("tap", { command, config: config(DUAL), container }),
        wanted,
        `${what}: ${command}`,
      );
    }
    t.equal(
      (await host.cni("tap", { command: "DEL", config: config(DUAL), container })).code,
      0,
      `${what}: DEL`,
    );
  }
  await unchanged(t, host, before, "nothing changed");
});

await t.test("every version of the specification", { timeout: TIMEOUT_MS }, async (t) => {
  if (SHOWN_BEFORE) return skip(t, SHOWN_BEFORE);
  const { host, container } = await makeStage(t);
  for (const cniVersion of ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]) {
    const call = { config: { ...config(DUAL), cniVersion }, container };
    const { result } = await host.cni("tap", { command: "ADD", ...call });
    t.match(result, { cniVersion, [cniVersion < "0.3" ? "ip4" : "ips"]: {} });
    t.equal((await host.cni("tap", { command: "DEL", ...call })).code, 0);
  }
});
