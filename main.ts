/**
 * The one executable. Called by the name of a plugin it is that plugin; as `weft`, the operator's tool.
 *
 * A link of any kind, a lookup on PATH and `exec -a` all show in argv0; when that is empty, the name of the
 * file counts. Process start is most of what a plugin costs: whatever is imported here is paid by every call.
 */
import { firstVersions, plugins } from "./plugins.ts";

const path = process.argv0 || process.execPath;
const name = path.slice(path.lastIndexOf("/") + 1);
const load = plugins.get(name);

if (load && process.env["CNI_COMMAND"] === "VERSION") {
  const { runVersionFrom } = await import("./lib/cni/run-version.ts");
  runVersionFrom(firstVersions.get(name));
} else if (load) {
  const { runPlugin } = await import("./lib/cni/run.ts");
  const { default: plugin } = await load();
  await runPlugin(plugin, { loadOwn: async (type) => (await plugins.get(type)?.())?.default });
} else if (name === "weft") {
  const { run } = await import("./cli/main.ts");
  await run();
} else if (name === "weft-attach-tap") {
  const { runTapAttach } = await import("./lib/tap-attach.ts"); // a child of the plugin tap
  runTapAttach();
} else if (name === "weft-ask-store") {
  const { runAskStore } = await import("./lib/store/child.ts"); // a child of a plugin whose store is etcd
  await runAskStore();
} else {
  const known = ["weft", ...plugins.keys()].join(", ");
  console.error(`Cannot run as "${name}": call this executable by one of its names: ${known}`);
  process.exitCode = 1;
}
