/** Forwarding tables for people. */
import { fold } from "../terminal/fold.ts";
import { countOf } from "../terminal/quantity.ts";
import { bold, dim, green, type Paint, red } from "../terminal/style.ts";
import { type Column, formatTable } from "../terminal/table.ts";
import type { BridgeEntry, BridgeTable } from "./fdb.ts";
import type { EntryState, OverlayEntry, OverlayTable } from "./overlay-entries.ts";

const BRIDGE_COLUMNS: readonly Column[] = [
  { title: "MAC" },
  { title: "PORT", shrink: 2, least: 12 },
  { title: "WHOSE", shrink: 3, least: 12 },
  { title: "HOW", shrink: 4, least: 10 },
];
const OVERLAY_COLUMNS: readonly Column[] = [
  { title: "MAC" },
  { title: "ADDRESSES", shrink: 4, least: 15 },
  { title: "HOST", shrink: 3, least: 10 },
  { title: "VTEP", shrink: 2, least: 15 },
  { title: "STATE", shrink: 1, least: 10 },
];
const NOTHING = "-";

const PAINTS: Readonly<Record<EntryState, Paint>> = {
  "in step": green,
  missing: red,
  surplus: red,
  differs: red,
  static: (text) => text,
  learned: (text) => text,
  flood: (text) => text,
};

export function formatBridgeTable({ bridge, networks, entries }: BridgeTable, width?: number): string[] {
  const on =
    networks.length > 0 ? `  ${networks.length === 1 ? "network" : "networks"} ${networks.join(", ")}` : "";
  const title = fold(`bridge ${bold(bridge)}${on}`, { hanging: 2, width });
  if (entries.length === 0) return [...title, dim("no container has been heard of yet")];
  const rows = entries.map((entry) => [
    entry.mac,
    portText(entry),
    entry.owner || NOTHING,
    originText(entry),
  ]);
  return [...title, formatTable(BRIDGE_COLUMNS, rows, width)];
}

function portText({ port, vlan }: BridgeEntry): string {
  return vlan === undefined ? port : `${port} VLAN ${vlan}`;
}

function originText({ origin, usedS }: BridgeEntry): string {
  if (origin === "own") return "port's own";
  if (origin === "store") return "by agent";
  if (origin === "static" || usedS === undefined) return origin;
  return `learned, used ${Math.round(usedS)} s ago`;
}

export function formatOverlayTable(table: OverlayTable, width?: number): string[] {
  const { network, device, vni, source, entries } = table;
  const wrong = entries.filter(isFault).length;
  const state =
    source === "kernel"
      ? "as the kernel has it: no agent says what has to be there"
      : wrong > 0
        ? red(`${countOf(wrong, "entry", "entries")} not as the store says`)
        : green("as the store says");
  const title = fold(`overlay ${bold(network)}  VNI ${vni}, ${device}: ${state}`, { hanging: 2, width });
  if (entries.length === 0) return [...title, dim("nothing is known of another host")];
  const rows = entries.map((entry) => [
    entry.mac,
    entry.addresses.join(" ") || NOTHING,
    entry.host || NOTHING,
    entry.vtep || NOTHING,
    PAINTS[entry.state](stateText(entry)),
  ]);
  return [...title, formatTable(OVERLAY_COLUMNS, rows, width)];
}

function stateText({ state, differences }: OverlayEntry): string {
  return differences.length > 0 ? `${state}: ${differences.join(", ")}` : state;
}

/** Whether the kernel has something else than the store says. */
export function isFault({ state }: OverlayEntry): boolean {
  return state === "missing" || state === "surplus" || state === "differs";
}
