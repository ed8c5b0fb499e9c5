/** All checks, one after the other, and what they found together. */
import type { Address } from "../../lib/netaddr/address.ts";
import { HostView } from "../inventory/host-view.ts";
import type { Runtime } from "../runtime/plugin-request.ts";
import { checkAddresses } from "./checks/addresses.ts";
import { checkAttachments } from "./checks/attachment.ts";
import { checkBridges } from "./checks/bridge.ts";
import { checkForward } from "./checks/forward.ts";
import { checkForwarding } from "./checks/forwarding.ts";
import { checkInterfaces } from "./checks/interface.ts";
import { checkLeases } from "./checks/leases.ts";
import { checkLeftovers } from "./checks/leftovers.ts";
import { checkLimits } from "./checks/limits.ts";
import { checkManagers } from "./checks/managers.ts";
import { checkMtu } from "./checks/mtu.ts";
import { checkNeighbours } from "./checks/neighbours.ts";
import { checkPlugins } from "./checks/plugins.ts";
import { checkPublishing } from "./checks/publish.ts";
import { checkReach } from "./checks/reach.ts";
import { checkRules } from "./checks/rules.ts";
import { checkSubnets } from "./checks/subnets.ts";
import { checkUnderlay } from "./checks/underlay.ts";
import type { Finding } from "./finding.ts";
import { examine, type Host } from "./host.ts";
import { loadOwnPlugins } from "./own-plugins.ts";
import { followWays } from "./ways.ts";

export interface Look {
  readonly networksDirectory: string;
  readonly runtime: Runtime;
  /** Where paths are probed to, beside gateways. */
  readonly probed: readonly Address[];
}

/** Looks at the whole host. Errors come first, then in the order in which a packet would meet them. */
export async function diagnose({ networksDirectory, runtime, probed }: Look): Promise<Finding[]> {
  using view = HostView.open(networksDirectory);
  const host = examine(view, runtime);
  const lists = host.attachments.flatMap(({ list }) => list ?? []);
  const own = await loadOwnPlugins([...view.networks, ...lists]);
  const ways = followWays(host);
  const checks: readonly ((host: Host) => Finding[])[] = [
    checkInterfaces,
    checkBridges,
    checkAddresses,
    checkNeighbours,
    checkForwarding,
    (host) => checkForward(host, ways),
    checkRules,
    checkPublishing,
    (host) => checkMtu(host, { probed }),
    checkSubnets,
    checkLeases,
    checkUnderlay,
    checkLimits,
    checkManagers,
    checkLeftovers,
  ];
  const found = checks.flatMap((check) => check(host));
  found.push(...checkReach(host, ways, found));
  found.push(...checkPlugins(host, own, found), ...checkAttachments(host, own, found));
  const { error = [], warning = [] } = Object.groupBy(merged(found), ({ severity }) => severity);
  return [...error, ...warning];
}

/** What several containers share is seen at each of them, and told once. */
function merged(found: readonly Finding[]): Finding[] {
  const groups = Map.groupBy(found, ({ fault, evidence, remedy }) =>
    JSON.stringify([fault, evidence, remedy]),
  );
  return [...groups.values()].flatMap(([first, ...others]) => {
    if (!first) return [];
    const more = new Set([first, ...others].map(({ subject }) => subject)).size - 1;
    return more === 0 ? first : { ...first, subject: `${first.subject} and ${more} more` };
  });
}
