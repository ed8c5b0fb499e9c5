/** A finding: a fault that a check saw on this host, with what shows it and what mends it. */
import { type ShellCommand, shell } from "../terminal/shell.ts";
import { FAULTS, type FaultId, type Severity } from "./faults.ts";

export interface Finding {
  readonly fault: FaultId;
  readonly title: string;
  /** What it is about: an interface, a network, a container. */
  readonly subject: string;
  /** What the kernel or a file says. */
  readonly evidence: string;
  readonly remedy: ShellCommand;
  /** Whether `--fix` runs it. */
  readonly isSafe: boolean;
  readonly severity: Severity;
}

type Details = Pick<Finding, "subject" | "evidence" | "remedy"> & { readonly isSafe?: boolean };

/** @param details isSafe as the fault has it, unless given */
export function finding(fault: FaultId, details: Details): Finding {
  return { fault, ...FAULTS[fault], ...details };
}

/** The remedy where somebody has to change a file. */
export function editing(file: string): ShellCommand {
  return shell`\${EDITOR:-vi} ${file}`;
}
