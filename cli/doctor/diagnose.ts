/** All checks, one after the other, and what they found together. */
import type { Address } from "../../lib/netaddr/address.ts";
import { HostView } from "../inventory/host-view.ts";
import type { Runtime } from "../runtime/plugin-request.ts";
import { checkAddresses } from "./checks/addresses.ts";
import { checkBridges } from "./checks/bridge.ts";
import { checkForwarding } from "./checks/forwarding.ts";
import { checkInterfaces } from "./checks/interface.ts";
import { checkLimits } from "./checks/limits.ts";
import { checkMtu } from "./checks/mtu.ts";
import { checkPublishing } from "./checks/publish.ts";
import { checkRules } from "./checks/rules.ts";
import { checkSubnets } from "./checks/subnets.ts";
import type { Finding } from "./finding.ts";
import { examine, type Host } from "./host.ts";

export interface Look {
  readonly networksDirectory: string;
  readonly runtime: Runtime;
  /** Where paths are probed to, beside gateways. */
  readonly probed: readonly Address[];
}

/** Looks at the whole host. Errors come first, then in the order in which a packet would meet them. */
export function diagnose({ networksDirectory, runtime, probed }: Look): Finding[] {
  const checks: readonly ((host: Host) => Finding[])[] = [
    checkInterfaces,
    checkBridges,
    checkAddresses,
    checkForwarding,
    checkRules,
    checkPublishing,
    (host) => checkMtu(host, { probed }),
    checkSubnets,
    checkLimits,
  ];
  using view = HostView.open(networksDirectory);
  const host = examine(view, runtime);
  const found = checks.flatMap((check) => check(host));
  // What several containers share is seen at each of them.
  const once = new Map(found.map((each) => [`${each.fault} ${each.evidence} ${each.remedy}`, each]));
  const { error = [], warning = [] } = Object.groupBy([...once.values()], ({ severity }) => severity);
  return [...error, ...warning];
}
