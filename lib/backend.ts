/** Which of the kernel's two packet filters a plugin writes its rules to. */
import { CniError } from "./cni/error.ts";
import { dropsForwarded, hasLegacyTable, hasNftables } from "./iptables/kernel-tables.ts";
import { hasPrograms, hasProgramsNamed, runProgram } from "./iptables/program.ts";
import { findVariants } from "./iptables/variant.ts";
import type { Family } from "./netaddr/address.ts";

export type Backend = "nftables" | "iptables";

/** As a configuration has it; without one it is "auto". */
export type AskedBackend = Backend | "auto";

/**
 * What was asked for; with "auto" nftables, where the kernel has it. With `needsForwardAccept` iptables
 * comes first on a host where its FORWARD drops what nobody accepts: a packet has to pass both,
 * and no table beside can accept for iptables'.
 * @throws CniError 50 when neither can be used
 */
export function chooseBackend(
  asked: AskedBackend | undefined,
  { needsForwardAccept }: { needsForwardAccept: boolean },
): Backend {
  if (asked && asked !== "auto") return asked;
  const nftables = hasNftables();
  if (nftables && !(needsForwardAccept && ([4, 6] as const).some(dropsForwardedInEither))) return "nftables";
  if (nftables || hasPrograms(4) || hasPrograms(6)) return "iptables"; // its absence is then said by name
  throw new CniError(CniError.NOT_AVAILABLE, "this host has no packet filter that can be used", {
    details:
      "the kernel has no nf_tables (CONFIG_NF_TABLES, module nf_tables), and there is no iptables-save " +
      "and iptables-restore: load the module, or install iptables",
  });
}

/** @throws CniError 50 unless the host has what the backend needs */
export function checkBackendAvailable(backend: Backend): void {
  if (backend === "nftables" ? hasNftables() : hasPrograms(4) || hasPrograms(6)) return;
  const cure = backend === "nftables" ? "load nf_tables" : "install iptables";
  const details = `choose another backend, or ${cure}`;
  throw new CniError(CniError.NOT_AVAILABLE, `this host has no ${backend}`, { details });
}

function dropsForwardedInEither(family: Family): boolean {
  return dropsForwarded(family) || (hasLegacyTable(family, "filter") && legacyDropsForwarded(family));
}

/** Of the legacy variant, by its own program. */
function legacyDropsForwarded(family: Family): boolean {
  const legacy = findVariants(family, ["filter"]).find(({ kind }) => kind === "legacy");
  if (!legacy || !hasProgramsNamed(legacy.name)) return false;
  return runProgram(`${legacy.name}-save`, ["-t", "filter"]).stdout.includes("\n:FORWARD DROP ");
}
