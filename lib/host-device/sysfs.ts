/** Devices as /sys shows them (Documentation/ABI/testing/sysfs-class-net). */
import { findLink, type Link } from "../rtnetlink/link.ts";
import type { RouteSocket } from "../rtnetlink/route-socket.ts";
import { findFile, findSymlink, findTextFile, listDirectory } from "../sys/file.ts";
import type { Selector } from "./selector.ts";

const PCI_DEVICES = "/sys/bus/pci/devices";
const AUXILIARY_DEVICES = "/sys/bus/auxiliary/devices";

/** Drivers that hand a device to a program: then the kernel has no interface for it. */
const USERSPACE_DRIVERS = ["vfio-pci", "uio_pci_generic", "igb_uio"];

/** The directory of a device that is named by its place or its address; undefined where there is none. */
export function deviceDirectory({ key, value }: Selector): string | undefined {
  if (key === "device" || key === "hwaddr") return undefined;
  if (key === "kernelpath") return existing(value);
  const onPci = existing(`${PCI_DEVICES}/${value}`);
  return onPci ?? (key === "deviceID" ? existing(`${AUXILIARY_DEVICES}/${value}`) : undefined);
}

/** The first interface of the device, by name; undefined where `host` has none. */
export function findInterfaceOf(host: RouteSocket, directory: string): Link | undefined {
  // what is on a virtio bus lies one level deeper
  const deeper = listDirectory(directory).filter((name) => name.startsWith("virtio"));
  for (const parent of [directory, ...deeper.map((name) => `${directory}/${name}`)]) {
    for (const name of listDirectory(`${parent}/net`).sort()) {
      const link = findLink(host, name);
      if (link && sysfsPath(link)) return link;
    }
  }
  return undefined;
}

/** Whether `parent`, as Link has it, is the device of that directory, or the one on its virtio bus. */
export function isParentIn(directory: string, parent: string): boolean {
  const name = parent.slice(parent.indexOf("/") + 1);
  return directory.endsWith(`/${name}`) || existing(`${directory}/${name}`) !== undefined;
}

/**
 * Where the interface is: "/sys/devices/pci0000:00/0000:00:04.0/virtio1/net/eth1". Undefined where /sys is
 * not there, or is that of another namespace.
 */
export function sysfsPath({ name, index }: Link): string | undefined {
  const path = findSymlink(`/sys/class/net/${name}`)?.replace(/^(\.\.\/)+/, "/sys/");
  return path && findTextFile(`${path}/ifindex`)?.trim() === String(index) ? path : undefined;
}

/** Whether a device is hardware that is there, by its parent as Link has it. */
export function isPluggedIn({ parent }: { parent?: string | undefined }): boolean {
  return parent !== undefined && existing(`/sys/bus/${parent.replace("/", "/devices/")}`) !== undefined;
}

/** The PCI address in such a path, the one farthest down: of a virtual function its own. */
export function pciAddressIn(path: string): string | undefined {
  return path.match(/[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7](?=\/)/gi)?.at(-1);
}

/** Whether the driver of the device hands it to a program (DPDK). */
export function hasUserspaceDriver(directory: string): boolean {
  const driver = findSymlink(`${directory}/driver`)?.split("/").at(-1);
  return driver !== undefined && USERSPACE_DRIVERS.includes(driver);
}

function existing(path: string): string | undefined {
  return findFile(path) && path;
}
