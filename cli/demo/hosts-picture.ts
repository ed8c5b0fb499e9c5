/**
 * Draws several hosts and the switch that their cables go to:
 *
 *     ┌─ host1 ───────┐ ┌─ host2 ───────┐
 *     │  ┌─ web ───┐  │ │  ┌─ api ───┐  │
 *     │  └────┬────┘  │ │  └────┬────┘  │
 *     │   …           │ │   …           │
 *     └───────┬───────┘ └───────┬───────┘
 *       eth0 192.0.2.1    eth0 192.0.2.2
 *     ┌─ switch ┴───────────────┴───────┐
 *     └─────────────────────────────────┘
 */
import { drawPicture, type Picture } from "./picture.ts";

export interface PictureHost extends Picture {
  readonly title: string;
  /** What is written at its cable. */
  readonly cable: readonly string[];
}

export function drawHosts(hosts: readonly PictureHost[], switchName: string): string[] {
  const pictures = hosts.map((host) => drawPicture(host));
  const height = Math.max(...pictures.map(({ length }) => length));
  const columns = pictures.map((lines, i) => {
    const width = lines[0]?.length ?? 0;
    const middle = width >> 1;
    const centred = (text: string) => text.padStart((width + text.length) >> 1).padEnd(width);
    const last = lines.at(-1) ?? "";
    const empty = Array<string>(height - lines.length).fill(" ".repeat(width));
    const bottom = `${last.slice(0, middle)}┬${last.slice(middle + 1)}`;
    return [...empty, ...lines.slice(0, -1), bottom, ...(hosts[i]?.cable ?? []).map(centred)];
  });
  const rows =
    columns[0]?.map((_, row) =>
      columns
        .map((column) => column[row] ?? "")
        .join(" ")
        .trimEnd(),
    ) ?? [];
  const inner = Math.max(...rows.map(({ length }) => length)) - 2;
  const top = [...`┌${`─ ${switchName} `.padEnd(inner, "─")}┐`];
  let left = 0;
  for (const [{ length } = ""] of columns) {
    top[left + (length >> 1)] = "┴";
    left += length + 1;
  }
  return [...rows, top.join(""), `└${"─".repeat(inner)}┘`];
}
