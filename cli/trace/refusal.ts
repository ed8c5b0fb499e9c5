/** Why a namespace does not take or forward a packet, and the command that changes it where there is one. */
import { formatAddress, isLoopback } from "../../lib/netaddr/address.ts";
import { ROUTE_TYPES } from "../../lib/rtnetlink/route-lookup.ts";
import { setting } from "../inventory/setting.ts";
import { inNamespace, shell } from "../terminal/shell.ts";
import type { Flight } from "./flight.ts";
import type { Node, NodePort } from "./node.ts";

export function downReason({ node, link }: NodePort): string {
  const remedy = inNamespace(node.stack.namespace, shell`ip link set ${link.name} up`);
  return `${link.name} of ${node.name} is down: ${remedy}`;
}

export function ipv6ForwardingReason({ stack, name }: Node): string {
  const remedy = inNamespace(stack.namespace, setting("net/ipv6/conf/all/forwarding", 1));
  return `forwarding of IPv6 is off in ${name}: ${remedy}`;
}

/** Where the kernel answers with a number alone. @param code the errno's name */
export function inputRefusal(port: NodePort, { packet, mark }: Flight, code: string): string {
  const { node, link } = port;
  const { source, destination } = packet;
  const to = formatAddress(destination);
  if (destination.family === 4 && code === "EHOSTUNREACH") {
    const key = `net/ipv4/conf/${link.name}/forwarding`;
    if (node.setting(key) !== 1) {
      // the general setting sets those of all interfaces, which may differ since
      const general = "net/ipv4/ip_forward";
      const command = setting(node.setting(general) === 1 ? key : general, 1);
      const remedy = inNamespace(node.stack.namespace, command);
      return `forwarding is off on ${link.name} of ${node.name}, and ${to} is not its own: ${remedy}`;
    }
  }
  if (destination.family === 4 && (code === "EINVAL" || code === "EXDEV")) {
    const reason = martianReason(port, { source, destination, mark });
    if (reason !== undefined) return reason;
  }
  return `${node.name} has no route to ${to} (${code})`;
}

function martianReason(
  { node, link }: NodePort,
  { source, destination, mark }: Pick<Flight["packet"], "source" | "destination"> & { mark: number },
): string | undefined {
  const setting = (key: string) =>
    Math.max(...["all", link.name].map((each) => node.setting(`net/ipv4/conf/${each}/${key}`) ?? 0));
  const from = formatAddress(source);
  if (isLoopback(source) || isLoopback(destination)) {
    if (setting("route_localnet") === 0) {
      return `127.0.0.0/8 does not come in by ${link.name} of ${node.name}: its route_localnet is off`;
    }
  }
  if (node.owns(source)) return `${from} is ${node.name}'s own address: nobody else sends from it`;
  const back = node.lookUp({ destination: source, mark });
  const STRICT = 1;
  const filter = setting("rp_filter");
  if (filter === 0) return undefined;
  if (typeof back === "string") {
    return `rp_filter of ${link.name} of ${node.name} is ${filter}, and there is no route back to ${from}`;
  }
  if (filter === STRICT && back.type === ROUTE_TYPES.unicast && back.oif !== link.index) {
    const way = node.link(back.oif)?.name;
    return `rp_filter of ${link.name} of ${node.name} is 1, and the route back to ${from} leaves by ${way}`;
  }
  return undefined;
}
