/** What `--json` prints, for the manual pages. Keys stay as they are; what is not known is null. */

interface JsonKeys {
  readonly of: string;
  readonly keys: Readonly<Record<string, string>>;
}

const PORT = "hostPort, containerPort, protocol, hostIP";
const ATTACHMENT =
  "container, containerId, network, ifname, netns, pids, plugins, kind, mac, addresses, hostInterface, hostIfindex, " +
  `bridge, ports (${PORT}), state (up, down, gone, unknown), isOurs (made by weft's plugins)`;
const RULES = "topic, says (sentences), by (nftables, iptables, …), elements (text, isMissing)";
const LEG =
  "packet, verdict (delivered, left, dropped), reason, place, hops; a hop has place, device, text, evidence " +
  "(kind, text; of a rule table, chain, rule, comment, number, hook, iif, oif)";
const MEMBER = "container, containerId, ifname, addresses, mac, state (up, down, gone, unknown)";

/** By the verb whose page it is. */
export const JSON_KEYS: Readonly<Record<string, JsonKeys>> = {
  ls: { of: "A list of objects.", keys: { attachment: ATTACHMENT } },
  inspect: {
    of: "An object, of a container; of a network what weft network inspect prints.",
    keys: {
      container:
        "container, netns, inode, pids, interfaces, lost (attachments whose interface is not there any more)",
      interfaces:
        "name, index, kind, isUp, hasCarrier, mac, mtu, alias, addresses, routes, counters, way, port, attachment, rules",
      counters: "rxPackets, txPackets, rxBytes, txBytes, rxErrors, txErrors, rxDropped, txDropped",
      way: "from the container outwards: namespace, name, index, kind, mtu, role",
      port: "bridge, port, isHairpin, isIsolated, isLearning, vlans, macSeen",
      attachment: ATTACHMENT,
      rules: RULES,
    },
  },
  ports: {
    of: "A list of objects.",
    keys: {
      port: `${PORT}, container, containerId, network, ifname, to, by, state (open, missing, no such address, unknown)`,
    },
  },
  fdb: {
    of: "An object with bridges and overlays.",
    keys: {
      bridges: "bridge, networks, entries; an entry has mac, port, vlan, owner, origin, usedS (seconds)",
      overlays:
        "network, device, vni, source (agent, kernel), entries; an entry has mac, addresses, host, vtep, state, differences",
    },
  },
  rules: {
    of: "An object: tables, userRules, attachments.",
    keys: {
      tables: "name, state",
      userRules: "how many of the administrator's own there are",
      attachments: "container, containerId, network, ifname, rules",
      rules: RULES,
    },
  },
  trace: {
    of: "An object: verdict, isCertain, unknown (rules that ask for what nobody can know), there, back.",
    keys: {
      there: LEG,
      back: "the first answer, likewise; null where there is none",
      "with --live":
        "verdict, isAnswered, refusal, isIncomplete, events; an event has place, packet, table, chain, verdict, and " +
        "where they are known flow, iif, oif, rule, comment",
    },
  },
  topology: {
    of: "An object: nodes, interfaces, links, others.",
    keys: {
      nodes: "name, kind (host, container, hosts of an overlay, world, namespace without a link)",
      interfaces: "of the host: name, kind, networks, isInternal, isUplink, isUp, addresses",
      links:
        "interface, port (the host's, on that interface), isUp, node, ifname (there), network, addresses (there; " +
        `VTEPs of hosts, routers of the world), ports (${PORT})`,
      others: "interfaces of the host without a link: name, kind",
    },
  },
  network: {
    of: "weft network ls and weft network inspect print a list of objects, weft network connect the result of CNI.",
    keys: {
      network:
        "name, driver, file, isOurs (made by weft network create), created, labels, subnets, bridge, parent, isInternal, " +
        "plugins, nameservers, containers",
      subnets: "subnet, gateway, ranges",
      "with inspect": "leased, configuration",
      containers: `how many; with inspect ${MEMBER}`,
    },
  },
  doctor: {
    of: "An object: findings, and what --fix has mended, likewise.",
    keys: { findings: "fault, title, severity (error, warning), isSafe, subject, evidence, remedy" },
  },
  migrate: {
    of: "An object: executables, attachments.",
    keys: {
      executables: "paths of what was exchanged, or with --dry-run would be",
      attachments: "name, plugins, failure (why it is not, or not wholly, done)",
    },
  },
  agent: {
    of: "An object, with --status.",
    keys: {
      agent: "version, host, grace (seconds), store, lease, isInStep, networks, faults",
      store:
        "endpoints, prefix, isWatched, revision, away; away has since, reason, and is missing while the store is there",
      networks: "name, vni, mode, device, bridge, address, isInStep, hosts, endpoints, entries, faults",
      entries: "that the kernel has to have: fdb, neighbours, routes",
    },
  },
};

/** What people name themselves, and what they wrote. */
const THEIR_OWN = ["labels", "configuration"];

/** The keys of a document that its verb's page has no word of. */
export function undocumentedKeys(verb: string, document: unknown): string[] {
  const { of = "", keys = {} } = JSON_KEYS[verb] ?? {};
  const told = new Set([of, ...Object.values(keys)].join(" ").match(/\w+/g));
  return [...new Set(keysOf(document))].filter((key) => !told.has(key));
}

function keysOf(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(keysOf);
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => [
    key,
    ...(THEIR_OWN.includes(key) ? [] : keysOf(inner)),
  ]);
}
