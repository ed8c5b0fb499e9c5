/** What host-device refuses before it looks at the host, and what DEL makes of the same. */
import { expect, test } from "bun:test";
import { CniError } from "../../lib/cni/error.ts";
import { callPlugin } from "../../lib/cni/plugin.ts";
import { input } from "../../lib/testing/probe.ts";
import hostDevicePlugin from "./main.ts";

function refusal(config: object, command = "ADD"): { code: number; msg: string } | undefined {
  try {
    callPlugin(hostDevicePlugin, input(command, { type: "host-device", ...config }));
    return undefined;
  } catch (error) {
    if (error instanceof CniError) return { code: error.code, msg: error.msg };
    throw error;
  }
}

const UNSPECIFIED = 'specify either "device", "hwaddr", "kernelpath" or "pciBusID"';
const INVALID: readonly [config: object, msg: string | RegExp][] = [
  [{}, UNSPECIFIED],
  [{ device: null, hwaddr: null, runtimeConfig: null }, UNSPECIFIED],
  [{ device: "eth1", pciBusID: "0000:00:04.0" }, UNSPECIFIED],
  [{ device: "eth1", runtimeConfig: { deviceID: "0000:00:04.0" } }, UNSPECIFIED],
  [{ device: "a b" }, 'invalid "device": "a b"'],
  [{ hwaddr: "a" }, 'invalid "hwaddr": "a"'],
  [{ kernelpath: "/sys/class/net/a" }, 'invalid "kernelpath": "/sys/class/net/a"'],
  [{ pciBusID: "a/b" }, 'invalid "pciBusID": "a/b"'],
  [{ runtimeConfig: { deviceID: ".." } }, 'invalid "deviceID": ".."'],
  [{ device: 1 }, /device/],
  [{ device: "eth1", DPDKMode: "yes" }, /DPDKMode/i],
];
test.each([...INVALID])("%o is refused with code 7", (config, msg) => {
  const wanted = typeof msg === "string" ? msg : expect.stringMatching(msg);
  expect(refusal(config)).toEqual({ code: CniError.INVALID_NETWORK_CONFIG, msg: wanted });
});

test("a good configuration needs a namespace", () => {
  const config = { device: "eth1", dpdkmode: true };
  expect(refusal(config)).toMatchObject({ code: CniError.INVALID_ENVIRONMENT });
});

test("STATUS takes a device that the runtime is to choose for granted", () => {
  expect(refusal({}, "STATUS")).toBeUndefined();
});
