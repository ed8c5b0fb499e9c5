/**
 * A program, started and timed: from posix_spawn(3) to the return of wait4(2), with nothing in between.
 *
 * posix_spawn starts it as vfork(2) does, so that the size of this process does not matter;
 * Bun.spawnSync() takes up to a millisecond of its own, which would draw every ratio towards 1. Its
 * stdin is in the pipe before it starts, and what it prints stays in a pipe until it has ended.
 */
import { dlopen, FFIType, ptr } from "bun:ffi";

const { symbols: libc } = dlopen("libc.so.6", {
  posix_spawn: { args: ["ptr", "cstring", "ptr", "ptr", "u64", "u64"], returns: "i32" },
  posix_spawn_file_actions_init: { args: ["ptr"], returns: "i32" },
  posix_spawn_file_actions_adddup2: { args: ["ptr", "i32", "i32"], returns: "i32" },
  posix_spawn_file_actions_destroy: { args: ["ptr"], returns: "i32" },
  wait4: { args: ["i32", "ptr", "i32", "ptr"], returns: "i32" },
  pipe2: { args: ["ptr", "i32"], returns: "i32" },
  fcntl: { args: ["i32", "i32", "i32"], returns: "i32" },
  read: { args: ["i32", "ptr", "u64"], returns: FFIType.i64_fast },
  write: { args: ["i32", "ptr", "u64"], returns: FFIType.i64_fast },
  close: { args: ["i32"], returns: "i32" },
});

const O_CLOEXEC = 0o2000000;
const F_SETPIPE_SZ = 1031;
/** The least a pipe can hold (pipe(7)). */
const PIPE_BYTES_MIN = 4_096;
/** What a pipe holds unless told otherwise: more than a plugin is given, or prints. */
const PIPE_BYTES = 65_536;
/** Above sizeof(posix_spawn_file_actions_t) and sizeof(struct rusage) of any C library. */
const STRUCT_BYTES = 256;

export interface Outcome {
  /** Wall time. */
  readonly durationNs: number;
  /** Time on processors: of all its threads, and of the programs that it ran and waited for. */
  readonly cpuNs: number;
  /** Exit status; above 255 when a signal ended it. */
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A file and the variables it is run with, laid out once as posix_spawn wants them. */
export class Program {
  readonly file: string;
  /** Every string and both lists of pointers. One explicit buffer, because Bun moves small ones. */
  readonly #memory: ArrayBuffer;
  readonly #argv: number;
  readonly #envp: number;

  constructor(file: string, environment: Readonly<Record<string, string>> = {}) {
    this.file = file;
    const strings = [file, ...Object.entries(environment).map(([name, value]) => `${name}=${value}`)];
    const texts = strings.map((text) => new TextEncoder().encode(`${text}\0`));
    const listBytes = 8 * (strings.length + 2); // argv: the file, NULL; envp: the variables, NULL
    this.#memory = new ArrayBuffer(texts.reduce((sum, { length }) => sum + length, listBytes));
    const address = ptr(this.#memory);
    const bytes = new Uint8Array(this.#memory);
    const pointers = new BigUint64Array(this.#memory, 0, strings.length + 2);
    let at = listBytes;
    for (const [index, text] of texts.entries()) {
      bytes.set(text, at);
      pointers[index === 0 ? 0 : index + 1] = BigInt(address + at);
      at += text.length;
    }
    this.#argv = address;
    this.#envp = address + 16;
  }

  /** Runs it to its end. */
  run(stdin: string): Outcome {
    return this.start(stdin).finish();
  }

  /** Starts it. With `blocked` it stops when it prints, until finish() is called. */
  start(stdin: string, options: { blocked?: boolean } = {}): Running {
    const [input, output, errors] = [pipe(), pipe(), pipe()];
    write(input.end, new TextEncoder().encode(stdin));
    libc.close(input.end);
    if (options.blocked) {
      check("fcntl", libc.fcntl(output.end, F_SETPIPE_SZ, PIPE_BYTES_MIN));
      write(output.end, new Uint8Array(PIPE_BYTES_MIN));
    }
    const actions = new Uint8Array(new ArrayBuffer(STRUCT_BYTES));
    libc.posix_spawn_file_actions_init(actions);
    for (const [fd, target] of [input.start, output.end, errors.end].entries()) {
      libc.posix_spawn_file_actions_adddup2(actions, target, fd);
    }
    const pid = new Int32Array(new ArrayBuffer(4));

    const startNs = Bun.nanoseconds();
    const failure = libc.posix_spawn(pid, this.file, actions, null, this.#argv, this.#envp);
    if (failure !== 0) throw new Error(`Cannot run ${this.file}: errno ${failure}`);
    return new Running(pid[0] ?? 0, startNs, {
      output: output.start,
      errors: errors.start,
      padding: options.blocked ? PIPE_BYTES_MIN : 0,
      close() {
        libc.posix_spawn_file_actions_destroy(actions);
        for (const fd of [input.start, output.end, errors.end]) libc.close(fd);
      },
    });
  }
}

interface Ends {
  readonly output: number;
  readonly errors: number;
  /** Bytes that filled its stdout before it began. */
  readonly padding: number;
  close(): void;
}

/** A program that runs. */
export class Running {
  readonly pid: number;
  readonly #startNs: number;
  readonly #ends: Ends;

  constructor(pid: number, startNs: number, ends: Ends) {
    this.pid = pid;
    this.#startNs = startNs;
    this.#ends = ends;
  }

  /** Waits for its end. */
  finish(): Outcome {
    const { output, errors, padding } = this.#ends;
    for (let left = padding; left > 0; ) left -= read(output, new Uint8Array(left)).length;
    const status = new Int32Array(new ArrayBuffer(4));
    const usage = new BigInt64Array(new ArrayBuffer(STRUCT_BYTES));
    libc.wait4(this.pid, status, 0, usage);
    const durationNs = Bun.nanoseconds() - this.#startNs;
    this.#ends.close();
    const code = status[0] ?? 0;
    return {
      durationNs,
      cpuNs: cpuTimeNs(usage),
      status: code & 0x7f ? 256 + (code & 0x7f) : code >> 8,
      stdout: readAll(output),
      stderr: readAll(errors),
    };
  }
}

/** `struct rusage` (getrusage(2)) begins with two struct timeval: time in user mode, time in the kernel. */
function cpuTimeNs(usage: BigInt64Array): number {
  const [userS = 0n, userUs = 0n, systemS = 0n, systemUs = 0n] = usage;
  return Number((userS + systemS) * 1_000_000_000n + (userUs + systemUs) * 1_000n);
}

interface Pipe {
  readonly start: number;
  readonly end: number;
}

function pipe(): Pipe {
  const fds = new Int32Array(new ArrayBuffer(8));
  check("pipe2", libc.pipe2(fds, O_CLOEXEC));
  return { start: fds[0] ?? -1, end: fds[1] ?? -1 };
}

function write(fd: number, bytes: Uint8Array): void {
  if (bytes.length > PIPE_BYTES) throw new RangeError(`Cannot put ${bytes.length} bytes into a pipe at once`);
  if (bytes.length > 0) check("write", Number(libc.write(fd, bytes, bytes.length)));
}

function read(fd: number, into: Uint8Array): Uint8Array {
  return into.subarray(0, check("read", Number(libc.read(fd, into, into.length))));
}

function readAll(fd: number): string {
  const chunks: Uint8Array[] = [];
  for (;;) {
    const chunk = read(fd, new Uint8Array(PIPE_BYTES));
    if (chunk.length === 0) break;
    chunks.push(chunk);
  }
  libc.close(fd);
  return Buffer.concat(chunks).toString();
}

function check(call: string, result: number): number {
  if (result < 0) throw new Error(`${call} failed`);
  return result;
}
