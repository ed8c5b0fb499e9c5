/** The command that attaches a container anew: as it was, where that is ours to do. */
import { formatAddress } from "../../lib/netaddr/address.ts";
import { podName } from "../containers/pod.ts";
import type { PublishedPort } from "../inventory/attachment.ts";
import { declares } from "../networks/attachment-request.ts";
import { containerIdOf } from "../runtime/attachment.ts";
import { allOf, type ShellCommand, shell } from "../terminal/shell.ts";
import { type Attached, promisedAddresses, promisedInside } from "./host.ts";

/** Where podman binds its namespaces. */
const PODMAN_NETNS = /^(\/var)?\/run\/netns\/netns-[0-9a-f-]{36}$/;
/** IPAM plugins that lease an address which is asked for. */
const LEASING: readonly unknown[] = ["host-local", "etcd-ipam"];
/** Plugins that give the MAC which is asked for. */
const TAKING_MAC: readonly string[] = ["bridge", "ptp", "vxlan", "macvlan", "tap"];

/**
 * With its addresses, its MAC and the ports that it publishes. A runtime knows what its container has, and
 * takes away only what is under its own id: that one restarts it.
 */
export function reattaching(attached: Attached): ShellCommand {
  if (!isOwn(attached)) return restarting(attached);
  const { network, netns, ifname, ports } = attached;
  const place = [network, netns, "--ifname", ifname];
  const words = [...place, ...asBefore(attached), ...ports.flatMap(publishing)];
  return allOf(shell`weft del ${place}`, shell`weft add ${words}`);
}

/** The same with other ports, which the runtime of another's container has to be told. */
export function publishingElsewhere(attached: Attached, ports: readonly PublishedPort[]): ShellCommand {
  if (isOwn(attached)) return reattaching({ ...attached, ports });
  return shell`: publish other ports of ${attached.container} by its runtime`;
}

/** Whether `weft add` has attached it, and would do so again under the same id. */
function isOwn({ containerId, netns }: Attached): boolean {
  return containerId === containerIdOf(netns);
}

/** What the shell does nothing with where nobody knows the runtime's command. */
function restarting({ cached, container, containerId, netns }: Attached): ShellCommand {
  if (podName(cached?.args ?? []) !== undefined) return shell`crictl stopp ${containerId}`;
  if (PODMAN_NETNS.test(netns)) return shell`podman restart ${containerId}`;
  return shell`: restart ${container} by its runtime`;
}

/** What its plugins take: CNI_ARGS have one address. */
function asBefore(attached: Attached): string[] {
  const { list, main, isOurs } = attached;
  if (!list || !main || !isOurs) return [];
  const ipam = main["ipam"] as { type?: unknown } | undefined; // the plugins took it
  const all = LEASING.includes(ipam?.type) ? promisedAddresses(attached) : [];
  const asked = declares(list, "ips") ? all : all.slice(0, 1);
  const mac = TAKING_MAC.includes(main.type) ? promisedInside(attached)?.mac : undefined;
  return [
    ...asked.flatMap(({ address }) => ["--ip", formatAddress(address.address)]),
    ...(mac ? ["--mac", mac] : []),
  ];
}

/** "-p 192.0.2.1:8080:80/tcp" */
function publishing({ hostPort, containerPort, protocol, hostIP }: PublishedPort): string[] {
  const address = hostIP.includes(":") ? `[${hostIP}]:` : hostIP && `${hostIP}:`;
  return ["-p", `${address}${hostPort}:${containerPort}/${protocol}`];
}
