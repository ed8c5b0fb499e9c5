/** A container's bridge and its port there, as `bridge -d link` and `ip -d link` show them. */
import { networkAlias } from "../../../lib/alias.ts";
import { formatAddress } from "../../../lib/netaddr/address.ts";
import { formatPrefix, type Prefix } from "../../../lib/netaddr/prefix.ts";
import { bridge as bridgeAttributes } from "../../../lib/rtnetlink/link-attributes.ts";
import { setting, settingName } from "../../inventory/setting.ts";
import type { NetworkFile } from "../../runtime/network-list.ts";
import { allOf, type ShellCommand, shell } from "../../terminal/shell.ts";
import { editing, type Finding, finding } from "../finding.ts";
import {
  type Attached,
  DEFAULT_BRIDGE,
  type Host,
  isSet,
  nameOf,
  promisedAddresses,
  promisedBridge,
} from "../host.ts";

/** BR_MAX_PORTS - 1 (net/bridge/br_private.h) */
const PORTS_MAX = 1_023;
/** BR_STATE_* (linux/if_bridge.h) in which a port forwards nothing, and stays so. */
const BLOCKED: Readonly<Record<number, string>> = { 0: "disabled", 4: "blocking" };
/** BR_DEFAULT_AGEING_TIME (net/bridge/br_private.h), in hundredths of a second. */
const AGEING_TIME = 30_000;

export function checkBridges(host: Host): Finding[] {
  const bridged = host.attachments.filter((attached) => promisedBridge(attached) && attached.inside);
  const byBridge = Map.groupBy(bridged, (attached) => promisedBridge(attached) ?? "");
  return [
    ...[...byBridge].flatMap(([name, attached]) => checkBridge(host, name, attached)),
    ...bridged.flatMap((attached) => checkPort(host, attached)),
    ...gatewaysMissing(host),
    ...host.view.networks.flatMap((network) => bridgeFull(host, network)),
  ];
}

function checkBridge(host: Host, name: string, [first, ...others]: readonly Attached[]): Finding[] {
  if (!first) return [];
  const subject = name;
  const who = others.length === 0 ? nameOf(first) : `${others.length + 1} containers`;
  const bridge = host.stack.link(name);
  if (bridge?.kind !== "bridge") {
    const evidence = `no bridge ${name} on this host, and ${who} should be on it`;
    return [finding("bridge-missing", { subject, evidence, remedy: makingOf(name, first) })];
  }
  const found: Finding[] = [];
  if (!bridge.up) {
    const evidence = `${name} is down, and ${who} on it`;
    found.push(finding("bridge-down", { subject, evidence, remedy: shell`ip link set ${name} up` }));
  }
  if (bridgeAttributes.read(bridge.data).ageingTime === 0) {
    const evidence = `ageing_time of ${name} is 0: every frame goes to every port`;
    const remedy = shell`ip link set ${name} type bridge ageing_time ${AGEING_TIME}`;
    found.push(finding("learning-off", { subject, evidence, remedy }));
  }
  if (bridge.promiscuous && !isSet(first.main, "promiscMode")) {
    const hairpin = host.stack.portsOf(bridge).find(({ port }) => port?.mode === 1);
    const twice = hairpin ? `: with its port ${hairpin.name} in hairpin mode, packets come twice` : "";
    const evidence = `${name} is promiscuous, and the network has no "promiscMode"${twice}`;
    found.push(
      finding("bridge-promiscuous", { subject, evidence, remedy: shell`ip link set ${name} promisc off` }),
    );
  }
  return found;
}

/** With the MAC that its containers know it by. */
function makingOf(name: string, { result, network, isOurs }: Attached): ShellCommand {
  const mac = result.interfaces?.find((it) => it.name === name && !it.sandbox)?.mac;
  const address = mac ? ["address", mac] : [];
  return allOf(
    shell`ip link add ${name} ${address} type bridge`,
    ...(isOurs ? [shell`ip link set ${name} alias ${networkAlias(network)}`] : []),
    shell`ip link set ${name} up`,
  );
}

function checkPort({ stack }: Host, attached: Attached): Finding[] {
  const { outside } = attached;
  const name = promisedBridge(attached);
  const bridge = name === undefined ? undefined : stack.link(name);
  if (!outside || !name || bridge?.kind !== "bridge") return [];
  const found: Finding[] = [];
  const add = (fault: Finding["fault"], evidence: string, remedy: ShellCommand, isSafe = true) => {
    found.push(finding(fault, { subject: nameOf(attached), evidence, remedy, isSafe }));
  };
  const port = outside.name;
  if (!outside.up) add("port-down", `${port} is down`, shell`ip link set ${port} up`);
  if (outside.master !== bridge.index) {
    const other = outside.master === undefined ? undefined : stack.link(outside.master)?.name;
    const evidence = `${port} is ${other ? `a port of ${other}` : "no port of any bridge"}, not of ${name}`;
    // Where somebody put it may be where they want it.
    add("not-in-bridge", evidence, shell`ip link set ${port} master ${name}`, other === undefined);
    return found;
  }
  const { state = 3, learning, unicastFlood, mcastFlood, bcastFlood } = outside.port ?? {};
  if (BLOCKED[state] && outside.running && bridge.up) {
    add(
      "port-blocked",
      `${port} is in state ${BLOCKED[state]}`,
      shell`ip link set ${port} type bridge_slave state 3`,
    );
  }
  // where an agent says where each container is, there is nothing to learn, nor to flood
  if (attached.main?.["etcd"] !== undefined) return found;
  if (learning === 0) {
    add(
      "learning-off",
      `learning is off at ${port}`,
      shell`ip link set ${port} type bridge_slave learning on`,
    );
  }
  const closed = Object.entries({ flood: unicastFlood, mcast_flood: mcastFlood, bcast_flood: bcastFlood })
    .filter(([, value]) => value === 0)
    .map(([flag]) => flag);
  if (closed.length > 0) {
    const remedy = shell`ip link set ${port} type bridge_slave ${closed.flatMap((flag) => [flag, "on"])}`;
    add("flooding-off", `${closed.join(", ")} of ${port} off`, remedy);
  }
  return found;
}

/** Where the host is to be the gateway, the address has to be on the bridge or on the pair's end. */
function gatewaysMissing(host: Host): Finding[] {
  const found = new Map<string, Finding>();
  for (const attached of host.attachments) {
    const name = gatewayLinkOf(attached);
    const link = name === undefined ? undefined : host.stack.link(name);
    if (!link) continue;
    const has = host.stack.addressesOf(link).map(({ prefix }) => prefix.address);
    for (const gateway of gatewaysOf(attached)) {
      const { family, value } = gateway.address;
      if (has.some((address) => address.family === family && address.value === value)) continue;
      const nodad = family === 6 ? ["nodad"] : [];
      const adding = shell`ip address add ${formatPrefix(gateway)} dev ${link.name} ${nodad}`;
      const key = `net/ipv6/conf/${link.name}/disable_ipv6`;
      const isDisabled = family === 6 && host.stack.sysctl(key) === "1";
      const remedy = isDisabled ? allOf(setting(key, 0), adding) : adding;
      const why = isDisabled ? `: ${settingName(key)} is 1` : "";
      const evidence = `${link.name} has no address ${formatAddress(gateway.address)}, the gateway of ${nameOf(attached)}${why}`;
      const subject = link.name;
      found.set(remedy, finding("gateway-missing", { subject, evidence, remedy }));
    }
  }
  return [...found.values()];
}

/** The host's interface that has the gateway's address; undefined where the gateway is another machine. */
function gatewayLinkOf(attached: Attached): string | undefined {
  const { main, outside } = attached;
  if (!attached.inside) return undefined;
  if (main?.type === "ptp") return outside?.name;
  if (main?.type !== "bridge" || !(isSet(main, "isGateway") || isSet(main, "isDefaultGateway")))
    return undefined;
  const vlan = main["vlan"];
  const bridge = promisedBridge(attached);
  return typeof vlan === "number" && vlan !== 0 ? `${bridge}.${vlan}` : bridge;
}

/** On a bridge with the subnet's length, on a pair by itself. */
function gatewaysOf(attached: Attached): Prefix[] {
  const isAlone = attached.main?.type === "ptp";
  return promisedAddresses(attached).flatMap(({ address, gateway }) => {
    if (!gateway) return [];
    const length = isAlone ? { 4: 32, 6: 128 }[gateway.family] : address.length;
    return { address: gateway, length };
  });
}

/** Containers that are on it stay; the next one is refused. */
function bridgeFull({ stack }: Host, { name, file, plugins: [main] }: NetworkFile): Finding[] {
  const bridge = main?.type === "bridge" ? stack.link(String(main["bridge"] || DEFAULT_BRIDGE)) : undefined;
  const ports = bridge ? stack.portsOf(bridge).length : 0;
  if (!bridge || ports < PORTS_MAX) return [];
  const evidence = `${bridge.name} of network ${name} has ${ports} ports, the most that a bridge of Linux takes`;
  return [finding("bridge-full", { subject: bridge.name, evidence, remedy: editing(file) })];
}
