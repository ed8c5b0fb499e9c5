/** Programs that manage interfaces by themselves, and take those of container networks for theirs. */
import { systemBusAddress } from "../../../lib/dbus/address.ts";
import { BusConnection } from "../../../lib/dbus/connection.ts";
import { BusError, BusUnavailableError } from "../../../lib/dbus/error.ts";
import { findFirewalld } from "../../../lib/isolate/firewalld.ts";
import { addressBits, formatAddress } from "../../../lib/netaddr/address.ts";
import { parsePrefix } from "../../../lib/netaddr/prefix.ts";
import type { Link } from "../../../lib/rtnetlink/link.ts";
import { findTextFile } from "../../../lib/sys/file.ts";
import { allOf, shell } from "../../terminal/shell.ts";
import { type Finding, finding } from "../finding.ts";
import { type Attached, type Host, hostSideOf, nameOf } from "../host.ts";

const NETWORK_MANAGER = "org.freedesktop.NetworkManager";
const NETWORK_MANAGER_PATH = "/org/freedesktop/NetworkManager";
/** sd_network_link_get_setup_state(3): a file an interface, by its index. */
const NETWORKD_LINKS = "/run/systemd/netif/links";
const FIREWALLD_ZONE = {
  path: "/org/fedoraproject/FirewallD1",
  interface: "org.fedoraproject.FirewallD1.zone",
};

export function checkManagers(host: Host): Finding[] {
  const links = ownLinks(host);
  return [...byNetworkManager(links), ...links.flatMap(byNetworkd), ...firewalldBlocks(host)];
}

/** The host's interfaces of container networks, each once. */
function ownLinks(host: Host): Link[] {
  const { stack, attachments } = host;
  const sides = attachments.flatMap((attached) => [attached.outside, hostSideOf(host, attached)]);
  const labelled = stack.links.filter(({ alias }) => alias.startsWith("weft:"));
  return [
    ...new Map(
      [...sides, ...labelled].flatMap((link) => (link ? [[link.index, link] as const] : [])),
    ).values(),
  ];
}

/** "veth*" for what is called so, else the name. */
function patternOf({ name }: Link): string {
  return /^veth[0-9a-f]{8}$/.test(name) ? "veth*" : name;
}

function byNetworkManager(links: readonly Link[]): Finding[] {
  using bus = findBus();
  if (!bus?.hasService(NETWORK_MANAGER)) return [];
  const managed = links.filter(({ name }) => isManaged(bus, name));
  if (managed.length === 0) return [];
  const patterns = [...new Set(links.map(patternOf))].map((pattern) => `interface-name:${pattern}`);
  const file = "/etc/NetworkManager/conf.d/weft.conf";
  return managed.map(({ name }) =>
    finding("networkmanager-manages", {
      subject: name,
      evidence: `NetworkManager has it among the devices it manages`,
      remedy: allOf(
        shell`printf '[keyfile]\\nunmanaged-devices=%s\\n' ${patterns.join(";")} > ${file}`,
        shell`nmcli general reload`,
      ),
    }),
  );
}

function isManaged(bus: BusConnection, ifname: string): boolean {
  try {
    const manager = { destination: NETWORK_MANAGER, path: NETWORK_MANAGER_PATH, interface: NETWORK_MANAGER };
    const [path] = bus.call({ ...manager, member: "GetDeviceByIpIface", args: [ifname] });
    const [value] = bus.call({
      destination: NETWORK_MANAGER,
      path: String(path),
      interface: "org.freedesktop.DBus.Properties",
      member: "Get",
      args: [`${NETWORK_MANAGER}.Device`, "Managed"],
    });
    return value === true;
  } catch (error) {
    if (error instanceof BusError) return false; // it knows no such device
    throw error;
  }
}

function findBus(): BusConnection | undefined {
  try {
    return new BusConnection(systemBusAddress(process.env));
  } catch (error) {
    if (error instanceof BusUnavailableError || error instanceof BusError) return undefined;
    throw error;
  }
}

function byNetworkd(link: Link): Finding[] {
  const text = findTextFile(`${NETWORKD_LINKS}/${link.index}`) ?? "";
  const value = (key: string) => new RegExp(`^${key}=(.*)$`, "m").exec(text)?.[1];
  const file = value("NETWORK_FILE");
  if (!file || value("ADMIN_STATE") === "unmanaged") return [];
  const evidence = `systemd-networkd configures it by ${file} (${value("ADMIN_STATE") ?? "unknown state"})`;
  const unit = `/etc/systemd/network/05-weft-${link.kind === "bridge" ? link.name : "veth"}.network`;
  const remedy = allOf(
    shell`printf '[Match]\\nName=%s\\n[Link]\\nUnmanaged=yes\\n' ${patternOf(link)} > ${unit}`,
    shell`networkctl reload`,
  );
  return [finding("networkd-manages", { subject: link.name, evidence, remedy })];
}

/** Where the firewall plugin is in the list, it tells firewalld itself. */
function firewalldBlocks(host: Host): Finding[] {
  const untold = host.attachments.filter(
    ({ list, outside }) => outside && !list?.plugins.some(({ type }) => type === "firewall"),
  );
  if (untold.length === 0) return [];
  using bus = findFirewalld(process.env);
  if (!bus) return [];
  const zoneOf = (member: string, what: string) => {
    const [zone] = bus.call({
      destination: "org.fedoraproject.FirewallD1",
      ...FIREWALLD_ZONE,
      member,
      args: [what],
    });
    return typeof zone === "string" ? zone : "";
  };
  return untold.flatMap((attached: Attached) => {
    const side = hostSideOf(host, attached);
    const sources = attached.addresses.map((text) => {
      const { address } = parsePrefix(text);
      return `${formatAddress(address)}/${addressBits(address.family)}`;
    });
    if (!side || zoneOf("getZoneOfInterface", side.name) !== "") return [];
    if (sources.some((source) => zoneOf("getZoneOfSource", source) !== "")) return [];
    const evidence = `firewalld runs, and ${side.name} is in none of its zones, nor an address of ${nameOf(attached)}`;
    const remedy = shell`firewall-cmd --zone=trusted --add-interface=${side.name}`;
    return finding("firewalld-blocks", { subject: side.name, evidence, remedy });
  });
}
