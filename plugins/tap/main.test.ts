/** What tap refuses before it looks at the host. */
import { expect, test } from "bun:test";
import { CniError } from "../../lib/cni/error.ts";
import { callPlugin } from "../../lib/cni/plugin.ts";
import { input } from "../../lib/testing/probe.ts";
import tapPlugin from "./main.ts";

function refusal(config: object, args = ""): { code: number; msg: string } | undefined {
  try {
    callPlugin(tapPlugin, input("ADD", { type: "tap", ...config }, { CNI_ARGS: args }));
    return undefined;
  } catch (error) {
    if (error instanceof CniError) return { code: error.code, msg: error.msg };
    throw error;
  }
}

const INVALID: readonly [config: object, msg: RegExp][] = [
  [{ mtu: 67 }, /^invalid "mtu": 67$/],
  [{ mtu: 65_522 }, /65522 for "mtu"/],
  [{ mac: "01:00:5e:00:00:01" }, /^invalid "mac"/],
  [{ owner: 2 ** 32 - 1 }, /4294967295 for "owner"/],
  [{ group: -1 }, /-1 for "group"/],
  [{ bridge: "a b" }, /^invalid "bridge": "a b" contains/],
  [{ selinuxContext: "a\0b" }, /^invalid "selinuxContext": "a\\u0000b"$/],
];
test.each([...INVALID])("%o is refused with code 7", (config, msg) => {
  expect(refusal(config)).toEqual({ code: CniError.INVALID_NETWORK_CONFIG, msg: expect.stringMatching(msg) });
});

test("the MAC is the runtime's, else that of CNI_ARGS, else the configuration's", () => {
  const msg = (mac: string) => ({ code: CniError.INVALID_NETWORK_CONFIG, msg: `invalid "mac": "${mac}"` });
  expect(refusal({ mac: "a", runtimeConfig: { mac: "c" } }, "MAC=b")).toEqual(msg("c"));
  expect(refusal({ mac: "a" }, "MAC=b")).toEqual(msg("b"));
  expect(refusal({ mac: "a" })).toEqual(msg("a"));
});

test("null is as good as absent: then the namespace is looked for", () => {
  const config = { mtu: null, mac: null, owner: null, group: null, bridge: null, selinuxContext: null };
  expect(refusal(config)).toMatchObject({ code: CniError.INVALID_ENVIRONMENT });
});
