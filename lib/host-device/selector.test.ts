import { expect, test } from "bun:test";
import { CniError } from "../cni/error.ts";
import { findSelector, givenSelectors, requiredSelector, type SelectorKeys } from "./selector.ts";

function keys({ deviceID = "", ...given }: Partial<SelectorKeys> & { deviceID?: string }): SelectorKeys {
  const none = { device: "", hwaddr: "", kernelpath: "", pciBusID: "" };
  return { ...none, runtimeConfig: { deviceID }, ...given };
}

test.each([
  [{ device: "eth1" }, { key: "device", value: "eth1" }],
  [{ device: "a".repeat(127) }, { key: "device", value: "a".repeat(127) }],
  [{ hwaddr: "02:00:5e:00:53:01" }, { key: "hwaddr", value: "02:00:5e:00:53:01" }],
  [{ hwaddr: "0200.5e00.5301" }, { key: "hwaddr", value: "0200.5e00.5301" }],
  [{ hwaddr: `80:00${":02".repeat(18)}` }, { key: "hwaddr", value: `80:00${":02".repeat(18)}` }],
  [{ kernelpath: "/sys/devices/pci0/x//" }, { key: "kernelpath", value: "/sys/devices/pci0/x" }],
  [{ pciBusID: "0000:00:04.0" }, { key: "pciBusID", value: "0000:00:04.0" }],
  [{ deviceID: "mlx5_core.sf.4" }, { key: "deviceID", value: "mlx5_core.sf.4" }],
  [
    { deviceID: "0000:00:05.0", pciBusID: "0000:00:04.0" },
    { key: "deviceID", value: "0000:00:05.0" },
  ],
] as const)("findSelector(%j) finds the one key", (given, selector) => {
  expect(findSelector(keys(given)) as unknown).toEqual(selector);
});

test("findSelector() finds none where none is given, requiredSelector() asks for one", () => {
  expect(findSelector(keys({}))).toBeUndefined();
  expect(() => requiredSelector(keys({}))).toThrow(
    'specify either "device", "hwaddr", "kernelpath" or "pciBusID"',
  );
});

test.each([
  [{ device: "eth1", hwaddr: "02:00:5e:00:53:01" }, /"device" and "hwaddr" are given/],
  [{ device: "eth1", deviceID: "0000:00:04.0" }, /"device" and "deviceID" are given/],
  [{ device: "a/b" }, /invalid "device": "a\/b"; a name of an interface contains/],
  [{ device: "a b" }, /invalid "device"/],
  [{ device: ".." }, /invalid "device"/],
  [{ device: "a".repeat(128) }, /no interface has so long a name/],
  [{ hwaddr: "02:00:5e:00:53" }, /invalid "hwaddr"/],
  [{ hwaddr: "02:00:5e:00:53:0g" }, /invalid "hwaddr"/],
  [{ kernelpath: "/sys/class/net/eth1" }, /begin with \/sys\/devices\//],
  [{ kernelpath: "/sys/devices/../class" }, /invalid "kernelpath"/],
  [{ kernelpath: "/sys/devices/x/.." }, /invalid "kernelpath"/],
  [{ pciBusID: "../../x" }, /invalid "pciBusID"/],
  [{ deviceID: ".." }, /invalid "deviceID"/],
] as const)("findSelector(%j) refuses it", (given, message) => {
  const find = () => findSelector(keys(given));
  expect(find).toThrow(message);
  expect(find).toThrow(expect.objectContaining({ code: CniError.INVALID_NETWORK_CONFIG }));
});

test("givenSelectors() takes whatever is given, for DEL", () => {
  const given = givenSelectors(keys({ device: "a/b", hwaddr: "x", pciBusID: "y" }));
  expect(given.map(({ key }) => key)).toEqual(["device", "hwaddr", "pciBusID"]);
});
