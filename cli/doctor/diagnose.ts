/** All checks, one after the other, and what they found together. */
import { HostView } from "../inventory/host-view.ts";
import type { Runtime } from "../runtime/plugin-request.ts";
import { checkBridges } from "./checks/bridge.ts";
import { checkForwarding } from "./checks/forwarding.ts";
import { checkInterfaces } from "./checks/interface.ts";
import type { Finding } from "./finding.ts";
import { examine, type Host } from "./host.ts";

/** Errors first, then in the order in which a packet would meet them. */
const CHECKS: readonly ((host: Host) => Finding[])[] = [checkInterfaces, checkBridges, checkForwarding];

/** Looks at the whole host. */
export function diagnose(networksDirectory: string, runtime: Runtime): Finding[] {
  using view = HostView.open(networksDirectory);
  const host = examine(view, runtime);
  const found = CHECKS.flatMap((check) => check(host));
  // What several containers share is seen at each of them.
  const once = new Map(found.map((each) => [`${each.fault} ${each.evidence} ${each.remedy}`, each]));
  const { error = [], warning = [] } = Object.groupBy([...once.values()], ({ severity }) => severity);
  return [...error, ...warning];
}
