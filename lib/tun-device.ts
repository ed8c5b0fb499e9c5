/**
 * /dev/net/tun: makes a tap device of an open file. drivers/net/tun.c, Documentation/networking/tuntap.rst.
 *
 * A device lives as long as a file is attached to it, or has been made persistent. It is of the network
 * namespace that the file was opened in.
 */
import { CniError, invalidConfig } from "./cni/error.ts";
import { isErrno } from "./sys/errno.ts";
import * as libc from "./sys/libc.ts";

const PATH = "/dev/net/tun";

// linux/if_tun.h
const TUNSETIFF = 0x400454ca;
const TUNSETPERSIST = 0x400454cb;
const TUNSETOWNER = 0x400454cc;
const TUNSETGROUP = 0x400454ce;
export const IFF_TAP = 0x0002;
const IFF_NO_PI = 0x1000;
const IFF_MULTI_QUEUE = 0x0100;
const IFF_TUN_EXCL = 0x8000;

// struct ifreq (linux/if.h): char ifr_name[IFNAMSIZ]; short ifr_flags
const IFREQ_BYTES = 40;
const IFR_FLAGS_OFFSET = 16;

export interface TapName {
  readonly name: string;
  /** Whether several files may be attached, a queue each. */
  readonly multiQueue: boolean;
}

/** @returns the file, of the namespace the thread is in. @throws CniError 50 where there is no such device */
export function openTun(): number {
  try {
    return libc.open(PATH, libc.O_RDWR);
  } catch (error) {
    const details = adviceFor(error);
    if (details === undefined) throw error;
    throw new CniError(CniError.NOT_AVAILABLE, `this host has no ${PATH}`, { details });
  }
}

function adviceFor(error: unknown): string | undefined {
  const load = "load the module (modprobe tun)";
  if (isErrno(error, "ENODEV", "ENXIO")) return load;
  if (!isErrno(error, "ENOENT", "ENOTDIR")) return undefined;
  return `${load}; where nothing makes device nodes: mkdir -p /dev/net; mknod ${PATH} c 10 200`;
}

/**
 * Makes the tap and attaches the file. Packet information and virtio headers are left off: whoever attaches
 * says anew whether there are any, but not whether there are several queues.
 * @throws CniError 4 when the name is taken, or is none
 */
export function attachTap(fd: number, { name, multiQueue }: TapName): void {
  const request = new Uint8Array(new ArrayBuffer(IFREQ_BYTES));
  const encoded = new TextEncoder().encode(name);
  // An empty name, and one with "%d", the kernel would complete.
  if (encoded.length === 0 || encoded.length >= IFR_FLAGS_OFFSET || /[%\0]/.test(name)) {
    throw new CniError(CniError.INVALID_ENVIRONMENT, `${JSON.stringify(name)} cannot be a tap's name`);
  }
  request.set(encoded);
  const flags = IFF_TAP | IFF_NO_PI | IFF_TUN_EXCL | (multiQueue ? IFF_MULTI_QUEUE : 0);
  new DataView(request.buffer).setUint16(IFR_FLAGS_OFFSET, flags, true);
  try {
    libc.ioctl(fd, TUNSETIFF, request);
  } catch (error) {
    if (!isErrno(error, "EBUSY")) throw error;
    throw new CniError(CniError.INVALID_ENVIRONMENT, `interface "${name}" already exists`, { cause: error });
  }
}

/** Lets a user, and a group, attach who may not administer the network. @throws CniError 7 for no such id */
export function setTapOwner(fd: number, ids: { owner: number | undefined; group: number | undefined }): void {
  const { owner, group } = ids;
  if (owner !== undefined) setId(fd, TUNSETOWNER, { key: "owner", id: owner });
  if (group !== undefined) setId(fd, TUNSETGROUP, { key: "group", id: group });
}

function setId(fd: number, request: number, { key, id }: { key: string; id: number }): void {
  try {
    libc.ioctl(fd, request, id);
  } catch (error) {
    if (!isErrno(error, "EINVAL")) throw error;
    throw invalidConfig(`invalid "${key}": ${id}`, "there is no such id in this user namespace");
  }
}

/** From now on the device stays when its last file is closed. */
export function persistTap(fd: number): void {
  libc.ioctl(fd, TUNSETPERSIST, 1);
}
