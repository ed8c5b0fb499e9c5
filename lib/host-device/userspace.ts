/** Devices that a program drives without the kernel (DPDK): they have no interface, so none is moved. */
import type { HostDevice } from "./device.ts";
import type { Selector } from "./selector.ts";
import { deviceDirectory, hasUserspaceDriver, pciAddressIn } from "./sysfs.ts";

/** Whether it is such a device: its driver tells, or the configuration. @throws nothing where it is absent */
export function isForUserspace({ DPDKMode }: { DPDKMode: boolean }, selector: Selector): boolean {
  const { key } = selector;
  if (key !== "pciBusID" && key !== "deviceID") return DPDKMode;
  const directory = deviceDirectory(selector);
  return directory !== undefined && hasUserspaceDriver(directory);
}

/** What a result calls the device; undefined for one that is on no PCI bus. */
export function pciAddressOf({ path }: Pick<HostDevice, "path">): string | undefined {
  return path === undefined ? undefined : pciAddressIn(path);
}
