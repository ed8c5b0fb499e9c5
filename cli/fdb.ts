/** weft fdb: behind which port of a bridge, and on which host of an overlay, each MAC is. */

import { Command } from "commander";
import { EXIT_FAILED } from "./failure.ts";
import { readBridgeTables } from "./inventory/fdb.ts";
import { formatBridgeTable, formatOverlayTable, isFault } from "./inventory/fdb-text.ts";
import { HostView, warnOfUnseen } from "./inventory/host-view.ts";
import { readOverlayTables } from "./inventory/overlay-entries.ts";
import { networksDirectory } from "./runtime-command.ts";
import { jsonText } from "./terminal/json.ts";

interface Options {
  readonly all?: boolean;
  readonly json?: true;
}

export function command(): Command {
  const description = "behind which port of a bridge, and on which host of an overlay, each MAC is";
  return new Command("fdb")
    .summary(description)
    .description(
      `${description}

Of each bridge what it has learned, and whose MACs these are. Of each overlay
what the kernel has for the other hosts, beside what the store says has to be
there, where weft agent runs.

  weft fdb
  weft fdb docker0`,
    )
    .argument("[bridge]", "name of a bridge, a network or a VXLAN device: that alone")
    .option("-a, --all", "the ports' own MACs, too")
    .option("--json", "as JSON: an object")
    .addHelpText(
      "after",
      "\nExit status: 0 shown; 1 not begun; 2 the kernel has something else than the\nstore says.",
    )
    .action(fdb);
}

function fdb(name: string | undefined, { all = false, json }: Options): void {
  using view = HostView.openReadable(networksDirectory(process.env));
  const isMeant = (...names: readonly string[]) => name === undefined || names.includes(name);
  const everyBridge = readBridgeTables(view, { all });
  const everyOverlay = readOverlayTables(view.host);
  const bridges = everyBridge.filter(({ bridge, networks }) => isMeant(bridge, ...networks));
  const overlays = everyOverlay.filter(({ network, device }) => isMeant(network, device));
  if (name !== undefined && bridges.length + overlays.length === 0) {
    const names = [...everyBridge.map(({ bridge }) => bridge), ...everyOverlay.map(({ network }) => network)];
    const there = names.length > 0 ? `there are ${names.join(", ")}` : "there is none";
    throw new Error(`no bridge, overlay or network with a bridge is "${name}": ${there}`);
  }
  if (json) console.log(jsonText({ bridges, overlays }));
  else {
    const sections = [
      ...bridges.map((each) => formatBridgeTable(each)),
      ...overlays.map((each) => formatOverlayTable(each)),
    ];
    const text = sections.map((lines) => lines.join("\n")).join("\n\n");
    console.log(text || "this host has no bridge and no overlay");
  }
  warnOfUnseen(view);
  if (overlays.some(({ entries }) => entries.some(isFault))) process.exitCode = EXIT_FAILED;
}
