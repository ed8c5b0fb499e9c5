/** weft network create. */
import { Command } from "commander";
import { collect } from "./collect-option.ts";
import { createNetwork } from "./networks/create.ts";
import { DRIVERS, OPTIONS } from "./networks/driver-options.ts";
import { type SubnetSummary, summaryOf } from "./networks/summary.ts";
import { networksDirectory, runtimeOf } from "./runtime-command.ts";

interface Options {
  readonly driver: string;
  readonly subnet?: string[];
  readonly gateway?: string[];
  readonly ipRange?: string[];
  readonly auxAddress?: string[];
  readonly ipv6?: true;
  readonly internal?: true;
  readonly opt?: string[];
  readonly dns?: string[];
  readonly dnsSearch?: string[];
  readonly dnsOption?: string[];
  readonly label?: string[];
  readonly force?: true;
  readonly dryRun?: true;
}

export function createCommand(): Command {
  const description = "make a network";
  return new Command("create")
    .summary(description)
    .description(
      `${description}

Writes /etc/cni/net.d/weft-NAME.conflist, which containerd, nerdctl and podman
read as well. What is left open is chosen: a subnet that no network, address or
route of this host has, a gateway, a bridge.

  weft network create blue
  weft network create lan --driver macvlan --opt parent=eth0.10 \\
    --subnet 192.168.10.0/24 --gateway 192.168.10.1 --ip-range 192.168.10.128/26`,
    )
    .argument("<name>", "of the network")
    .option("-d, --driver <driver>", DRIVERS.join(", "), "bridge")
    .option("--subnet <prefix>", "one of IPv4, one of IPv6; 0.0.0.0/26 is any free one of that size", collect)
    .option("--gateway <address>", "of a subnet; its first address unless given", collect)
    .option("--ip-range <prefix>", "part of a subnet that containers get addresses of", collect)
    .option("--aux-address <address>", "never to be given to a container; also name=address", collect)
    .option("--ipv6", "with an IPv6 subnet as well, a free one unless given")
    .option("--internal", "containers reach each other and nothing else")
    .option("-o, --opt <key=value>", "an option of the driver, see below", collect)
    .option("--dns <address>", "name server for the containers", collect)
    .option("--dns-search <domain>", "search domain for the containers", collect)
    .option("--dns-option <option>", "resolver option for the containers", collect)
    .option("--label <name=value>", "kept in the file, for you", collect)
    .option("--force", "even where a route or address of the host overlaps, or a plugin is not ready")
    .option("--dry-run", "print the file instead of writing it")
    .addHelpText("after", optionsHelp())
    .action(create);
}

function create(name: string, options: Options): void {
  const network = createNetwork(
    {
      name,
      driver: options.driver,
      options: options.opt ?? [],
      subnets: options.subnet ?? [],
      gateways: options.gateway ?? [],
      ranges: options.ipRange ?? [],
      reserved: options.auxAddress ?? [],
      internal: options.internal ?? false,
      ipv6: options.ipv6 ?? false,
      dns: options.dns ?? [],
      dnsSearch: options.dnsSearch ?? [],
      dnsOptions: options.dnsOption ?? [],
      force: options.force ?? false,
    },
    {
      directory: networksDirectory(process.env),
      runtime: runtimeOf(process.env),
      labels: labelsOf(options.label ?? []),
      isDryRun: options.dryRun ?? false,
    },
  );
  if (options.dryRun) {
    console.log(network.text.trimEnd());
    return;
  }
  const { driver, bridge, parent, subnets, isInternal } = summaryOf(network);
  const place = bridge ?? parent;
  const kind = [isInternal ? "internal" : "", driver, place].filter(Boolean).join(" ");
  console.log(`${name}: ${[kind, ...subnets.map(describeSubnet)].join(", ")}\n${network.file}`);
}

function describeSubnet({ subnet, gateway }: SubnetSummary): string {
  return `${subnet} by ${gateway}`;
}

/** @throws SyntaxError */
function labelsOf(pairs: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf("=");
      if (at < 1) throw new SyntaxError(`--label ${pair} is not key=value`);
      return [pair.slice(0, at), pair.slice(at + 1)];
    }),
  );
}

function optionsHelp(): string {
  const lines = OPTIONS.flatMap(({ name, value, meaning, drivers, aliases = [] }) => {
    const of = drivers.length === DRIVERS.length ? "every driver" : drivers.join(", ");
    const also = aliases.length === 0 ? [] : [`    also ${aliases.join(", ")}`];
    return [`  ${name}=${value} (${of})`, `    ${meaning}`, ...also];
  });
  return `\nOptions of the drivers (--opt):\n${lines.join("\n")}

Exit status: 0 made, 1 not begun: what is in the way is named,
2 a plugin refuses.`;
}
