/**
 * main.ts with marks between its phases, for the bench alone: the same steps
 * in the same order, compiled in the same way. What is shipped has no marks.
 */
import { runPlugin } from "../../lib/cni/run.ts";
import { nowNs } from "../../lib/sys/clock.ts";
import { plugins } from "../../plugins.ts";
import { endOf, reportMoments } from "./marks.ts";

endOf("entry");
const path = process.argv0 || process.execPath;
const load = plugins.get(path.slice(path.lastIndexOf("/") + 1));
if (!load) throw new Error(`There is no plugin "${path}"`);
const { default: plugin } = await load();
endOf("load");

const exit = process.exit;
process.exit = (code) => {
  endOf("answer");
  console.error(reportMoments(nowNs()));
  return exit(code);
};
const phased: typeof plugin = {
  ...plugin,
  add(call) {
    endOf("input");
    const result = plugin.add(call);
    endOf("work");
    return result;
  },
  del(call) {
    endOf("input");
    plugin.del(call);
    endOf("work");
  },
};
await runPlugin(phased, { loadOwn: async (type) => (await plugins.get(type)?.())?.default });
