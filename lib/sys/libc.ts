/**
 * The C library: the only importer of bun:ffi, and the one file to replace if that changes.
 *
 * Each function is the call of the same name, checked where it is made: it returns what the call returns or
 * throws an ErrnoError. Calls that a signal interrupted are made again. Arguments are range-checked here,
 * because the boundary truncates integers in silence and a NUL cuts a string short.
 *
 * Buffers are handed over as the typed array itself, never as a pointer taken before (Bun 1.4.5 moves small
 * arrays).
 */
import { dlopen, FFIType, read as memory } from "bun:ffi";
import { ErrnoError, errnoName } from "./errno.ts";

// A bare name that ld.so cannot find is looked up in the working directory; libc.so.6 is always found first.
const { symbols: libc } = dlopen("libc.so.6", {
  __errno_location: { args: [], returns: "ptr" },
  strerror: { args: ["i32"], returns: "cstring" },
  open: { args: ["cstring", "i32", "u32"], returns: "i32" },
  close: { args: ["i32"], returns: "i32" },
  read: { args: ["i32", "ptr", "u64"], returns: FFIType.i64_fast },
  write: { args: ["i32", "ptr", "u64"], returns: FFIType.i64_fast },
  fsync: { args: ["i32"], returns: "i32" },
  ftruncate: { args: ["i32", "i64"], returns: "i32" },
  fchmod: { args: ["i32", "u32"], returns: "i32" },
  statx: { args: ["i32", "cstring", "i32", "u32", "ptr"], returns: "i32" },
  rename: { args: ["cstring", "cstring"], returns: "i32" },
  link: { args: ["cstring", "cstring"], returns: "i32" },
  linkat: { args: ["i32", "cstring", "i32", "cstring", "i32"], returns: "i32" },
  symlink: { args: ["cstring", "cstring"], returns: "i32" },
  readlink: { args: ["cstring", "ptr", "u64"], returns: FFIType.i64_fast },
  unlink: { args: ["cstring"], returns: "i32" },
  mkdir: { args: ["cstring", "u32"], returns: "i32" },
  rmdir: { args: ["cstring"], returns: "i32" },
  getdents64: { args: ["i32", "ptr", "u64"], returns: FFIType.i64_fast },
  utimensat: { args: ["i32", "cstring", "ptr", "i32"], returns: "i32" },
  flock: { args: ["i32", "i32"], returns: "i32" },
  ppoll: { args: ["ptr", "u64", "ptr", "ptr"], returns: "i32" },
  clock_gettime: { args: ["i32", "ptr"], returns: "i32" },
  setns: { args: ["i32", "i32"], returns: "i32" },
  prctl: { args: ["i32", "u64", "u64", "u64", "u64"], returns: "i32" },
  ioctl: { args: ["i32", "u64", "ptr"], returns: "i32" }, // "ptr" takes a number as it is, too
  socket: { args: ["i32", "i32", "i32"], returns: "i32" },
  bind: { args: ["i32", "ptr", "u32"], returns: "i32" },
  connect: { args: ["i32", "ptr", "u32"], returns: "i32" },
  setsockopt: { args: ["i32", "i32", "i32", "ptr", "u32"], returns: "i32" },
  send: { args: ["i32", "ptr", "u64", "i32"], returns: FFIType.i64_fast },
  recvfrom: { args: ["i32", "ptr", "u64", "i32", "ptr", "ptr"], returns: FFIType.i64_fast },
  getsockname: { args: ["i32", "ptr", "ptr"], returns: "i32" },
});

const errnoLocation = libc.__errno_location();
if (errnoLocation === null) throw new Error("Cannot find errno: __errno_location() returned NULL");
const errnoPointer = errnoLocation;

const EINTR = 4;

/** The C library's sentence for an errno, first letter lowered as Go prints it. */
export function errnoText(errno: number): string {
  const text = String(libc.strerror(errno));
  return text.charAt(0).toLowerCase() + text.slice(1);
}

function fail(call: string, errno: number, subject?: string): never {
  throw new ErrnoError(call, errno, { text: `${errnoName(errno)} (${errnoText(errno)})`, subject });
}

/** Makes the call, again if a signal interrupted it; errno is read before anything else can run. */
function check(call: string, subject: string | undefined, make: () => number | bigint): number {
  for (;;) {
    const result = Number(make());
    if (result >= 0) return result;
    const errno = memory.i32(errnoPointer, 0);
    if (errno !== EINTR) fail(call, errno, subject);
  }
}

function checkPath(path: string): string {
  if (path.includes("\0"))
    throw new RangeError(`Cannot use ${JSON.stringify(path)} as a path: it holds a NUL`);
  return path;
}

function checkU32(value: number, name: string): number {
  if (!Number.isInteger(value) || value < 0 || value > 0xffff_ffff) {
    throw new RangeError(`Cannot pass ${value} as ${name}: not an unsigned 32-bit number`);
  }
  return value;
}

// fcntl.h
export const O_RDONLY = 0;
export const O_WRONLY = 1;
export const O_RDWR = 2;
export const O_CREAT = 0o100;
export const O_EXCL = 0o200;
export const O_TRUNC = 0o1000;
export const O_NONBLOCK = 0o4000;
export const O_CLOEXEC = 0o2000000;
export const O_DIRECTORY = process.arch === "arm64" ? 0o40000 : 0o200000;
export const O_TMPFILE = 0o20000000 | O_DIRECTORY;
const AT_FDCWD = -100;
const AT_EMPTY_PATH = 0x1000;
const AT_SYMLINK_FOLLOW = 0x400;

/** @returns a file descriptor, closed on exec */
export function open(path: string, flags: number, mode = 0): number {
  const name = checkPath(path);
  return check("open", path, () => libc.open(name, flags | O_CLOEXEC, checkU32(mode, "mode")));
}

export function close(fd: number): void {
  if (libc.close(fd) === 0) return;
  const errno = memory.i32(errnoPointer, 0);
  // Not made again after EINTR: Linux has released the descriptor by then (close(2)).
  if (errno !== EINTR) fail("close", errno);
}

/** @returns bytes read; 0 at the end */
export function read(fd: number, into: Uint8Array): number {
  return check("read", undefined, () => libc.read(fd, into, into.length));
}

/** @returns bytes written, possibly fewer than given */
export function write(fd: number, bytes: Uint8Array): number {
  return check("write", undefined, () => libc.write(fd, bytes, bytes.length));
}

export function fsync(fd: number): void {
  check("fsync", undefined, () => libc.fsync(fd));
}

/** Cuts a file off at `length` bytes. */
export function ftruncate(fd: number, length: number): void {
  check("ftruncate", undefined, () => libc.ftruncate(fd, checkU32(length, "length")));
}

/** Sets the mode whatever the umask. */
export function fchmod(fd: number, mode: number): void {
  check("fchmod", undefined, () => libc.fchmod(fd, checkU32(mode, "mode")));
}

const STATX_BASIC_STATS = 0x7ff;

/** Fills a `struct statx` (linux/stat.h, 256 bytes) for a path, or for an open descriptor. */
export function statx(into: Uint8Array, of: string | number): void {
  const [fd, path, flags] = typeof of === "string" ? [AT_FDCWD, checkPath(of), 0] : [of, "", AT_EMPTY_PATH];
  check("statx", path, () => libc.statx(fd, path, flags, STATX_BASIC_STATS, into));
}

export function rename(from: string, to: string): void {
  check("rename", to, () => libc.rename(checkPath(from), checkPath(to)));
}

export function link(from: string, to: string): void {
  check("link", to, () => libc.link(checkPath(from), checkPath(to)));
}

/**
 * Gives a file opened with O_TMPFILE its name (open(2), "O_TMPFILE"). Fails with EEXIST when the name is
 * taken.
 */
export function linkDescriptor(fd: number, to: string): void {
  const from = `/proc/self/fd/${fd}`;
  check("linkat", to, () => libc.linkat(AT_FDCWD, from, AT_FDCWD, checkPath(to), AT_SYMLINK_FOLLOW));
}

/** Fails with EEXIST when the name is taken, also by a link that leads nowhere. */
export function symlink(target: string, path: string): void {
  check("symlink", path, () => libc.symlink(checkPath(target), checkPath(path)));
}

/** @returns bytes of the target, cut where `into` ends */
export function readlink(path: string, into: Uint8Array): number {
  return check("readlink", path, () => libc.readlink(checkPath(path), into, into.length));
}

export function unlink(path: string): void {
  check("unlink", path, () => libc.unlink(checkPath(path)));
}

export function mkdir(path: string, mode: number): void {
  check("mkdir", path, () => libc.mkdir(checkPath(path), checkU32(mode, "mode")));
}

export function rmdir(path: string): void {
  check("rmdir", path, () => libc.rmdir(checkPath(path)));
}

/** @returns bytes of `struct linux_dirent64` records; 0 at the end */
export function getdents64(fd: number, into: Uint8Array): number {
  return check("getdents64", undefined, () => libc.getdents64(fd, into, into.length));
}

/** @param times two `struct timespec`: access, modification */
export function utimensat(path: string, times: BigInt64Array): void {
  check("utimensat", path, () => libc.utimensat(AT_FDCWD, checkPath(path), times, 0));
}

export const LOCK_SH = 1;
export const LOCK_EX = 2;
export const LOCK_NB = 4;

export function flock(fd: number, operation: number): void {
  check("flock", undefined, () => libc.flock(fd, operation));
}

export const POLLIN = 1;
export const POLLOUT = 4;

/**
 * Waits until a descriptor is ready. Without one (-1) it is a plain wait. A signal does not prolong it. Not
 * poll(2), whose whole milliseconds are up to one too many.
 * @returns whether it became ready in time
 */
export function ppoll(fd: number, events: number, timeoutMs: number): boolean {
  if (!(timeoutMs <= 0x7fff_ffff)) throw new RangeError(`Cannot wait ${timeoutMs} ms`);
  const set = new Int32Array([fd, events]); // struct pollfd: int fd; short events, revents
  const deadline = performance.now() + timeoutMs;
  const wait = () => {
    const rest = timespec(Math.max(0, deadline - performance.now()));
    return libc.ppoll(set, fd < 0 ? 0 : 1, rest, null);
  };
  return check("ppoll", undefined, wait) > 0;
}

/** struct timespec: long seconds, nanoseconds. Rounded up. */
function timespec(ms: number): BigInt64Array {
  const ns = Math.ceil(1e6 * ms);
  return new BigInt64Array([BigInt(Math.floor(ns / 1e9)), BigInt(ns % 1e9)]);
}

export const CLOCK_REALTIME = 0;
export const CLOCK_BOOTTIME = 7;

/** @returns nanoseconds */
export function clockGettime(clock: number): bigint {
  const time = new BigInt64Array(2);
  check("clock_gettime", undefined, () => libc.clock_gettime(clock, time));
  return (time[0] ?? 0n) * 1_000_000_000n + (time[1] ?? 0n);
}

export const CLONE_NEWNET = 0x4000_0000;

/** Moves this thread into the namespace. JavaScript runs on the process's main thread. */
export function setns(fd: number, kind: number): void {
  check("setns", undefined, () => libc.setns(fd, kind));
}

const PR_SET_PDEATHSIG = 1;
const SIGKILL = 9;

/** Has the kernel kill this process when its parent dies; one that is dead already has no say. */
export function dieWithParent(): void {
  check("prctl", undefined, () => libc.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0));
}

/**
 * @param argument a number, or the struct that the request reads and fills in
 * @returns the request's own result
 */
export function ioctl(fd: number, request: number, argument: number | Uint8Array = 0): number {
  if (typeof argument === "number") checkU32(argument, "argument");
  // A number goes as it is; the declaration of bun:ffi knows only those that came from ptr().
  const passed = argument as Uint8Array;
  return check("ioctl", undefined, () => libc.ioctl(fd, checkU32(request, "request"), passed));
}

/** @returns a socket, closed on exec */
export function socket(domain: number, type: number, protocol: number): number {
  const SOCK_CLOEXEC = O_CLOEXEC;
  return check("socket", undefined, () => libc.socket(domain, type | SOCK_CLOEXEC, protocol));
}

export function bind(fd: number, address: Uint8Array): void {
  check("bind", undefined, () => libc.bind(fd, address, address.length));
}

export function connect(fd: number, address: Uint8Array): void {
  check("connect", undefined, () => libc.connect(fd, address, address.length));
}

export function setsockopt(fd: number, option: { level: number; name: number }, value: Uint8Array): void {
  check("setsockopt", undefined, () => libc.setsockopt(fd, option.level, option.name, value, value.length));
}

export function send(fd: number, bytes: Uint8Array): void {
  const sent = check("send", undefined, () => libc.send(fd, bytes, bytes.length, 0));
  if (sent !== bytes.length)
    throw new Error(`send: ${sent} of ${bytes.length} bytes taken by a datagram socket`);
}

const MSG_TRUNC = 0x20;

/**
 * Receives a datagram and the address of its sender, a struct sockaddr.
 * @returns the datagram's whole length, which is above `into.length` when it did not fit
 */
export function recvfrom(fd: number, into: Uint8Array, sender: Uint8Array): number {
  const senderLength = new Uint32Array(1);
  return check("recvfrom", undefined, () => {
    senderLength[0] = sender.length;
    return libc.recvfrom(fd, into, into.length, MSG_TRUNC, sender, senderLength);
  });
}

const MSG_DONTWAIT = 0x40;
const EAGAIN = 11;

/**
 * As recvfrom(), without waiting and without throwing where there is nothing: for who looks often.
 * @returns undefined when nothing has come
 */
export function receiveNow(fd: number, into: Uint8Array, sender: Uint8Array): number | undefined {
  const senderLength = new Uint32Array([sender.length]);
  const length = Number(libc.recvfrom(fd, into, into.length, MSG_TRUNC | MSG_DONTWAIT, sender, senderLength));
  if (length >= 0) return length;
  const errno = memory.i32(errnoPointer, 0);
  if (errno === EAGAIN || errno === EINTR) return undefined;
  fail("recvfrom", errno);
}

/** Fills in the address the socket is bound to, a struct sockaddr. */
export function getsockname(fd: number, into: Uint8Array): void {
  const length = new Uint32Array([into.length]);
  check("getsockname", undefined, () => libc.getsockname(fd, into, length));
}

let rare: ReturnType<typeof openRare> | undefined;

/** What the tool alone needs: a plugin would pay for each symbol at its start. */
function openRare() {
  return dlopen("libc.so.6", {
    getsockopt: { args: ["i32", "i32", "i32", "ptr", "ptr"], returns: "i32" },
  }).symbols;
}

/** Fills in the value of an option, part of which may be a question. @returns its length */
export function getsockopt(fd: number, option: { level: number; name: number }, into: Uint8Array): number {
  rare ??= openRare();
  const { getsockopt: call } = rare;
  const length = new Uint32Array([into.length]);
  check("getsockopt", undefined, () => call(fd, option.level, option.name, into, length));
  return length[0] ?? 0;
}
