/** Measures the overlay, inside namespaces of its own; its argument is an OverlayOrder, as JSON. */
import { writeFileSync } from "node:fs";
import { setUpHost } from "../host.ts";
import { measureAddresses } from "./addresses.ts";
import { measureAgent } from "./agent-scale.ts";
import { OVERLAY_CASES, type OverlayFigures } from "./figures.ts";
import { measurePaths } from "./paths.ts";
import { measureReach } from "./reach.ts";

export interface OverlayOrder {
  /** The folder of our executables. */
  readonly dir: string;
  /** Only cases with this in their name. */
  readonly only: string;
  readonly rounds?: number | undefined;
  /** The file to write: OverlayFigures. */
  readonly file: string;
}

const { dir, only, rounds, file }: OverlayOrder = JSON.parse(process.argv[2] ?? "");
setUpHost();

async function wanted<T>(name: string, measure: () => Promise<T>): Promise<T | undefined> {
  if (!name.includes(only)) return undefined;
  console.error(name);
  return await measure();
}

const figures: OverlayFigures = {
  paths: await wanted(OVERLAY_CASES.paths, () => measurePaths(dir, rounds)),
  reach: await wanted(OVERLAY_CASES.reach, () => measureReach(dir, rounds)),
  agent: await wanted(OVERLAY_CASES.agent, () => measureAgent(dir)),
  addresses: await wanted(OVERLAY_CASES.addresses, () => measureAddresses(dir)),
};
writeFileSync(file, JSON.stringify(figures));
