/** A container's interface, compared with what ADD answered. */

import type { Route as ResultRoute } from "../../../lib/cni/result.ts";
import { formatAddress } from "../../../lib/netaddr/address.ts";
import { formatMac } from "../../../lib/netaddr/mac.ts";
import { formatPrefix, samePrefix } from "../../../lib/netaddr/prefix.ts";
import { type Route, RT_TABLE_MAIN } from "../../../lib/rtnetlink/route.ts";
import type { Port } from "../../inventory/peers.ts";
import { setting, settingName } from "../../inventory/setting.ts";
import type { Stack } from "../../inventory/stack.ts";
import { type ShellCommand, shell } from "../../terminal/shell.ts";
import { type Finding, finding } from "../finding.ts";
import {
  type Attached,
  type Host,
  inContainer,
  isSet,
  nameOf,
  promisedAddresses,
  promisedInside,
} from "../host.ts";

/** An attachment whose interface is there. */
type Present = Attached & { readonly inside: Port };

export function checkInterfaces(host: Host): Finding[] {
  return host.attachments.filter(isPresent).flatMap((attached) => {
    if (!attached.inside.link.up && !isSet(attached.main, "disableContainerInterface")) return down(attached);
    return [
      ...ipv6Disabled(attached),
      ...addressesMissing(attached),
      ...routesMissing(host, attached),
      ...macsChanged(host, attached),
    ];
  });
}

function isPresent(attached: Attached): attached is Present {
  return attached.inside !== undefined;
}

/** The rest is told when it is up again: the kernel takes the routes away. */
function down(attached: Present): Finding[] {
  const { name } = attached.inside.link;
  const remedy = inContainer(attached, shell`ip link set ${name} up`);
  return [finding("interface-down", { subject: nameOf(attached), evidence: `${name} is down`, remedy })];
}

function isWithoutIpv6({ inside: { stack, link } }: Present): boolean {
  return stack.sysctl(`net/ipv6/conf/${link.name}/disable_ipv6`) === "1";
}

function ipv6Disabled(attached: Present): Finding[] {
  const promised = promisedAddresses(attached).find(({ address }) => address.address.family === 6);
  if (!promised || !isWithoutIpv6(attached)) return [];
  const key = `net/ipv6/conf/${attached.inside.link.name}/disable_ipv6`;
  const evidence = `${settingName(key)} is 1, and ${formatPrefix(promised.address)} its address`;
  const remedy = inContainer(attached, setting(key, 0));
  return [finding("ipv6-disabled", { subject: nameOf(attached), evidence, remedy })];
}

function addressesMissing(attached: Present): Finding[] {
  const { stack, link } = attached.inside;
  const has = stack.addressesOf(link).map(({ prefix }) => prefix);
  return promisedAddresses(attached).flatMap(({ address }) => {
    const { family } = address.address;
    if (has.some((each) => samePrefix(each, address)) || (family === 6 && isWithoutIpv6(attached))) return [];
    const evidence = `${link.name} has no ${formatPrefix(address)}`;
    const nodad = family === 6 ? ["nodad"] : [];
    const remedy = inContainer(
      attached,
      shell`ip address add ${formatPrefix(address)} dev ${link.name} ${nodad}`,
    );
    return finding("address-missing", { subject: nameOf(attached), evidence, remedy });
  });
}

function routesMissing(host: Host, attached: Present): Finding[] {
  const { stack, link } = attached.inside;
  const own = stack.routes.filter(({ oif }) => oif === link.index);
  const promised = (attached.result.routes ?? []).filter(
    ({ table }) => (table ?? RT_TABLE_MAIN) === RT_TABLE_MAIN,
  );
  return promised.flatMap((route) => {
    const gateway = gatewayOf(attached, route);
    const { family } = route.dst.address;
    if (family === 6 && isWithoutIpv6(attached)) return [];
    const isThere = own.some(
      (each) => samePrefix(each.dst, route.dst) && (!gateway || each.gateway?.value === gateway.value),
    );
    if (isThere) return [];
    const dst = route.dst.length === 0 ? "default" : formatPrefix(route.dst);
    const via = gateway ? ["via", formatAddress(gateway)] : [];
    const there = stack.routes.filter((each) => samePrefix(each.dst, route.dst));
    const other = there.find((each) => !isPromised(host, attached, each));
    const instead = other ? `, and another to there${wayText(stack, other)}` : "";
    const evidence = `no route ${[dst, ...via].join(" ")} by ${link.name}${instead}`;
    const verb = other ? "replace" : there.length > 0 ? "append" : "add";
    const remedy = inContainer(
      attached,
      shell`ip ${family === 6 ? ["-6"] : []} route ${verb} ${dst} ${via} dev ${link.name}`,
    );
    // where somebody made another may be where they want it
    const isSafe = other === undefined;
    return finding("route-missing", { subject: nameOf(attached), evidence, remedy, isSafe });
  });
}

/** Whether some ADD of the same container gave it. */
function isPromised({ attachments }: Host, { inside }: Present, { dst, oif, gateway }: Route): boolean {
  return attachments.filter(isPresent).some((each) => {
    if (each.inside.stack !== inside.stack || each.inside.link.index !== oif) return false;
    return (each.result.routes ?? []).some(
      (route) => samePrefix(route.dst, dst) && gatewayOf(each, route)?.value === gateway?.value,
    );
  });
}

/** " via 10.9.0.9 by eth0" */
function wayText(stack: Stack, { gateway, oif, oifs }: Route): string {
  const names = [oif, ...(oifs ?? [])].flatMap((index) => (index ? (stack.link(index)?.name ?? []) : []));
  return `${gateway ? ` via ${formatAddress(gateway)}` : ""} by ${names.join(" and ")}`;
}

/** A route without a gateway of its own goes by that of the addresses. */
function gatewayOf({ result }: Present, { dst, gw, scope }: ResultRoute) {
  if (gw || (scope ?? 0) !== 0) return gw;
  return result.ips?.find(({ gateway }) => gateway?.family === dst.address.family)?.gateway;
}

/** Of both ends of the pair, and of the bridge, which neighbours remember. */
function macsChanged({ stack }: Host, attached: Present): Finding[] {
  const { inside, result } = attached;
  const found: Finding[] = [];
  const compare = (
    name: string,
    is: Uint8Array,
    was: string | undefined,
    command: (text: ShellCommand) => ShellCommand,
  ) => {
    if (!was || formatMac(is) === was.toLowerCase()) return;
    const evidence = `the MAC of ${name} is ${formatMac(is)}, not ${was}${udevHint(stack.link(name)?.kind)}`;
    const remedy = command(shell`ip link set ${name} address ${was}`);
    found.push(finding("mac-changed", { subject: nameOf(attached), evidence, remedy }));
  };
  const promised = promisedInside(attached);
  compare(inside.link.name, inside.link.mac, promised?.mac, (text) => inContainer(attached, text));
  for (const { name, mac, sandbox } of result.interfaces ?? []) {
    const link = sandbox ? undefined : stack.link(name);
    if (link && (link.kind === "bridge" || link.kind === "veth"))
      compare(name, link.mac, mac, (text) => text);
  }
  return found;
}

/** systemd's MACAddressPolicy=persistent gives links a MAC of its own choice when they appear. */
function udevHint(kind: string | undefined): string {
  return kind === undefined ? "" : "; where udev did it, see systemd.link(5), MACAddressPolicy=none";
}
