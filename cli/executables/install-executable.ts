/**
 * The executable once, and a hard link for each plugin; copies would take 115 MB each.
 *
 * Every name is made beside its place and renamed into it: a call that comes meanwhile finds the old file or
 * the new one, whole, and an executable that is running, which cannot be written to (ETXTBSY), is replaced
 * all the same.
 */
import {
  closeSync,
  constants,
  copyFileSync,
  fchmodSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  symlinkSync,
} from "node:fs";
import { join } from "node:path";

/** The name of the executable itself; the plugins are links to it. */
export const EXECUTABLE = "weft";
const COMPARED_BYTES = 1 << 20;
/** A file that an install left behind when it was killed is removed by one that runs this much later. */
const LEFTOVER_AGE_MS = 3_600_000;

/**
 * Puts `executable` into `directory`, made when absent, and links to it under each of `names`.
 * @returns the names that were not as they should be already
 * @throws Error that says what could not be done and why; what was renamed into place before stays
 */
export function installExecutable(executable: string, directory: string, names: readonly string[]): string[] {
  const installed = join(directory, EXECUTABLE);
  const changed: string[] = [];
  try {
    mkdirSync(directory, { recursive: true });
    removeLeftovers(directory);
    if (!sameContent(executable, installed)) {
      replace(installed, (temporary) => copyDurably(executable, temporary));
      changed.push(EXECUTABLE);
    }
    for (const name of names) {
      if (sameFile(installed, join(directory, name))) continue;
      replace(join(directory, name), (temporary) => linkExecutable(directory, temporary));
      changed.push(name);
    }
    if (changed.length > 0) syncDirectory(directory);
  } catch (error) {
    throw new Error(`Cannot install to "${directory}": ${reasonOf(error)}`, { cause: error });
  }
  return changed;
}

/** Makes a file under a name of its own, then gives it its place in one step. */
function replace(path: string, make: (temporary: string) => void): void {
  const temporary = join(path, "..", `.weft-${crypto.randomUUID()}.new`);
  try {
    make(temporary);
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

/** The content is on the disk before the name is: a crash of the machine leaves no name without content. */
function copyDurably(from: string, to: string): void {
  copyFileSync(from, to, constants.COPYFILE_EXCL);
  const fd = openSync(to, "r");
  try {
    fchmodSync(fd, 0o755);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** A file system without hard links (vfat, some of FUSE) gets symbolic ones; the entry's name is the same. */
function linkExecutable(directory: string, temporary: string): void {
  try {
    linkSync(join(directory, EXECUTABLE), temporary);
  } catch (error) {
    if (!["EPERM", "EOPNOTSUPP", "ENOSYS"].includes(codeOf(error))) throw error;
    symlinkSync(EXECUTABLE, temporary);
  }
}

function removeLeftovers(directory: string): void {
  for (const name of readdirSync(directory)) {
    if (!/^\.weft-.*\.new$/.test(name)) continue;
    const path = join(directory, name);
    if (Date.now() - (findStatus(path)?.mtimeMs ?? 0) > LEFTOVER_AGE_MS) rmSync(path, { force: true });
  }
}

function syncDirectory(directory: string): void {
  const fd = openSync(directory, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function sameFile(path: string, other: string): boolean {
  const [status, otherStatus] = [findStatus(path), findStatus(other)];
  return status !== undefined && status.dev === otherStatus?.dev && status.ino === otherStatus.ino;
}

function sameContent(path: string, other: string): boolean {
  if (sameFile(path, other)) return true;
  const otherStatus = findStatus(other);
  if (!otherStatus?.isFile() || (otherStatus.mode & 0o777) !== 0o755) return false;
  if (statSync(path).size !== otherStatus.size) return false;
  const fds = [openSync(path, "r"), openSync(other, "r")] as const;
  try {
    const chunks = [Buffer.alloc(COMPARED_BYTES), Buffer.alloc(COMPARED_BYTES)] as const;
    for (let at = 0; at < otherStatus.size; at += COMPARED_BYTES) {
      for (const index of [0, 1] as const) readSync(fds[index], chunks[index], 0, COMPARED_BYTES, at);
      if (!chunks[0].equals(chunks[1])) return false;
    }
    return true;
  } finally {
    for (const fd of fds) closeSync(fd);
  }
}

function findStatus(path: string): Stats | undefined {
  return statSync(path, { throwIfNoEntry: false });
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

/** What to do about it, where that is known. */
function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const remedies: Record<string, string> = {
    EACCES: "run as root, or choose a directory of your own",
    EPERM: "run as root, or choose a directory of your own",
    EROFS: "choose a directory that is writable",
    ENOSPC: "the executable needs about 110 MB",
    EISDIR: "a directory has the name of an executable: move it away",
    ENOTDIR: "a part of the path is a file",
    EEXIST: "a part of the path is a file",
  };
  const remedy = remedies[codeOf(error)];
  return remedy ? `${message} (${remedy})` : message;
}
