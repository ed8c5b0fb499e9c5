/** Lets Node 20 read TypeScript: bun strips the types of a file as it is loaded, and lowers `using`. */
import { execFileSync } from "node:child_process";
import { register } from "node:module";
import { basename, dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { isMainThread } from "node:worker_threads";

// Also without npx and its PATH.
const BUN = fileURLToPath(new URL("../node_modules/.bin/bun", import.meta.url));

// Node runs this file twice: as --import in the test's process, and as the loader in a thread of its own.
if (isMainThread) register(import.meta.url);

export async function load(url, context, nextLoad) {
  if (!url.endsWith(".ts")) return nextLoad(url, context);
  const path = fileURLToPath(url);
  const args = ["build", `./${basename(path)}`, "--target=node", "--external=*", "--sourcemap=inline"];
  const source = execFileSync(BUN, args, { cwd: dirname(path), encoding: "utf8" });
  return { format: "module", shortCircuit: true, source };
}
