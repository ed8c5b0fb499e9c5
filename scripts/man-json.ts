/** What `--json` prints, for the manual pages. Keys stay as they are; what is not known is null. */

interface JsonKeys {
  readonly of: string;
  readonly keys: Readonly<Record<string, string>>;
}

const ATTACHMENT =
  "container, containerId, network, ifname, netns, pids, plugins, kind, mac, addresses, hostInterface, hostIfindex, " +
  "bridge, ports, state (up, down, gone), isOurs";
const RULES = "topic, says (sentences), by (nftables, iptables, …), elements";
const LEG = "packet, verdict, reason, place, hops; a hop has place, device, text, evidence";

export const JSON_KEYS: Readonly<Record<string, JsonKeys>> = {
  ls: { of: "A list of objects.", keys: { attachment: ATTACHMENT } },
  inspect: {
    of: "An object, of a container; of a network what weft network inspect prints.",
    keys: {
      container: "container, netns, inode, pids, interfaces",
      interfaces:
        "name, index, kind, isUp, hasCarrier, mac, mtu, alias, addresses, routes, counters, way, port, attachment, rules",
      way: "from the container outwards: namespace, name, index, kind, mtu, role",
      port: "bridge, port, isHairpin, isIsolated, isLearning, vlans, macSeen",
      attachment: "as weft ls prints it",
      rules: RULES,
    },
  },
  ports: {
    of: "A list of objects.",
    keys: {
      port: "hostPort, containerPort, protocol, hostIP, container, containerId, network, ifname, to, by, state",
    },
  },
  fdb: {
    of: "An object with bridges and overlays.",
    keys: {
      bridges: "bridge, networks, entries; an entry has mac, port, vlan, owner, origin, usedS (seconds)",
    },
  },
  rules: {
    of: "An object.",
    keys: {
      tables: "name, state",
      userRules: "the administrator's own",
      attachments: "container, containerId, network, ifname, rules",
      rules: RULES,
    },
  },
  trace: {
    of: "An object: verdict, isCertain, unknown (rules that ask for what nobody can know), there, back.",
    keys: { there: LEG, back: "the first answer, likewise; missing where there is none" },
  },
  topology: {
    of: "An object: title, bases, others, islands.",
    keys: { bases: "name, role, isUplink, isUp, addresses, says, cables; a cable has name, isUp, says, end" },
  },
  network: {
    of: "weft network ls and weft network inspect print a list of objects.",
    keys: {
      network:
        "name, driver, file, isOurs, created, labels, subnets, bridge, internal, plugins, nameservers, leased, " +
        "containers, configuration",
      subnets: "subnet, gateway, ranges",
    },
  },
  doctor: {
    of: "An object: findings, and what --fix has mended, likewise.",
    keys: { findings: "fault, title, severity (error, warning), isSafe, subject, evidence, remedy" },
  },
};
