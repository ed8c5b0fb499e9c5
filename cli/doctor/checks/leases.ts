/** host-local's leases of the addresses that containers have: one without is given out again. */
import { readHolder } from "../../../lib/ipam/lease-file.ts";
import { findRange } from "../../../lib/ipam/ranges.ts";
import { formatAddress } from "../../../lib/netaddr/address.ts";
import { leaseDirectories } from "../../networks/leases.ts";
import { rangeSetsOf } from "../../networks/occupied.ts";
import { allOf, shell } from "../../terminal/shell.ts";
import { type Finding, finding } from "../finding.ts";
import { type Attached, type Host, nameOf, promisedAddresses } from "../host.ts";

export function checkLeases({ attachments }: Host): Finding[] {
  return attachments.filter(({ inside }) => inside).flatMap(leasesMissing);
}

function leasesMissing(attached: Attached): Finding[] {
  const { list, containerId, ifname } = attached;
  const [directory] = list ? leaseDirectories(list) : [];
  if (!list || directory === undefined) return [];
  const sets = list.plugins.flatMap(rangeSetsOf);
  return promisedAddresses(attached).flatMap(({ address: { address } }) => {
    if (!sets.some((set) => findRange(set, address))) return [];
    const name = formatAddress(address);
    const holder = readHolder(directory, name);
    if (holder?.containerId === containerId && (holder.ifname === ifname || holder.ifname === "")) return [];
    const evidence = holder
      ? `${directory}/${name} says that ${name} is leased to ${holder.containerId} ${holder.ifname}`
      : `there is no ${directory}/${name}`;
    const remedy = allOf(
      shell`mkdir -p ${directory}`,
      shell`printf '%s\\r\\n%s' ${containerId} ${ifname} > ${directory}/${name}`,
    );
    return finding("lease-missing", { subject: nameOf(attached), evidence, remedy, isSafe: !holder });
  });
}
