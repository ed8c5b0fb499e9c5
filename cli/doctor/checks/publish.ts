/** What published ports and services need of the host besides rules. */
import { CniError } from "../../../lib/cni/error.ts";
import { hasNftables } from "../../../lib/iptables/kernel-tables.ts";
import { type Family, formatAddress, parseAddress } from "../../../lib/netaddr/address.ts";
import { parsePrefix } from "../../../lib/netaddr/prefix.ts";
import { netfilterSocket } from "../../../lib/netfilter/socket.ts";
import { hasChain } from "../../../lib/nftables/query.ts";
import { WEFT_TABLE } from "../../../lib/weft-table/ruleset.ts";
import { checkTable } from "../../../lib/weft-table/table-life.ts";
import { findHolders, type Listener, listListeners } from "../../host-listeners.ts";
import type { PublishedPort } from "../../inventory/attachment.ts";
import { setting, settingName } from "../../inventory/setting.ts";
import { findShadowed } from "../../shadowed-listeners.ts";
import { allOf, shell } from "../../terminal/shell.ts";
import { type Finding, finding } from "../finding.ts";
import { type Attached, type Host, hostSideOf, isSet, nameOf, promisedBridge } from "../host.ts";
import { readTables } from "../iptables.ts";
import { publishingElsewhere } from "../reattaching.ts";

const PORT_MAX = 65_535;
const BRIDGED = {
  4: "net/bridge/bridge-nf-call-iptables",
  6: "net/bridge/bridge-nf-call-ip6tables",
} as const;

export function checkPublishing(host: Host): Finding[] {
  const publishing = host.attachments.filter(({ ports, inside }) => ports.length > 0 && inside);
  const listeners = publishing.length > 0 ? listListeners() : [];
  return [
    ...publishing.flatMap((attached) => routeLocalnetOff(host, attached)),
    ...routeLocalnetOpen(host),
    ...host.attachments.flatMap((attached) => hairpinOff(host, attached)),
    ...bridgeNetfilterOff(host),
    ...publishing.flatMap((attached) => portsShadowed(host, attached, listeners)),
  ];
}

function families({ addresses }: Attached): Family[] {
  return [...new Set(addresses.map((text) => parsePrefix(text).address.family))];
}

/** 127.0.0.1 is published too, unless `snat` is false: its packets may leave by the interface then. */
function routeLocalnetOff(host: Host, attached: Attached): Finding[] {
  const side = hostSideOf(host, attached);
  const portmap = attached.list?.plugins.find(({ type }) => type === "portmap");
  if (!side || !portmap || portmap["snat"] === false || !families(attached).includes(4)) return [];
  if (isLocalnetRouted(host, side.name) || isLocalnetRouted(host, "all")) return [];
  const key = `net/ipv4/conf/${side.name}/route_localnet`;
  const evidence = `${settingName(key)} is 0, and ${nameOf(attached)} publishes port ${attached.ports[0]?.hostPort}`;
  return [finding("route-localnet-off", { subject: side.name, evidence, remedy: setting(key, 1) })];
}

function isLocalnetRouted({ stack }: Host, name: string): boolean {
  return stack.sysctl(`net/ipv4/conf/${name}/route_localnet`) === "1";
}

/** With route_localnet and no guard, neighbours reach what listens on 127.0.0.1, or speak as it. */
function routeLocalnetOpen(host: Host): Finding[] {
  const open = ["all", ...host.stack.links.map(({ name }) => name)].filter((name) =>
    isLocalnetRouted(host, name),
  );
  if (open.length === 0 || isGuarded()) return [];
  return open.flatMap((name) => {
    const behind = host.attachments.filter((attached) => hostSideOf(host, attached)?.name === name);
    const isPublished = (name === "all" ? host.attachments : behind).some(({ ports }) => ports.length > 0);
    if (behind.some(({ isOurs, ports }) => isOurs && ports.length > 0)) return []; // "rules-missing" says it
    const key = `net/ipv4/conf/${name}/route_localnet`;
    const evidence = `${settingName(key)} is 1, and no rule keeps 127.0.0.0/8 from coming in`;
    const remedy = isPublished
      ? shell`iptables -t raw -I PREROUTING -d 127.0.0.0/8 ! -i lo -j DROP`
      : setting(key, 0);
    return finding("route-localnet-open", {
      subject: name,
      evidence,
      remedy,
      isSafe: !isPublished && name !== "all",
    });
  });
}

/** By weft's table, or by a rule of weft's, kube-proxy's or the administrator's in iptables. */
function isGuarded(): boolean {
  if (hasNftables() && isWhole()) return true;
  return (["raw", "filter"] as const).some((name) =>
    readTables(4, name).some(({ table }) =>
      table.chains.some((chain) =>
        table.rules(chain).some((rule) => rule.includes("-d 127.0.0.0/8") && rule.endsWith("-j DROP")),
      ),
    ),
  );
}

function isWhole(): boolean {
  try {
    checkTable(netfilterSocket(), WEFT_TABLE);
    return true;
  } catch (error) {
    if (error instanceof CniError) return false;
    throw error;
  }
}

/**
 * A packet to a port of its own comes back by the port it came from, when it is turned around while it is
 * bridged, which br_netfilter does.
 */
function hairpinOff(host: Host, attached: Attached): Finding[] {
  const { stack } = host;
  const { outside, list, main, ports } = attached;
  if (!outside?.port || outside.port.mode === 1 || isElsewhere(host, attached)) return [];
  const portmap = list?.plugins.find(({ type }) => type === "portmap");
  const isTurned = families(attached).some((family) => stack.sysctl(BRIDGED[family]) === "1");
  const isNeeded = ports.length > 0 && portmap !== undefined && portmap["snat"] !== false && isTurned;
  if (!isNeeded && !isSet(main, "hairpinMode")) return [];
  const why = isNeeded
    ? `bridged packets pass iptables, and port ${ports[0]?.hostPort} of the host leads to the container`
    : 'the network has "hairpinMode"';
  const evidence = `hairpin is off at ${outside.name}; ${why}`;
  const remedy = shell`ip link set ${outside.name} type bridge_slave hairpin on`;
  return [finding("hairpin-off", { subject: nameOf(attached), evidence, remedy })];
}

/** In another bridge than ADD put it into: "not-in-bridge" comes first. */
function isElsewhere({ stack }: Host, attached: Attached): boolean {
  const promised = promisedBridge(attached);
  return promised !== undefined && stack.link(promised)?.index !== attached.outside?.master;
}

/** An answer to a service's address on the same bridge would not pass the rules that translated it. */
function bridgeNetfilterOff({ stack, attachments }: Host): Finding[] {
  if (!attachments.some(({ outside }) => outside?.port) || stack.sysctl(BRIDGED[4]) === "1") return [];
  const hasServices =
    (hasNftables() && hasChain(netfilterSocket(), { family: "ip", name: "nat" }, "KUBE-SERVICES")) ||
    readTables(4, "nat").some(({ table }) => table.has("KUBE-SERVICES"));
  if (!hasServices) return [];
  const value = stack.sysctl(BRIDGED[4]);
  const evidence = `kube-proxy's rules are in iptables, and ${settingName(BRIDGED[4])} is ${value ?? "not there: br_netfilter is not loaded"}`;
  const remedy = allOf(
    ...(value === undefined ? [shell`modprobe br_netfilter`] : []),
    setting(BRIDGED[4], 1),
  );
  return [finding("bridge-netfilter-off", { subject: "br_netfilter", evidence, remedy })];
}

/** Who listens may be needed: its remedy is to publish by another port. */
function portsShadowed(host: Host, attached: Attached, listeners: readonly Listener[]): Finding[] {
  const ports = attached.ports.map(({ protocol, hostPort, hostIP }) => ({
    protocol,
    port: hostPort,
    hostIp: hostIP === "" ? undefined : parseAddress(hostIP),
  }));
  const shadowed = findShadowed(ports, families(attached), listeners);
  if (shadowed.length === 0) return [];
  const remedy = publishingElsewhere(attached, portsBeside(host, attached, listeners));
  const holders = findHolders(new Set(shadowed.map(({ inode }) => inode)));
  return shadowed.map(({ protocol, address, port, inode }) => {
    const holder = holders.get(inode);
    const who = holder ? `${holder.name} (process ${holder.pid})` : "a process that cannot be seen";
    const where = `${address.family === 4 ? formatAddress(address) : `[${formatAddress(address)}]`}:${port}`;
    const evidence = `${who} listens on ${protocol} ${where}, and what comes for it goes to the container: end it, or publish another port`;
    return finding("port-shadowed", { subject: nameOf(attached), evidence, remedy });
  });
}

/** The container's ports, each that somebody listens on moved to the next that is nobody's. */
function portsBeside(host: Host, { ports }: Attached, listeners: readonly Listener[]): PublishedPort[] {
  const key = (protocol: string, port: number) => `${port}/${protocol}`;
  const listened = new Set(listeners.map(({ protocol, port }) => key(protocol, port)));
  const published = host.attachments.flatMap((attached) => attached.ports);
  const taken = new Set([...listened, ...published.map(({ protocol, hostPort }) => key(protocol, hostPort))]);
  return ports.map((port) => {
    const { protocol } = port;
    let { hostPort } = port;
    if (!listened.has(key(protocol, hostPort))) return port;
    while (taken.has(key(protocol, hostPort))) hostPort = (hostPort % PORT_MAX) + 1;
    taken.add(key(protocol, hostPort));
    return { ...port, hostPort };
  });
}
