/**
 * ipvlan, which the kernel here may lack: measured on Debian's, in the machine that QEMU emulates for the
 * tests (conformance/second-kernel.ts).
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { UnavailableError } from "../conformance/fixtures/debian-package.ts";
import { startSecondKernel } from "../conformance/second-kernel.ts";
import { type EmulatedOrder, parseRows, type RowText } from "./emulated-rows.ts";

/** Boots the machine. `folder` is for what it is given. @returns no rows where there is no such machine */
export async function measureEmulated(folder: string, order: EmulatedOrder): Promise<RowText[]> {
  const start = join(folder, "emulated-start.ts"); // Node runs it there
  const args = JSON.stringify([join(import.meta.dir, "emulated-inside.ts"), JSON.stringify(order)]);
  const call = `spawnSync(${JSON.stringify(process.execPath)}, ${args}, { stdio: "inherit" })`;
  writeFileSync(
    start,
    `import { spawnSync } from "node:child_process";\nprocess.exitCode = ${call}.status ?? 1;\n`,
  );
  let messages = "";
  try {
    const { runs, off } = await startSecondKernel([start], (text) => {
      messages += text;
    });
    let rows: RowText[] | undefined;
    for (const { tap } of runs) {
      for await (const line of createInterface({ input: tap })) rows ??= parseRows(line);
    }
    await off;
    if (!rows) throw new Error(`The emulated machine did not answer: ${messages}`);
    return rows;
  } catch (error) {
    if (!(error instanceof UnavailableError)) throw error;
    console.error(`without ipvlan: ${error.message}`);
    return [];
  }
}
