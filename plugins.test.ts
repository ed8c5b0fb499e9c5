import { expect, test } from "bun:test";
import { ALL_VERSIONS, versionsFrom } from "./lib/cni/version.ts";
import { firstVersions, plugins } from "./plugins.ts";

test("firstVersions has for each plugin what it says itself", async () => {
  for (const [name, load] of plugins) {
    const first = firstVersions.get(name);
    const { default: plugin } = await load();
    expect({ name, versions: plugin.versions }).toEqual({
      name,
      versions: first === undefined ? ALL_VERSIONS : versionsFrom(first),
    });
  }
});
