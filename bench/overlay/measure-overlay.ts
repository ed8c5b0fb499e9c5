/** Has the overlay measured, where etcd and iperf3 are to be had. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { etcdLacks } from "../../conformance/fixtures/etcd.ts";
import { runInNamespaces } from "../host.ts";
import { OVERLAY_CASES, type OverlayFigures } from "./figures.ts";
import type { OverlayOrder } from "./inside.ts";

/** `folder` is for what is thrown away. @returns nothing where nothing was asked for, or it cannot be done */
export async function measureOverlay(
  folder: string,
  order: Omit<OverlayOrder, "file">,
): Promise<OverlayFigures> {
  if (!Object.values(OVERLAY_CASES).some((name) => name.includes(order.only))) return {};
  const lacks = Bun.which("iperf3") ? await etcdLacks() : "iperf3 is not installed";
  if (lacks !== undefined) {
    console.error(`without overlay: ${lacks}`);
    return {};
  }
  const file = join(folder, "overlay.json");
  const inside: OverlayOrder = { ...order, file };
  const status = runInNamespaces(join(import.meta.dir, "inside.ts"), [JSON.stringify(inside)]);
  if (status !== 0) throw new Error("The overlay could not be measured");
  return JSON.parse(readFileSync(file, "utf8"));
}
