import { expect, test } from "bun:test";
import { findSearchPath, pluginDirectoriesOf } from "./search-path.ts";

test.each([
  ['version = 2\n[plugins."io.containerd.grpc.v1.cri".cni]\nbin_dir = "/usr/lib/cni"', ["/usr/lib/cni"]],
  ['[plugins.cri.cni]\nbin_dir = "/opt/cni/bin"', ["/opt/cni/bin"]],
  [
    "version = 3\n[plugins.'io.containerd.cri.v1.runtime'.cni]\nbin_dir = ''\nbin_dirs = ['/usr/lib/cni', '/opt/cni/bin']",
    ["/usr/lib/cni", "/opt/cni/bin"],
  ],
  ['[plugins."io.containerd.grpc.v1.cri".cni]\nconf_dir = "/etc/cni/net.d"', []],
  ["version = 3", []],
  ["", []],
  ["no = = TOML", []],
])("pluginDirectoriesOf() reads %j", (config, directories) => {
  expect(pluginDirectoriesOf(config)).toEqual(directories);
});

test("findSearchPath() has CNI_PATH where that is set", () => {
  const path = ["/usr/lib/cni", "/opt/cni/bin"];
  const runtime = { path, environment: { CNI_PATH: path.join(":") }, cacheDirectory: "" };
  expect(findSearchPath(runtime)).toEqual({ whose: "CNI_PATH", directories: path, places: path });
});
