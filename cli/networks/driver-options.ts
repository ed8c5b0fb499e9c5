/** What --opt takes: for each driver the keys, by our names and by those that Docker and podman have. */
import { nearestName } from "../containers/nearest.ts";

export const DRIVERS = ["bridge", "macvlan", "ipvlan", "vxlan", "ptp"] as const;
export type Driver = (typeof DRIVERS)[number];

export const ISOLATIONS = ["same-bridge", "isolated", "published", "open"] as const;
export type Isolation = (typeof ISOLATIONS)[number];

export interface DriverOptions {
  readonly bridge?: string;
  readonly mtu?: number;
  readonly icc?: boolean;
  readonly isolation?: Isolation;
  readonly masquerade?: boolean;
  readonly hairpin?: boolean;
  readonly parent?: string;
  readonly vlan?: number;
  readonly mode?: string;
  readonly flag?: string;
  readonly hostAccess?: boolean;
  readonly vni?: number;
  readonly port?: number;
  readonly dev?: string;
  readonly local?: string;
  readonly remotes?: readonly string[];
  readonly group?: string;
  readonly etcd?: readonly string[];
  readonly hostLength?: number;
}

interface OptionKind {
  readonly key: keyof DriverOptions;
  /** As --opt takes it. */
  readonly name: string;
  readonly drivers: readonly Driver[];
  /** Docker's and podman's names of it. */
  readonly aliases?: readonly string[];
  readonly read: (text: string) => unknown;
  /** For the help: the value, and what it does. */
  readonly value: string;
  readonly meaning: string;
}

const BRIDGED = ["bridge", "vxlan"] as const;
const NATTED = ["bridge", "vxlan", "ptp"] as const;
const ON_A_PARENT = ["macvlan", "ipvlan"] as const;

export const OPTIONS: readonly OptionKind[] = [
  {
    key: "bridge",
    name: "bridge",
    drivers: BRIDGED,
    aliases: ["com.docker.network.bridge.name"],
    read: readText,
    value: "NAME",
    meaning: "name of the bridge; br- and the network's unless given",
  },
  {
    key: "mtu",
    name: "mtu",
    drivers: DRIVERS,
    aliases: ["com.docker.network.driver.mtu"],
    read: integerOf(68, 65_535),
    value: "BYTES",
    meaning: "MTU of the containers' interfaces",
  },
  {
    key: "icc",
    name: "icc",
    drivers: BRIDGED,
    aliases: ["com.docker.network.bridge.enable_icc"],
    read: readFlag,
    value: "false",
    meaning: "keep containers of the network from each other",
  },
  {
    key: "isolation",
    name: "isolation",
    drivers: BRIDGED,
    aliases: ["isolate"],
    read: readIsolation,
    value: ISOLATIONS.join("|"),
    meaning: "who reaches the containers (firewall's ingressPolicy)",
  },
  {
    key: "masquerade",
    name: "masquerade",
    drivers: NATTED,
    aliases: ["com.docker.network.bridge.enable_ip_masquerade"],
    read: readFlag,
    value: "false",
    meaning: "let the containers' own addresses be seen outside",
  },
  {
    key: "hairpin",
    name: "hairpin",
    drivers: BRIDGED,
    read: readFlag,
    value: "true",
    meaning: "put ports of the bridge into hairpin mode",
  },
  {
    key: "parent",
    name: "parent",
    drivers: ON_A_PARENT,
    aliases: ["master"],
    read: readText,
    value: "INTERFACE",
    meaning: "interface of the host; eth0.10 is made if need be",
  },
  {
    key: "vlan",
    name: "vlan",
    drivers: ON_A_PARENT,
    read: integerOf(1, 4094),
    value: "ID",
    meaning: "VLAN of the parent",
  },
  {
    key: "mode",
    name: "mode",
    drivers: ["macvlan", "ipvlan", "vxlan"],
    aliases: ["macvlan_mode", "ipvlan_mode"],
    read: readText,
    value: "MODE",
    meaning: "bridge|private|vepa|passthru; l2|l3|l3s; bridged|routed",
  },
  {
    key: "flag",
    name: "flag",
    drivers: ["ipvlan"],
    aliases: ["ipvlan_flag"],
    read: readText,
    value: "FLAG",
    meaning: "bridge|private|vepa: whether containers reach each other",
  },
  {
    key: "hostAccess",
    name: "host-access",
    drivers: ["macvlan"],
    read: readFlag,
    value: "true",
    meaning: "let host and containers reach each other",
  },
  {
    key: "vni",
    name: "vni",
    drivers: ["vxlan"],
    read: integerOf(1, 16_777_215),
    value: "NUMBER",
    meaning: "VXLAN network identifier, the same on all hosts",
  },
  {
    key: "remotes",
    name: "remotes",
    drivers: ["vxlan"],
    read: readList,
    value: "ADDRESS,…",
    meaning: "the other hosts; or group, or etcd",
  },
  {
    key: "group",
    name: "group",
    drivers: ["vxlan"],
    read: readText,
    value: "ADDRESS",
    meaning: "multicast group that the hosts find each other by",
  },
  {
    key: "etcd",
    name: "etcd",
    drivers: ["vxlan"],
    read: readEndpoints,
    value: "URL,…|true",
    meaning: "the store; true takes /etc/weft/etcd.json",
  },
  {
    key: "hostLength",
    name: "host-length",
    drivers: ["vxlan"],
    read: integerOf(1, 126),
    value: "BITS",
    meaning: "mode=routed: prefix length of a host's subnet",
  },
  {
    key: "dev",
    name: "dev",
    drivers: ["vxlan"],
    read: readText,
    value: "INTERFACE",
    meaning: "by which this host reaches the others",
  },
  {
    key: "local",
    name: "local",
    drivers: ["vxlan"],
    read: readText,
    value: "ADDRESS",
    meaning: "of this host, or a subnet that it is in",
  },
  {
    key: "port",
    name: "port",
    drivers: ["vxlan"],
    read: integerOf(1, 65_535),
    value: "PORT",
    meaning: "UDP port, the same on all hosts; 4789 unless given",
  },
];

/** @throws SyntaxError */
export function readDriver(text: string): Driver {
  const driver = DRIVERS.find((each) => each === text);
  if (driver) return driver;
  const hint: Readonly<Record<string, string>> = {
    overlay: "an overlay is --driver vxlan",
    host: "it needs no network: weft run --network host",
    none: "it needs no network: weft run --network none",
    null: "it needs no network: weft run --network none",
  };
  throw new SyntaxError(`no driver "${text}": ${hint[text] ?? `there are ${DRIVERS.join(", ")}`}`);
}

/** @param pairs "key=value". @throws SyntaxError */
export function readDriverOptions(driver: Driver, pairs: readonly string[]): DriverOptions {
  const options: Record<string, unknown> = {};
  for (const pair of pairs) {
    const at = pair.indexOf("=");
    const [name, value] = at < 0 ? [pair, ""] : [pair.slice(0, at), pair.slice(at + 1)];
    const kind = OPTIONS.find((each) => each.name === name || each.aliases?.includes(name));
    if (!kind?.drivers.includes(driver)) throw unknownOption(driver, name);
    if (value === "") throw new SyntaxError(`--opt ${name} has no value: --opt ${name}=${kind.value}`);
    if (kind.key in options) throw new SyntaxError(`--opt ${name} is given twice`);
    try {
      options[kind.key] = kind.read(value);
    } catch (error) {
      throw new SyntaxError(`--opt ${pair}: ${error instanceof Error ? error.message : error}`);
    }
  }
  return options; // each read by the line of its key
}

function unknownOption(driver: Driver, name: string): SyntaxError {
  const names = OPTIONS.filter(({ drivers }) => drivers.includes(driver)).map((kind) => kind.name);
  const nearest = nearestName(name, names);
  const question = nearest === undefined ? "" : `; did you mean ${nearest}?`;
  return new SyntaxError(`driver ${driver} has no option "${name}": it has ${names.join(", ")}${question}`);
}

function readText(text: string): string {
  return text;
}

function readList(text: string): string[] {
  return text.split(",").map((word) => word.trim());
}

/** Empty where the host's own file has them. */
function readEndpoints(text: string): string[] {
  return text === "true" ? [] : readList(text);
}

function readFlag(text: string): boolean {
  const flag = { true: true, "1": true, false: false, "0": false }[text.toLowerCase()];
  if (flag === undefined) throw new SyntaxError("neither true nor false");
  return flag;
}

/** podman's isolate=true is the isolation between networks that is the default here. */
function readIsolation(text: string): Isolation {
  const words: Readonly<Record<string, Isolation>> = {
    true: "same-bridge",
    strict: "same-bridge",
    false: "open",
  };
  const found = ISOLATIONS.find((each) => each === text) ?? words[text];
  if (!found) throw new SyntaxError(`not one of ${ISOLATIONS.join(", ")}`);
  return found;
}

function integerOf(least: number, most: number): (text: string) => number {
  return (text) => {
    const number = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (number >= least && number <= most) return number;
    throw new SyntaxError(`not a number from ${least} to ${most}`);
  };
}
