/** Published ports as a table; adjacent ones that lead to adjacent ones are a line. */
import { green, red, yellow } from "../terminal/style.ts";
import { type Column, formatTable } from "../terminal/table.ts";
import type { PortState, PortView } from "./ports.ts";

const COLUMNS: readonly Column[] = [
  { title: "PORT" },
  { title: "ADDRESS", shrink: 2, least: 15, dispensable: 2 },
  { title: "LEADS TO", shrink: 4, least: 22, dispensable: 1 },
  { title: "CONTAINER", shrink: 3, least: 12 },
  { title: "NETWORK", shrink: 2, least: 10, dispensable: 3 },
  { title: "BY", shrink: 1, least: 8, dispensable: 4 },
  { title: "STATE" },
];

const PAINTS = {
  open: green,
  missing: red,
  "no such address": yellow,
  unknown: yellow,
} as const satisfies Record<PortState, unknown>;

interface Run extends PortView {
  readonly last: number;
}

export function formatPorts(ports: readonly PortView[], width?: number): string {
  const rows = runsOf(ports).map((run) => [
    `${range(run.hostPort, run)}/${run.protocol}`,
    run.hostIP || "any",
    run.to.map((text) => text.replace(/\d+$/, (port) => range(Number(port), run))).join(" "),
    run.container,
    run.network,
    run.by,
    PAINTS[run.state](run.state),
  ]);
  return formatTable(COLUMNS, rows, width);
}

/** "8000-8010": as many ports as the run has, from this one on. */
function range(first: number, { hostPort, last }: Run): string {
  return last === hostPort ? String(first) : `${first}-${first + last - hostPort}`;
}

function runsOf(ports: readonly PortView[]): Run[] {
  const runs: Run[] = [];
  for (const port of ports) {
    const at = runs.findIndex((run) => run.last + 1 === port.hostPort && groupOf(run) === groupOf(port));
    const before = runs[at];
    if (before) runs[at] = { ...before, last: port.hostPort };
    else runs.push({ ...port, last: port.hostPort });
  }
  return runs;
}

/** What the ports of a run have in common. */
function groupOf({
  protocol,
  hostIP,
  containerId,
  network,
  ifname,
  hostPort,
  containerPort,
  by,
  state,
}: PortView) {
  return [protocol, hostIP, containerId, network, ifname, hostPort - containerPort, by, state].join(" ");
}
