/** weft network ls, weft network inspect: what networks there are. */
import { basename } from "node:path";
import { Command } from "commander";
import type { AttachmentView } from "./inventory/attachment.ts";
import { HostView, warnOfUnseen } from "./inventory/host-view.ts";
import { leasesOf } from "./networks/leases.ts";
import { type NetworkSummary, summaryOf } from "./networks/summary.ts";
import { networkNamed, usersOf } from "./networks/usage.ts";
import type { NetworkFile } from "./runtime/network-list.ts";
import { networksDirectory } from "./runtime-command.ts";
import { jsonText } from "./terminal/json.ts";
import { bold } from "./terminal/style.ts";
import { type Column, formatTable } from "./terminal/table.ts";

const COLUMNS: readonly Column[] = [
  { title: "NETWORK", shrink: 1 },
  { title: "DRIVER" },
  { title: "SUBNETS", shrink: 2, least: 15 },
  { title: "ON", shrink: 3, least: 10, dispensable: 1 },
  { title: "CONTAINERS", align: "right", dispensable: 2 },
  { title: "FILE", shrink: 4, least: 12, dispensable: 3 },
];

export function lsCommand(): Command {
  const description = "list the networks";
  return new Command("ls")
    .alias("list")
    .summary(description)
    .description(`${description}\n\n  weft network ls`)
    .option("--json", "as JSON")
    .option("-q, --quiet", "names only")
    .addHelpText("after", "\nExit status: 0.")
    .action(ls);
}

export function inspectCommand(): Command {
  const description = "show what a network is, and who is on it";
  return new Command("inspect")
    .summary(description)
    .description(`${description}\n\n  weft network inspect blue`)
    .argument("<network...>", "names of networks")
    .option("--json", "as JSON")
    .addHelpText("after", "\nExit status: 0, 1 no such network.")
    .action(showNetworks);
}

function ls(options: { json?: true; quiet?: true }): void {
  const directory = networksDirectory(process.env);
  using view = HostView.openReadable(directory);
  const rows = view.networks.map((network) => ({
    ...summaryOf(network),
    containers: new Set(usersOf(view, network.name).map(({ containerId }) => containerId)).size,
  }));
  if (options.json) console.log(jsonText(rows));
  else if (options.quiet) for (const { name } of rows) console.log(name);
  else if (rows.length === 0) console.log(`no networks in ${directory}; weft network create NAME makes one`);
  else {
    const cells = rows.map(({ name, driver, subnets, bridge, parent, containers, file }) => [
      name,
      driver,
      subnets.map(({ subnet }) => subnet).join(" ") || "-",
      bridge ?? parent ?? "-",
      String(containers),
      basename(file),
    ]);
    console.log(formatTable(COLUMNS, cells));
  }
  for (const { file, reason } of view.unreadable) console.error(`weft: ${file}: ${reason}`);
  warnOfUnseen(view);
}

/** What each is, and who is on it. @throws Error where there is no such network */
export function showNetworks(names: readonly string[], options: { json?: true | undefined }): void {
  const directory = networksDirectory(process.env);
  using view = HostView.openReadable(directory);
  const networks = names.map((name) => networkNamed(view, name, directory));
  if (options.json) {
    console.log(jsonText(networks.map((network) => documentOf(network, view))));
  } else {
    console.log(networks.map((network) => pageOf(network, view)).join("\n\n"));
  }
  warnOfUnseen(view);
}

function documentOf(network: NetworkFile, view: HostView): object {
  const containers = usersOf(view, network.name).map(
    ({ container, containerId, ifname, addresses, mac, state }) => ({
      container,
      containerId,
      ifname,
      addresses,
      mac,
      state,
    }),
  );
  return {
    ...summaryOf(network),
    leased: leasesOf(network),
    containers,
    configuration: JSON.parse(network.text),
  };
}

function pageOf(network: NetworkFile, view: HostView): string {
  const summary = summaryOf(network);
  const width = Math.max(...factsOf(summary, network).map(([name]) => name.length));
  const facts = factsOf(summary, network).map(([name, text]) => `  ${name.padEnd(width)}  ${text}`);
  const users = usersOf(view, network.name);
  return [bold(summary.name), ...facts, "", ...usersTable(users)].join("\n");
}

function factsOf(summary: NetworkSummary, network: NetworkFile): (readonly [name: string, text: string])[] {
  const { driver, isInternal, bridge, parent, subnets, nameservers } = summary;
  const { plugins, labels, created, file } = summary;
  const leased = leasesOf(network);
  return [
    ["driver", isInternal ? `${driver}, internal` : driver],
    ...(bridge === undefined ? [] : [["bridge", bridge] as const]),
    ...(parent === undefined ? [] : [["parent", parent] as const]),
    ...subnets.map(({ subnet, gateway, ranges }) => {
      const range = ranges.length > 0 ? `, containers get ${ranges.join(" and ")}` : "";
      return ["subnet", `${subnet}, gateway ${gateway}${range}`] as const;
    }),
    ...(leased === undefined ? [] : [["leased", `${leased} address${leased === 1 ? "" : "es"}`] as const]),
    ...(nameservers.length > 0 ? [["dns", nameservers.join(" ")] as const] : []),
    ["plugins", plugins.join(", ")],
    ...Object.entries(labels).map(([name, value]) => ["label", `${name}=${value}`] as const),
    ...(created === undefined ? [] : [["created", created] as const]),
    ["file", file],
  ];
}

function usersTable(users: readonly AttachmentView[]): string[] {
  if (users.length === 0) return ["  no containers"];
  const columns: readonly Column[] = [
    { title: "CONTAINER", shrink: 2 },
    { title: "INTERFACE" },
    { title: "ADDRESSES", shrink: 1 },
    { title: "STATE" },
  ];
  const rows = users.map(({ container, ifname, addresses, state }) => [
    container,
    ifname,
    addresses.join(" ") || "-",
    state,
  ]);
  return formatTable(columns, rows).split("\n");
}
