/** Whose a plugin's executable is, and of which version. */
import { closeSync, openSync, readSync } from "node:fs";
import { isThisExecutable } from "./own-plugins.ts";

/** Of an ELF file that Bun has compiled, the section that holds the program. */
const BUN_SECTION = ".bun";
const TIMEOUT_MS = 10_000;
const ELF_MAGIC = 0x7f454c46;
const HEADER_BYTES = 64;

export type Maker = "weft" | "another";

/** Weft's is this executable, one beside a "weft" that it is a link to, or one that was compiled like it. */
export function makerOf(file: string): Maker {
  return isThisExecutable(file) || sectionNames(file).includes(BUN_SECTION) ? "weft" : "another";
}

/** The version that a plugin tells of itself without a command; undefined where it tells none. */
export function versionOf(file: string): string | undefined {
  const { CNI_COMMAND: _, ...env } = process.env;
  const child = Bun.spawnSync({
    cmd: [file],
    env,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: TIMEOUT_MS,
  });
  return /^CNI \S+ plugin v(\S+)/m.exec(String(child.stderr))?.[1];
}

/** Names of the sections of an ELF file of 64 bits; none of anything else. elf(5) */
function sectionNames(file: string): string[] {
  const fd = openSync(file, "r");
  try {
    const read = (length: number, at: number) => {
      const bytes = new DataView(new ArrayBuffer(length));
      return readSync(fd, bytes, 0, length, at) === length ? bytes : undefined;
    };
    const header = read(HEADER_BYTES, 0);
    if (header?.getUint32(0) !== ELF_MAGIC) return [];
    const [start, entryBytes, count, namesIndex] = [
      Number(header.getBigUint64(40, true)), // e_shoff
      header.getUint16(58, true), // e_shentsize
      header.getUint16(60, true), // e_shnum
      header.getUint16(62, true), // e_shstrndx
    ];
    const table = read(entryBytes * count, start);
    if (!table) return [];
    const at = namesIndex * entryBytes;
    const names = read(Number(table.getBigUint64(at + 32, true)), Number(table.getBigUint64(at + 24, true)));
    return names ? new TextDecoder().decode(names).split("\0") : [];
  } finally {
    closeSync(fd);
  }
}
