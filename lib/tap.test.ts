import { expect, test } from "bun:test";
import { CniError } from "./cni/error.ts";
import type { Link } from "./rtnetlink/link.ts";
import { linkByName } from "./rtnetlink/link.ts";
import { openRouteSocket } from "./rtnetlink/route-socket.ts";
import { hasSelinux } from "./selinux.ts";
import { checkTap, createTap, type TapOptions } from "./tap.ts";
import { kernelTest, lackingFor, TestNetns } from "./testing/netns.ts";

const noTap = lackingFor("ip", "tuntap", "add", "tap0", "mode", "tap");
const PLAIN: TapOptions = {
  multiQueue: false,
  owner: undefined,
  group: undefined,
  selinuxContext: undefined,
};

function tapsOf(kernel: TestNetns): { ifname: string }[] {
  return kernel.json("ip -j link show").filter(({ ifname }: { ifname: string }) => ifname !== "lo");
}

kernelTest(
  "createTap() makes the tap stay when it is configured, not before",
  async () => {
    using kernel = await TestNetns.make();
    const persistence = () =>
      kernel.json("ip -j -d link show dev tap0").map((it: never) => it["linkinfo"]["info_data"]["persist"]);
    createTap(kernel.netns, { ...PLAIN, name: "tap0" }, () => expect(persistence()).toEqual([false]));
    expect(persistence()).toEqual([true]);
  },
  noTap,
);

kernelTest(
  "createTap() leaves nothing when it cannot be configured",
  async () => {
    using kernel = await TestNetns.make();
    const configure = () => {
      expect(tapsOf(kernel)).toHaveLength(1);
      throw new Error("no");
    };
    expect(() => createTap(kernel.netns, { ...PLAIN, name: "tap0" }, configure)).toThrow("no");
    expect(tapsOf(kernel)).toEqual([]);
    const options = { ...PLAIN, name: "tap0", owner: 0xffff_ffff };
    expect(() => createTap(kernel.netns, options, () => {})).toThrow(CniError);
    expect(tapsOf(kernel)).toEqual([]);
  },
  noTap,
);

kernelTest(
  "createTap() refuses a context where SELinux is not enabled, and leaves nothing",
  async () => {
    using kernel = await TestNetns.make();
    const options = { ...PLAIN, name: "tap0", selinuxContext: "system_u:system_r:container_t:s0" };
    expect(() => createTap(kernel.netns, options, () => {})).toThrow(
      'cannot apply "selinuxContext": SELinux is not enabled',
    );
    expect(tapsOf(kernel)).toEqual([]);
  },
  noTap ?? (hasSelinux() ? "needs a kernel without SELinux" : undefined),
);

/** The link that a shell command makes, as CHECK sees it. */
async function linkMadeBy(command: string): Promise<Link> {
  using kernel = await TestNetns.make();
  kernel.run(command);
  using socket = openRouteSocket(kernel.netns);
  return linkByName(socket, "tap0");
}

const CASES: readonly [command: string, options: Partial<TapOptions>, msg: string | undefined][] = [
  ["mode tap", {}, undefined],
  ["mode tap user 5 group 6 multi_queue", { owner: 5, group: 6, multiQueue: true }, undefined],
  ["mode tap user 0 group 0", { owner: 0, group: 0 }, undefined],
  ["mode tap vnet_hdr pi", {}, undefined],
  ["mode tun", {}, "Interface tap0 is not a tap"],
  ["mode tap user 5", {}, "Interface tap0 owner doesn't match: none expected, 5 found"],
  ["mode tap user 0", {}, "Interface tap0 owner doesn't match: none expected, 0 found"],
  ["mode tap", { owner: 0 }, "Interface tap0 owner doesn't match: 0 expected, none found"],
  ["mode tap group 5", { group: 6 }, "Interface tap0 group doesn't match: 6 expected, 5 found"],
  ["mode tap", { multiQueue: true }, "Interface tap0 multiQueue doesn't match: 1 expected, 0 found"],
];
for (const [command, options, msg] of CASES) {
  const title = `checkTap() of "ip tuntap add tap0 ${command}" ${msg ? `says "${msg}"` : "is content"}`;
  kernelTest(
    title,
    async () => {
      const link = await linkMadeBy(`ip tuntap add tap0 ${command}`);
      const check = () => checkTap(link, { ...PLAIN, ...options });
      if (msg === undefined) check();
      else expect(check).toThrow(new CniError(CniError.CHECK_FAILED, msg));
    },
    noTap,
  );
}

test("checkTap() says that a tap goes with its program", () => {
  // IFLA_TUN_TYPE tap, IFLA_TUN_PERSIST 0, as `ip tuntap add` has it before TUNSETPERSIST
  const data = Uint8Array.fromHex("0500030002000000" + "0500060000000000" + "0500070000000000");
  const link = { name: "tap0", data } as unknown as Link; // the rest is not looked at
  expect(() => checkTap(link, PLAIN)).toThrow("Interface tap0 is not persistent");
});
