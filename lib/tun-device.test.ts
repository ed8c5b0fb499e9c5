import { expect, test } from "bun:test";
import { join } from "node:path";
import { CniError } from "./cni/error.ts";
import { inNetns } from "./netns/netns.ts";
import * as libc from "./sys/libc.ts";
import { constantsIn, cValues } from "./testing/c-values.ts";
import { kernelTest, lackingFor, TestNetns } from "./testing/netns.ts";
import { attachTap, openTun, persistTap, setTapOwner } from "./tun-device.ts";

const noTap = lackingFor("ip", "tuntap", "add", "tap0", "mode", "tap");

const EXPRESSIONS: Readonly<Record<string, string>> = {
  IFREQ_BYTES: "sizeof(struct ifreq)",
  IFR_FLAGS_OFFSET: "offsetof(struct ifreq, ifr_flags)",
};
const constants = (await constantsIn(join(import.meta.dir, "tun-device.ts"))).filter(
  ({ name }) => name !== "PATH",
);
const headers = ["sys/ioctl.h", "linux/if.h", "linux/if_tun.h"];
const { values, skipped } = cValues(
  headers,
  constants.map(({ name }) => EXPRESSIONS[name] ?? name),
);
if (skipped !== undefined)
  test.skip(`constants have the numbers of the headers [skipped: ${skipped}]`, () => {});
else {
  test("constants have the numbers of the headers", () => {
    expect(constants.length).toBeGreaterThanOrEqual(10);
    for (const { name, value } of constants) {
      expect(`${name} = ${value}`).toBe(`${name} = ${values.get(EXPRESSIONS[name] ?? name)}`);
    }
  });
}

/** What `ip -d link` says of a tap that `make` makes, while its file is open and, if that stays, after. */
async function tapMadeBy(make: (fd: number, kernel: TestNetns) => void) {
  using kernel = await TestNetns.make();
  const fd = inNetns(kernel.netns, openTun);
  try {
    make(fd, kernel);
  } finally {
    libc.close(fd);
  }
  return kernel.json("ip -j -d link show").filter(({ ifname }: { ifname: string }) => ifname !== "lo");
}

kernelTest(
  "attachTap() makes a tap that goes with its file",
  async () => {
    let during: unknown;
    const after = await tapMadeBy((fd, kernel) => {
      attachTap(fd, { name: "tap0", multiQueue: false });
      during = kernel.json("ip -j -d link show dev tap0")[0].linkinfo;
    });
    expect(during).toEqual({
      info_kind: "tun",
      info_data: { type: "tap", pi: false, vnet_hdr: false, multi_queue: false, persist: false },
    });
    expect(after).toEqual([]);
  },
  noTap,
);

kernelTest(
  "persistTap() lets it stay, setTapOwner() says who may open it",
  async () => {
    const [tap] = await tapMadeBy((fd) => {
      attachTap(fd, { name: "fifteen-bytes-x", multiQueue: true });
      setTapOwner(fd, { owner: 0xffff_fffe, group: 0 });
      persistTap(fd);
    });
    expect(tap).toMatchObject({
      ifname: "fifteen-bytes-x",
      flags: expect.not.arrayContaining(["UP"]),
      linkinfo: { info_data: { type: "tap", persist: true, multi_queue: true } },
    });
  },
  noTap,
);

kernelTest(
  "setTapOwner() refuses the id that stands for none",
  async () => {
    const taps = await tapMadeBy((fd) => {
      attachTap(fd, { name: "tap0", multiQueue: false });
      for (const key of ["owner", "group"]) {
        const ids = { owner: undefined, group: undefined, [key]: 0xffff_ffff };
        expect(() => setTapOwner(fd, ids)).toThrow(`invalid "${key}": 4294967295`);
      }
    });
    expect(taps).toEqual([]);
  },
  noTap,
);

kernelTest(
  "attachTap() refuses a name that is taken, by a tap too",
  async () => {
    await tapMadeBy((fd, kernel) => {
      kernel.run("ip link add br0 type bridge && ip tuntap add tap0 mode tap");
      for (const name of ["br0", "tap0", "lo"]) {
        expect(() => attachTap(fd, { name, multiQueue: false })).toThrow(
          `interface "${name}" already exists`,
        );
      }
    });
  },
  noTap,
);

const NO_NAMES = ["", "tap%d", "sixteen-bytes-xx", "a\0b"];
kernelTest(
  "attachTap() refuses what is no name, or half of one",
  async () => {
    const taps = await tapMadeBy((fd) => {
      for (const name of NO_NAMES) {
        expect(() => attachTap(fd, { name, multiQueue: false })).toThrow(CniError);
      }
    });
    expect(taps).toEqual([]);
  },
  noTap,
);
