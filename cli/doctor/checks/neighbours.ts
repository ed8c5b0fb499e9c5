/** What containers remember of this host: the MAC of their gateway. */
import { formatAddress, sameAddress } from "../../../lib/netaddr/address.ts";
import { formatMac } from "../../../lib/netaddr/mac.ts";
import { NUD_PERMANENT } from "../../../lib/rtnetlink/neighbour.ts";
import { shell } from "../../terminal/shell.ts";
import { compareBytes } from "../../trace/filter/known-bytes.ts";
import { type Finding, finding } from "../finding.ts";
import { type Attached, type Host, hostSideOf, inContainer, nameOf } from "../host.ts";

export function checkNeighbours(host: Host): Finding[] {
  return host.attachments.flatMap((attached) => gatewaysWrong(host, attached));
}

/** What is not permanent the container's kernel asks for again, as after a change of the bridge's MAC. */
function gatewaysWrong(host: Host, attached: Attached): Finding[] {
  const { inside } = attached;
  const side = hostSideOf(host, attached);
  if (!inside || !side) return [];
  const own = host.stack.addressesOf(side).map(({ prefix }) => prefix.address);
  return inside.stack.neighbours
    .filter(
      ({ ifindex, mac, state }) =>
        ifindex === inside.link.index && mac.length === 6 && (state & NUD_PERMANENT) !== 0,
    )
    .filter(({ address }) => own.some((each) => sameAddress(each, address)))
    .filter(({ mac }) => compareBytes(mac, side.mac) !== 0)
    .map(({ address, mac }) => {
      const text = formatAddress(address);
      const evidence = `it sends what is for ${text} to ${formatMac(mac)}, and that of ${side.name} is ${formatMac(side.mac)}`;
      const remedy = inContainer(attached, shell`ip neighbour del ${text} dev ${inside.link.name}`);
      return finding("neighbour-wrong", { subject: nameOf(attached), evidence, remedy });
    });
}
