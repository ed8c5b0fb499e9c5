/** What networks stand on: the interface below, and the daemons that they ask. */
import { readFileSync } from "node:fs";
import type { Link } from "../../../lib/rtnetlink/link.ts";
import { AGENT_SOCKET } from "../../../lib/store/protocol.ts";
import type { Stack } from "../../inventory/stack.ts";
import type { NetworkFile } from "../../runtime/network-list.ts";
import { shell } from "../../terminal/shell.ts";
import { editing, type Finding, finding } from "../finding.ts";
import { type Host, ipamOf, isSet } from "../host.ts";

/** Of each plugin the key that names the interface below. */
const MASTER_KEYS: Readonly<Record<string, string>> = {
  macvlan: "master",
  ipvlan: "master",
  vlan: "master",
  vxlan: "dev",
};
const DHCP_SOCKET = "/run/cni/dhcp.sock";

export function checkUnderlay(host: Host): Finding[] {
  return host.view.networks.flatMap((network) => [...masters(host, network), ...daemons(network)]);
}

/** One in the container is there when the container is. */
function masters({ stack }: Host, { name, plugins: [main], file }: NetworkFile): Finding[] {
  const key = main && MASTER_KEYS[main.type];
  const master = key && main[key];
  if (typeof master !== "string" || master === "" || isSet(main, "linkInContainer")) return [];
  const subject = name;
  const link = stack.link(master) ?? stack.link(parentOf(master));
  if (!link) {
    const there = possibleMasters(stack).map((each) => each.name);
    const evidence = `"${key}" is ${master}, and this host has ${there.join(", ")}`;
    return [finding("master-missing", { subject, evidence, remedy: editing(file) })];
  }
  if (link.up) return [];
  const evidence = `${link.name} is down`;
  return [finding("master-down", { subject, evidence, remedy: shell`ip link set ${link.name} up` })];
}

/** What leads out of the host: neither a container's, nor a port of something, nor weft's own. */
function possibleMasters({ links }: Stack): Link[] {
  return links.filter(
    ({ name, kind, master, alias }) =>
      name !== "lo" && kind !== "bridge" && master === undefined && !alias.startsWith("weft:"),
  );
}

/** "eth0.10" is made on demand, as a VLAN of eth0. */
function parentOf(name: string): string {
  return name.replace(/\.\d+$/, "");
}

function daemons({ name, plugins: [main] }: NetworkFile): Finding[] {
  if (!main) return [];
  const ipam = ipamOf(main);
  const found: Finding[] = [];
  if (main.type === "vxlan" && main["etcd"] !== undefined && !isListening(AGENT_SOCKET)) {
    const evidence = `nobody listens at ${AGENT_SOCKET}: this host does not hear of containers on others`;
    found.push(finding("agent-down", { subject: name, evidence, remedy: shell`systemctl start weft-agent` }));
  }
  const socket = typeof ipam["daemonSocketPath"] === "string" ? ipam["daemonSocketPath"] : DHCP_SOCKET;
  if (ipam["type"] === "dhcp" && !isListening(socket)) {
    const evidence = `nobody listens at ${socket}: neither ADD nor DEL can succeed`;
    found.push(
      finding("dhcp-daemon-down", { subject: name, evidence, remedy: shell`systemctl start cni-dhcp` }),
    );
  }
  return found;
}

/** A socket of this host with that path, whoever holds it; its file may be left over. proc_net_unix */
function isListening(path: string): boolean {
  return readFileSync("/proc/net/unix", "utf8")
    .split("\n")
    .some((line) => line.endsWith(` ${path}`));
}
