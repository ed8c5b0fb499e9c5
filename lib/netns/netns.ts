/**
 * Network namespaces: opened by path, compared by inode.
 *
 * A socket stays in the namespace it was made in, so nothing needs to run inside a container's namespace but
 * the call that makes the socket and writes to /proc/sys (namespaces(7), network_namespaces(7)).
 */
import { ErrnoError, isErrno } from "../sys/errno.ts";
import { type FileStatus, fileStatus, findFile, isSameFile } from "../sys/file.ts";
import * as libc from "../sys/libc.ts";

/** _IO(0xb7, 0x3), linux/nsfs.h: which kind of namespace a descriptor stands for. */
const NS_GET_NSTYPE = 0xb703;
const OWN_NETNS = "/proc/thread-self/ns/net";
/** Tries to come back from a namespace; a failure there has no other remedy. */
const RETURN_ATTEMPTS = 3;

/** The path is not a network namespace, or not any more. */
export class NetnsError extends Error {
  readonly path: string;
  /** There is nothing at the path; of a namespace that is gone there is nothing to clean up. */
  readonly missing: boolean;

  constructor(path: string, reason: string, options: { missing: boolean; cause?: unknown }) {
    super(`failed to open netns "${path}": ${reason}`, { cause: options.cause });
    this.name = "NetnsError";
    this.path = path;
    this.missing = options.missing;
  }
}

/** An open network namespace; the descriptor keeps it alive. */
export class Netns implements Disposable {
  readonly path: string;
  #fd: number;

  constructor(path: string, fd: number) {
    this.path = path;
    this.#fd = fd;
  }

  /** The descriptor; -1 when it has been closed. */
  get fd(): number {
    return this.#fd;
  }

  /** Closes the descriptor; again is nothing. */
  [Symbol.dispose](): void {
    if (this.#fd >= 0) libc.close(this.#fd);
    this.#fd = -1;
  }
}

/** @throws NetnsError when the path is absent or is something else */
export function openNetns(path: string): Netns {
  const fd = openPath(path);
  try {
    if (libc.ioctl(fd, NS_GET_NSTYPE) === libc.CLONE_NEWNET) return new Netns(path, fd);
  } catch (error) {
    // Not a namespace at all: the error below says so. Any other failure does not say that it is gone.
    if (!isErrno(error, "ENOTTY", "EINVAL")) {
      libc.close(fd);
      throw error;
    }
  }
  libc.close(fd);
  // A file where a namespace used to be bound is what `ip netns del` leaves for a moment.
  throw new NetnsError(path, `unknown FS magic on "${path}": not a network namespace`, { missing: true });
}

function openPath(path: string): number {
  try {
    return libc.open(path, libc.O_RDONLY | libc.O_NONBLOCK); // a FIFO would wait for its writer
  } catch (error) {
    if (!(error instanceof ErrnoError)) throw error;
    const missing = error.code === "ENOENT" || error.code === "ENOTDIR";
    throw new NetnsError(path, `failed to Statfs "${path}": ${libc.errnoText(error.errno)}`, {
      missing,
      cause: error,
    });
  }
}

/** The namespace this process runs in. */
export function openOwnNetns(): Netns {
  return openNetns(OWN_NETNS);
}

/** As openNetns(), but undefined for "" and for a namespace that is gone. */
export function findNetns(path: string): Netns | undefined {
  if (path === "") return undefined;
  try {
    return openNetns(path);
  } catch (error) {
    if (error instanceof NetnsError && error.missing) return undefined;
    throw error;
  }
}

/** Whether the path is the namespace this process runs in; false for what cannot be looked at. */
export function isOwnNetns(path: string): boolean {
  if (path === "") return false;
  try {
    return isSameFile(findFile(OWN_NETNS), findFile(path));
  } catch (error) {
    if (error instanceof ErrnoError) return false;
    throw error;
  }
}

/** The identity of an open namespace. */
export function netnsIdentity(netns: Netns): FileStatus {
  return fileStatus(netns.fd);
}

/** What tells a namespace from another at its path; of those that live no two have the same. */
export function netnsInode(netns: Netns): string {
  return String(netnsIdentity(netns).ino);
}

/**
 * Runs `inside` in the namespace and comes back, whatever happens. Only for making sockets and for /proc/sys;
 * the callback must be synchronous, because the namespace belongs to the thread.
 */
export function inNetns<T>(netns: Netns, inside: () => T extends Promise<unknown> ? never : T): T {
  const home = libc.open(OWN_NETNS, libc.O_RDONLY);
  try {
    libc.setns(netns.fd, libc.CLONE_NEWNET);
    try {
      return inside();
    } finally {
      returnTo(home);
    }
  } finally {
    libc.close(home);
  }
}

function returnTo(home: number): void {
  for (let attempt = 1; ; attempt++) {
    try {
      libc.setns(home, libc.CLONE_NEWNET);
      return;
    } catch (error) {
      if (attempt === RETURN_ATTEMPTS) throw error;
    }
  }
}
