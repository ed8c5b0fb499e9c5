/** Attachments as a table. */
import { green, red, yellow } from "../terminal/style.ts";
import { type Column, formatTable } from "../terminal/table.ts";
import type { AttachmentState, AttachmentView, PublishedPort } from "./attachment.ts";

const COLUMNS: readonly Column[] = [
  { title: "CONTAINER", shrink: 4, least: 12 },
  { title: "NETWORK", shrink: 3, least: 10 },
  { title: "IFNAME" },
  { title: "ADDRESSES", shrink: 5, least: 15 },
  { title: "HOST", shrink: 1, least: 12 },
  { title: "BRIDGE", shrink: 2, least: 8 },
  { title: "PORTS", shrink: 6, least: 14, isOptional: true },
  { title: "STATE" },
];

const PAINTS = { up: green, down: yellow, gone: red } as const satisfies Record<AttachmentState, unknown>;
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
    each.ports.map(formatPort).join(" ") || NOTHING,
    PAINTS[each.state](each.state),
  ]);
  return formatTable(COLUMNS, rows, width);
}

/** As Docker writes it: "8080->80/tcp", "192.0.2.1:53->53/udp", "[2001:db8::1]:80->80/tcp" */
export function formatPort({ hostPort, containerPort, protocol, hostIP }: PublishedPort): string {
  const host = hostIP.includes(":") ? `[${hostIP}]:` : hostIP && `${hostIP}:`;
  return `${host}${hostPort}->${containerPort}/${protocol}`;
}
