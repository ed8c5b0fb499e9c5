/**
 * The faults that the doctor knows, by the names that scripts may rely on. What each looks at, and how it is
 * mended, is in README.md beside this file.
 */

/** "error": packets of a container do not go their way, or the next ADD fails; "warning": not yet. */
export type Severity = "error" | "warning";

interface Fault {
  /** What is wrong, in a few words. */
  readonly title: string;
  readonly severity: Severity;
  /** Whether its remedy can harm nobody: it puts back what an ADD made, or removes what nobody has. */
  readonly isSafe: boolean;
}

function error(title: string): Fault {
  return { title, severity: "error", isSafe: true };
}

function warning(title: string): Fault {
  return { ...error(title), severity: "warning" };
}

/** To be thought about: the remedy changes what is not weft's, or somebody may have wanted it so. */
function careful(fault: Fault): Fault {
  return { ...fault, isSafe: false };
}

export const FAULTS = {
  // the host as a router
  "forwarding-off": error("the host does not forward"),
  "router-advertisements-ignored": error("the host's own IPv6 default route will run out"),
  "route-elsewhere": careful(error("packets to a container leave by another interface")),
  "host-route-missing": error("the host has no route to a container"),
  "rp-filter": careful(error("reverse path filtering drops what comes in by a second way")),
  "way-blocked": careful(error("what is for containers, or from them, ends on its way")),
  "uplink-missing": careful(
    warning("this host has no way to what is beyond it, and so its containers have none"),
  ),
  "forward-dropped": careful(error("the host's packet filter drops what is for containers, or from them")),
  // the packet filter
  "rules-missing": error("rules that ADD made are gone"),
  "table-foreign": careful(error("a table of weft's name is somebody else's")),
  "rule-foreign": careful(error("a rule of another's is in weft's table")),
  "isolation-differs": error("a bridge port is not isolated as the network wants it"),
  "firewalld-blocks": careful(error("firewalld does not know a container's bridge")),
  // what published ports and services need
  "route-localnet-off": error("a published port is not reached by 127.0.0.1"),
  "route-localnet-open": careful(warning("containers reach what listens on 127.0.0.1 of the host")),
  "hairpin-off": error("a container does not reach itself by a published port"),
  "bridge-netfilter-off": careful(error("services of Kubernetes are not reached on their own node")),
  "port-diverted": careful(error("a rule of another's leads a published port elsewhere")),
  "port-shadowed": careful(warning("a program of the host listens on a published port")),
  // the bridge
  "bridge-missing": error("the bridge of a container is gone"),
  "bridge-down": error("the bridge of a container is down"),
  "not-in-bridge": error("the host's end of a container's pair is not in its bridge"),
  "port-down": error("the host's end of a container's pair is down"),
  "port-blocked": error("the bridge forwards nothing by a container's port"),
  "learning-off": error("the bridge does not learn where containers are"),
  "flooding-off": error("a container's port gets no broadcast, and so no ARP"),
  "bridge-full": careful(error("the bridge takes no further container")),
  "bridge-promiscuous": error("a bridge is promiscuous that should not be"),
  "gateway-missing": error("the host lost the gateway's address"),
  // the container's interface
  "interface-down": error("a container's interface is down"),
  "interface-renamed": careful(warning("a container's interface has another name than ADD gave it")),
  "ipv6-disabled": error("IPv6 is disabled in a container that has an IPv6 address"),
  "address-missing": error("a container lost an address"),
  "route-missing": error("a container lost a route"),
  "mac-changed": error("a MAC is not the one that ADD gave"),
  "attachment-differs": careful(error("CHECK says that an attachment is not as ADD left it")),
  // MTU
  "mtu-mismatch": error("the two ends of a container's pair differ in MTU"),
  "mtu-above-underlay": careful(error("an overlay's packets do not fit the wire below")),
  "mtu-black-hole": careful(error("full-size packets vanish on their way")),
  // addresses
  "subnets-overlap": careful(error("a network's subnet is in use elsewhere")),
  "address-conflict": careful(error("two interfaces have one address")),
  "mac-conflict": careful(error("two interfaces of a bridge have one MAC")),
  "neighbour-wrong": error("the host takes another MAC for a container's, or it for the host's"),
  "forwarding-entry-wrong": error("the bridge has a container's MAC at another port"),
  "lease-missing": error("a container's address is not leased to it, and will be given to another"),
  "pool-full": careful(error("no address is left for another container")),
  // the kernel's limits
  "neighbour-table-full": careful(error("the kernel's neighbour table is full")),
  "conntrack-full": careful(error("the kernel's table of connections is full")),
  // what is left over
  "container-unseen": careful(warning("a container lives where its namespace cannot be seen from here")),
  "attachment-unfinished": careful(error("an ADD was cut off, and what it made is there")),
  "attachment-gone": warning("a container is gone, and what it had is not"),
  "veth-orphaned": warning("a veth pair belongs to no container"),
  "lease-orphaned": warning("an address is leased to nobody"),
  "rule-orphaned": warning("rules belong to no container"),
  "claim-orphaned": warning("a port or a setting of the host is claimed by no container"),
  "connection-stale": warning("connections lead to a container that is gone"),
  "record-damaged": warning("a record of weft's cannot be read"),
  // other managers of the host's interfaces
  "networkmanager-manages": careful(warning("NetworkManager manages an interface of a container network")),
  "networkd-manages": careful(warning("systemd-networkd manages an interface of a container network")),
  // plugins and configuration
  "plugin-missing": careful(error("a plugin that a network names is not installed")),
  "plugin-version": careful(warning("weft is installed in another version")),
  "plugin-shadowed": careful(warning("a runtime finds another's plugins before weft's")),
  "plugins-mixed": careful(warning("plugins of one network are of different makers")),
  "network-unreadable": careful(error("a network's file cannot be read")),
  "network-twice": careful(warning("two files are of one network")),
  "version-refused": careful(error("no version of CNI suits a network and its plugins")),
  "network-refused": careful(error("a plugin refuses a network's configuration")),
  // what a network stands on
  "master-missing": careful(error("the interface that a network is built on is not there")),
  "master-down": error("the interface that a network is built on is down"),
  "agent-down": careful(error("the agent of an overlay does not run")),
  "dhcp-daemon-down": careful(error("the daemon that the dhcp plugin asks does not run")),
} as const satisfies Readonly<Record<string, Fault>>;

export type FaultId = keyof typeof FAULTS;
