/** Whether a program can be run at all, told before anything is made for it: what execvp(3) would find. */
import { accessSync, constants, statSync } from "node:fs";
import { join } from "node:path";

export interface ProgramFault {
  /** As a shell has it. */
  readonly exitCode: 126 | 127;
  readonly message: string;
}

/** @param path the variable PATH */
export function faultOfProgram(name: string, path: string): ProgramFault | undefined {
  const places = name.includes("/") ? [name] : path.split(":").map((folder) => join(folder || ".", name));
  const files = name === "" ? [] : places.filter(isThere);
  if (files.some(isExecutable)) return undefined;
  if (files.length === 0) return { exitCode: 127, message: `${name || '""'}: not found` };
  return { exitCode: 126, message: `${name}: is there, but is no program that may be run` };
}

function isThere(file: string): boolean {
  try {
    return statSync(file) !== undefined;
  } catch {
    return false;
  }
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}
