/** Attachments as a table. */
import { green, red, yellow } from "../terminal/style.ts";
import { type Column, formatTable } from "../terminal/table.ts";
import type { AttachmentState, AttachmentView, PublishedPort } from "./attachment.ts";

const COLUMNS: readonly Column[] = [
  { title: "CONTAINER", shrink: 4, least: 20 },
  { title: "NETWORK", shrink: 3, least: 10, dispensable: 1 },
  { title: "IFNAME" },
  { title: "ADDRESSES", shrink: 5, least: 15, dispensable: 2 },
  { title: "HOST", shrink: 1, least: 12 },
  { title: "BRIDGE", shrink: 2, least: 8, dispensable: 3 },
  { title: "PORTS", shrink: 6, least: 14, dispensable: 4 },
  { title: "STATE" },
];

const PAINTS = { up: green, down: yellow, gone: red, unknown: yellow } as const satisfies Record<
  AttachmentState,
  unknown
>;
const NOTHING = "-";

/** One line each. */
export function formatAttachments(attachments: readonly AttachmentView[], width?: number): string {
  const rows = attachments.map((each) => [
    each.container,
    each.network,
    each.ifname,
    each.addresses.map((prefix) => prefix.split("/")[0]).join(" ") || NOTHING,
    each.hostLink?.name ?? NOTHING,
    each.bridge ?? (each.kind === "veth" ? NOTHING : each.kind || NOTHING),
    formatPublished(each.ports).join(" ") || NOTHING,
    PAINTS[each.state](each.state),
  ]);
  return formatTable(COLUMNS, rows, width);
}

/** As Docker writes them, a run in one: "8080->80/tcp", "192.0.2.1:53->53/udp", "9000-9003->80-83/tcp" */
export function formatPublished(ports: readonly PublishedPort[]): string[] {
  const runs: { first: PublishedPort; last: PublishedPort }[] = [];
  for (const port of ports) {
    const run = runs.find(({ last }) => isNext(last, port));
    if (run) run.last = port;
    else runs.push({ first: port, last: port });
  }
  return runs.map(({ first, last }) => {
    const { hostIP, protocol } = first;
    const host = hostIP.includes(":") ? `[${hostIP}]:` : hostIP && `${hostIP}:`;
    const to = span(first.containerPort, last.containerPort);
    return `${host}${span(first.hostPort, last.hostPort)}->${to}/${protocol}`;
  });
}

function isNext(last: PublishedPort, port: PublishedPort): boolean {
  return (
    port.hostPort === last.hostPort + 1 &&
    port.containerPort === last.containerPort + 1 &&
    port.protocol === last.protocol &&
    port.hostIP === last.hostIP
  );
}

function span(first: number, last: number): string {
  return first === last ? `${first}` : `${first}-${last}`;
}
