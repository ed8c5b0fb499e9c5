/** weft topology: draws the whole host, for the terminal or as a figure. */

import { writeFileSync } from "node:fs";
import { Command } from "commander";
import { HostView, warnOfUnseen } from "./inventory/host-view.ts";
import { pictureOf } from "./picture/host-picture.ts";
import { pictureJson } from "./picture/picture-json.ts";
import { drawFigure } from "./picture/svg-drawing.ts";
import { drawHost } from "./picture/terminal-drawing.ts";
import { networksDirectory } from "./runtime-command.ts";
import { jsonText } from "./terminal/json.ts";

interface Options {
  readonly svg?: string;
  readonly json?: true;
}

export function command(): Command {
  const description = "draw the host: bridges, uplinks, overlays, and each container at its cable";
  return new Command("topology")
    .summary(description)
    .description(
      `${description}

  weft topology
  weft topology --svg host.svg      # a figure for a document`,
    )
    .option("--svg <file>", 'write a figure in SVG; "-" is standard output')
    .option("--json", "what there is to draw, as JSON: an object")
    .addHelpText("after", "\nExit status: 0 drawn, 1 not begun.")
    .action(topology);
}

function topology({ svg, json }: Options): void {
  if (svg === "") throw new Error('--svg needs the name of a file, or "-"');
  using view = HostView.openReadable(networksDirectory(process.env));
  const picture = pictureOf(view);
  if (json) console.log(jsonText(pictureJson(picture)));
  else if (svg === undefined) for (const line of drawHost(picture)) console.log(line);
  else if (svg === "-") console.log(drawFigure(picture).trimEnd());
  else writeFileSync(svg, drawFigure(picture));
  warnOfUnseen(view);
}
