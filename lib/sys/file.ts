/**
 * Files: complete reads and writes, and changes that another process sees whole or not at all.
 *
 * Built on the C library rather than node:fs, which costs a millisecond of a plugin's three
 * (ARCHITECTURE.md).
 */
import { isErrno } from "./errno.ts";
import * as libc from "./libc.ts";

const CHUNK_BYTES = 65_536;
/** How long a peer may leave a non-blocking pipe full or empty. */
const PIPE_TIMEOUT_MS = 60_000;

/** Reads a descriptor to its end: pipe, file, socket, blocking or not. `into` is used while it is enough. */
export function readFd(fd: number, into = new Uint8Array(CHUNK_BYTES)): Uint8Array {
  let buffer = into;
  let length = 0;
  for (;;) {
    if (length === buffer.length) {
      const larger = new Uint8Array(2 * length);
      larger.set(buffer);
      buffer = larger;
    }
    const free = buffer.subarray(length);
    const count = whenReady(fd, libc.POLLIN, () => libc.read(fd, free));
    if (count === 0) return buffer.subarray(0, length);
    length += count;
  }
}

/** Writes all the bytes. */
export function writeFd(fd: number, bytes: Uint8Array): void {
  for (let rest = bytes; rest.length > 0; ) {
    rest = rest.subarray(whenReady(fd, libc.POLLOUT, () => libc.write(fd, rest)));
  }
}

function whenReady(fd: number, events: number, transfer: () => number): number {
  for (;;) {
    try {
      return transfer();
    } catch (error) {
      if (!isErrno(error, "EAGAIN") || !libc.ppoll(fd, events, PIPE_TIMEOUT_MS)) throw error;
    }
  }
}

/** Where readTextFile() puts the bytes: a buffer for each file takes longer than its reading. */
let scratch: Uint8Array<ArrayBuffer> | undefined;

/** Reads a text file. @throws ErrnoError */
export function readTextFile(path: string): string {
  scratch ??= new Uint8Array(CHUNK_BYTES);
  const into = scratch;
  return withFile(path, libc.O_RDONLY, 0, (fd) => new TextDecoder().decode(readFd(fd, into)));
}

/** Reads a text file; undefined when there is none. */
export function findTextFile(path: string): string | undefined {
  return unlessMissing(undefined, () => readTextFile(path));
}

/** Writes to a file that exists, in place, as `echo text > path` does to one of /proc/sys. */
export function writeFile(path: string, text: string): void {
  withFile(path, libc.O_WRONLY | libc.O_TRUNC, 0, (fd) => writeFd(fd, new TextEncoder().encode(text)));
}

/**
 * Writes a file in place, or creates it, for what may be lost: a kill leaves the new text with the end of the
 * old. Not emptied first and not renamed over the old, after either of which ext4 writes to the disk at once.
 */
export function overwriteFile(path: string, text: string, mode: number): void {
  const bytes = new TextEncoder().encode(text);
  withFile(path, libc.O_CREAT | libc.O_WRONLY, mode, (fd) => {
    writeFd(fd, bytes);
    libc.ftruncate(fd, bytes.length);
  });
}

/**
 * Creates a file with its content: nobody sees it empty or half written, and a kill leaves nothing behind.
 * @returns false, with nothing changed, when the name is taken
 */
export function createFileExclusive(path: string, text: string, mode: number): boolean {
  const bytes = new TextEncoder().encode(text);
  try {
    withFile(directoryOf(path), libc.O_TMPFILE | libc.O_WRONLY, mode, (fd) => {
      naming(path, () => writeFd(fd, bytes));
      libc.linkDescriptor(fd, path);
    });
    return true;
  } catch (error) {
    if (isErrno(error, "EEXIST")) return false;
    // A file system without unnamed files (NFS, overlayfs before Linux 6.1).
    if (isErrno(error, "EOPNOTSUPP", "EISDIR", "EINVAL")) return createFileVisibly(path, bytes, mode);
    throw error;
  }
}

/** The same where there are no unnamed files: a kill between its two steps leaves an empty file. */
function createFileVisibly(path: string, bytes: Uint8Array, mode: number): boolean {
  try {
    withFile(path, libc.O_CREAT | libc.O_EXCL | libc.O_WRONLY, mode, (fd) => {
      try {
        writeFd(fd, bytes);
      } catch (error) {
        libc.unlink(path);
        throw error;
      }
    });
    return true;
  } catch (error) {
    if (isErrno(error, "EEXIST")) return false;
    throw error;
  }
}

/**
 * Replaces or creates a file in one step; a reader sees the old text or the new. With `durable` the text is
 * on the disk before the name is: needed only for what must outlive a crash of the machine. A kill in between
 * leaves `temporary`, by default a name that is of this process alone.
 */
export function replaceFile(
  path: string,
  text: string,
  mode: number,
  options: { durable?: boolean; temporary?: string } = {},
): void {
  // Another may be replacing the same file.
  const ownName = () => `${directoryOf(path)}/.${path.slice(path.lastIndexOf("/") + 1)}.${process.pid}.new`;
  const { temporary = ownName() } = options;
  try {
    withFile(temporary, libc.O_CREAT | libc.O_TRUNC | libc.O_WRONLY, mode, (fd) => {
      naming(path, () => writeFd(fd, new TextEncoder().encode(text)));
      if (options.durable) libc.fsync(fd);
    });
    libc.rename(temporary, path);
  } catch (error) {
    removeFile(temporary);
    throw error;
  }
}

/** Longest target of a symbolic link, in bytes with its NUL (linux/limits.h PATH_MAX). */
const PATH_MAX = 4_096;

/** Makes a symbolic link. @returns false, with nothing changed, when the name is taken */
export function createSymlink(target: string, path: string): boolean {
  try {
    libc.symlink(target, path);
    return true;
  } catch (error) {
    if (isErrno(error, "EEXIST")) return false;
    throw error;
  }
}

/** What a symbolic link says; undefined where there is no such link. */
export function findSymlink(path: string): string | undefined {
  return unlessMissing(undefined, () => {
    const target = new Uint8Array(new ArrayBuffer(PATH_MAX));
    return new TextDecoder().decode(target.subarray(0, libc.readlink(path, target)));
  });
}

/** @returns false when there was none */
export function removeFile(path: string): boolean {
  return unlessMissing(false, () => {
    libc.unlink(path);
    return true;
  });
}

/** Makes a directory and those above it, as `mkdir -p` does. */
export function makeDirectory(path: string, mode = 0o755): void {
  try {
    libc.mkdir(path, mode);
  } catch (error) {
    if (isErrno(error, "EEXIST") && (findFile(path)?.isDirectory ?? true)) return;
    if (!isErrno(error, "ENOENT") || directoryOf(path) === path) throw error;
    makeDirectory(directoryOf(path), mode);
    makeDirectory(path, mode);
  }
}

/** Removes an empty directory. @returns false when it is absent or holds something */
export function removeDirectory(path: string): boolean {
  try {
    libc.rmdir(path);
    return true;
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR", "ENOTEMPTY", "EEXIST")) return false;
    throw error;
  }
}

/** The names in a directory, in no order; none when it is absent. */
export function listDirectory(path: string): string[] {
  return unlessMissing([], () =>
    withFile(path, libc.O_RDONLY | libc.O_DIRECTORY, 0, (fd) => {
      const names: string[] = [];
      const decoder = new TextDecoder();
      const records = new Uint8Array(new ArrayBuffer(CHUNK_BYTES));
      for (let length = libc.getdents64(fd, records); length > 0; length = libc.getdents64(fd, records)) {
        // struct linux_dirent64: u64 ino, s64 off, u16 reclen, u8 type, name, NUL
        for (let at = 0; at < length; at += recordLength(records, at)) {
          const end = records.indexOf(0, at + 19);
          const name = decoder.decode(records.subarray(at + 19, end));
          if (name !== "." && name !== "..") names.push(name);
        }
      }
      return names;
    }),
  );
}

function recordLength(records: Uint8Array, at: number): number {
  return (records[at + 16] ?? 0) | ((records[at + 17] ?? 0) << 8);
}

export interface FileStatus {
  /** Device and inode identify a file, also a namespace's. */
  readonly dev: number;
  readonly ino: bigint;
  readonly size: number;
  readonly mode: number;
  readonly isRegular: boolean;
  readonly isDirectory: boolean;
  readonly mtimeNs: bigint;
  /** When inode or content last changed; unlike mtimeNs nobody can set it. */
  readonly ctimeNs: bigint;
}

/** What stat(2) says of a path, links followed; undefined when there is no such file. */
export function findFile(path: string): FileStatus | undefined {
  return unlessMissing(undefined, () => {
    const bytes = new Uint8Array(new ArrayBuffer(256));
    libc.statx(bytes, path);
    return decodeStatus(bytes);
  });
}

/** What fstat(2) says of an open file. */
export function fileStatus(fd: number): FileStatus {
  const bytes = new Uint8Array(new ArrayBuffer(256));
  libc.statx(bytes, fd);
  return decodeStatus(bytes);
}

/** `struct statx` (linux/stat.h). */
function decodeStatus(bytes: Uint8Array): FileStatus {
  const view = new DataView(bytes.buffer);
  const mode = view.getUint16(28, true);
  const timeNs = (at: number) =>
    view.getBigInt64(at, true) * 1_000_000_000n + BigInt(view.getUint32(at + 8, true));
  return {
    dev: view.getUint32(136, true) * 0x10_0000 + view.getUint32(140, true),
    ino: view.getBigUint64(32, true),
    size: Number(view.getBigUint64(40, true)),
    mode: mode & 0o7777,
    isRegular: (mode & 0o170000) === 0o100000,
    isDirectory: (mode & 0o170000) === 0o040000,
    get ctimeNs() {
      return timeNs(96);
    },
    get mtimeNs() {
      return timeNs(112);
    },
  };
}

export function isSameFile(a: FileStatus | undefined, b: FileStatus | undefined): boolean {
  return a !== undefined && b !== undefined && a.dev === b.dev && a.ino === b.ino;
}

/** Sets access and modification time, in nanoseconds since 1970. */
export function setModificationTime(path: string, timeNs: bigint): void {
  const seconds = timeNs / 1_000_000_000n;
  const nanoseconds = timeNs % 1_000_000_000n;
  libc.utimensat(path, new BigInt64Array([seconds, nanoseconds, seconds, nanoseconds]));
}

/** Runs `use` on the opened file and closes it whatever happens. */
function withFile<T>(path: string, flags: number, mode: number, use: (fd: number) => T): T {
  const fd = libc.open(path, flags, mode);
  try {
    return naming(path, () => use(fd));
  } finally {
    libc.close(fd);
  }
}

/** What fails says of which file. */
function naming<T>(path: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    throw isErrno(error) ? error.about(path) : error;
  }
}

function unlessMissing<T>(otherwise: T, look: () => T): T {
  try {
    return look();
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR", "ENAMETOOLONG")) return otherwise;
    throw error;
  }
}

function directoryOf(path: string): string {
  const slash = path.lastIndexOf("/");
  if (slash < 0) return ".";
  return slash === 0 ? "/" : path.slice(0, slash);
}
