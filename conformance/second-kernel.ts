/**
 * Runs conformance files on Debian's own kernel, in a machine that QEMU emulates: it has what this machine's
 * kernel may lack (8021q, ipvlan, vrf, dummy, bonding). The tests see this machine's files, read-only, and
 * nothing of its network.
 *
 * `bun conformance/second-kernel.ts conformance/vlan-device.test.ts`: TAP on stdout, the console on stderr.
 */
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { PassThrough, type Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { UnavailableError } from "./fixtures/debian-package.ts";
import { BUN, PROJECT } from "./fixtures/project.ts";
import { debianKernel, machineCommand, makeInitramfs } from "./second-kernel/machine.ts";
import { TestPoints } from "./second-kernel/test-points.ts";

const BOOT_TIMEOUT_MS = 60_000;
const FILE_TIMEOUT_MS = 600_000;

/** One file's run inside. */
export interface InsideRun {
  file: string;
  /** Its TAP, as it comes. */
  tap: Readable;
  /** The exit status of its process; undefined when the machine stopped before that. */
  status: Promise<number | undefined>;
}

export interface SecondKernel {
  release: string;
  runs: readonly InsideRun[];
  /** Resolves when the machine is off. */
  off: Promise<void>;
}

/**
 * Boots the kernel and starts the files in it, one after the other. Throws UnavailableError when this machine
 * lacks what it takes; its message is a reason to skip.
 */
export async function startSecondKernel(
  files: readonly string[],
  onConsole: (text: string) => void,
): Promise<SecondKernel> {
  const kernel = await debianKernel();
  const work = mkdtempSync(join(tmpdir(), "weft-kernel-"));
  mkdirSync(join(PROJECT, "dist"), { recursive: true });
  const bundles = mkdtempSync(join(PROJECT, "dist", "second-kernel-"));
  const clean = () => {
    for (const folder of [work, bundles]) rmSync(folder, { recursive: true, force: true });
  };
  try {
    const tests = await bundle(files, bundles);
    const nonce = `weft-${process.pid}-${Date.now()}`;
    const node = (await execa("node", ["-p", "process.execPath"])).stdout;
    const initramfs = await makeInitramfs(kernel, work, {
      project: PROJECT,
      modules: kernel.modules,
      node,
      path: process.env["PATH"] ?? "/usr/sbin:/usr/bin",
      nonce,
      tests: tests.join(" "),
      file_timeout: `${FILE_TIMEOUT_MS / 1000}`,
    });
    const socket = join(work, "tap");
    const output = new Output(files, nonce);
    const server = await listen(socket, output);
    const command = machineCommand(kernel, initramfs, socket);
    const timeout = BOOT_TIMEOUT_MS + files.length * FILE_TIMEOUT_MS;
    // it ends with this process, however that ends; and goes first, because it takes longest
    const machine = execa("setpriv", ["--pdeathsig", "KILL", "nice", "-n", "-10", ...command], {
      reject: false,
      timeout,
      buffer: { stdout: false },
      forceKillAfterDelay: 1_000,
    });
    machine.stdout.setEncoding("utf8").on("data", onConsole);
    const off = machine.then(({ exitCode, shortMessage }) => {
      if (exitCode !== 0) onConsole(`${shortMessage}\n`);
      server.close();
      output.end();
      clean();
    });
    return { release: kernel.release, runs: output.runs, off };
  } catch (error) {
    clean();
    throw error;
  }
}

/**
 * Each test as one JavaScript file: a hundred small ones over 9p on an emulated processor are the better part
 * of a run.
 */
async function bundle(files: readonly string[], folder: string): Promise<string[]> {
  const args = [
    "build",
    "--target=node",
    "--sourcemap=linked",
    `--outdir=${folder}`,
    "--entry-naming=[name].[ext]",
  ];
  await execa(BUN, [...args, ...files.map((file) => resolve(file))], { cwd: PROJECT });
  return files.map((file) => join(folder, basename(file).replace(/\.ts$/, ".js")));
}

async function listen(path: string, output: Output): Promise<Server> {
  const server = createServer((socket) => {
    createInterface({ input: socket }).on("line", (line) => output.take(line));
  });
  server.listen(path);
  await once(server, "listening");
  return server;
}

/**
 * What the port "tap" carries: the TAP of one file after the other, between lines that begin with the nonce.
 */
class Output {
  readonly runs: InsideRun[];
  readonly #nonce: string;
  readonly #parts: { tap: PassThrough; finish: (status: number | undefined) => void }[];
  #current = 0;

  constructor(files: readonly string[], nonce: string) {
    this.#nonce = nonce;
    this.#parts = [];
    this.runs = files.map((file) => {
      const tap = new PassThrough();
      const status = new Promise<number | undefined>((finish) => this.#parts.push({ tap, finish }));
      return { file, tap, status };
    });
  }

  take(line: string): void {
    const [nonce, word, number, status] = line.split(" ");
    if (nonce !== this.#nonce) this.#parts[this.#current]?.tap.write(`${line}\n`);
    else if (word === "begin") this.#current = Number(number);
    else this.#finish(Number(number), Number(status));
  }

  /** The machine is off: what has not ended will not. */
  end(): void {
    for (const number of this.#parts.keys()) this.#finish(number, undefined);
  }

  #finish(number: number, status: number | undefined): void {
    this.#parts[number]?.tap.end();
    this.#parts[number]?.finish(status);
  }
}

/**
 * Runs the files inside and writes one TAP stream in which each of their tests is a test, named after its
 * file. Returns an exit status: 0 when all is well, or could not be tried (that is a skip, with the reason).
 */
export async function relay(files: readonly string[], onConsole: (text: string) => void): Promise<number> {
  console.log("TAP version 14");
  // for tap, which would end this sooner
  console.log(`# timeout=${BOOT_TIMEOUT_MS + files.length * FILE_TIMEOUT_MS}`);
  try {
    const { release, runs, off } = await startSecondKernel(files, onConsole);
    console.log(`# Linux ${release}`);
    const points = new TestPoints();
    for (const { file, tap, status } of runs) {
      const before = points.failed;
      const take = (line: string) => {
        for (const text of points.take(line, basename(file))) console.log(text);
      };
      for await (const line of createInterface({ input: tap })) take(line);
      const code = await status;
      // a process that dies when its last test has passed, or before its first, is a failure too
      if (code !== 0 && points.failed === before) {
        take(
          `not ok 1 - ${code === undefined ? "the machine stopped before its end" : `exit status ${code}`}`,
        );
      }
    }
    console.log(`1..${points.count}`);
    await off;
    return points.failed === 0 ? 0 : 1;
  } catch (error) {
    if (!(error instanceof UnavailableError)) throw error;
    console.log(`1..0 # SKIP ${error.message}`);
    return 0;
  }
}

async function main(files: readonly string[]): Promise<number> {
  if (files.length > 0) return relay(files, (text) => process.stderr.write(text));
  console.error("usage: bun conformance/second-kernel.ts <conformance file> …");
  return 2;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = await main(process.argv.slice(2));
