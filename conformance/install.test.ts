/** `weft install` of the built executable. What it does to other files there is tested beside it, in cli/. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  copyFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { BUILT_PLUGINS, PROJECT } from "./fixtures/project.ts";

const WEFT = join(BUILT_PLUGINS, "weft");
const NAMES = ["weft", ...readdirSync(join(PROJECT, "plugins"))].sort();
const scratch = mkdtempSync(join(tmpdir(), "weft-install-"));
t.teardown(() => rmSync(scratch, { recursive: true }));

function install(
  executable: string,
  directory: string,
): { status: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(executable, ["install", "--to", directory], {
    encoding: "utf8",
  });
  return { status, stdout, stderr };
}

t.test("weft install puts one executable there, under every name", async (t) => {
  const bin = join(scratch, "opt/cni/bin");
  t.match(install(WEFT, bin), { status: 0, stdout: `installed in ${bin}: weft, bridge, `, stderr: "" });
  t.same(readdirSync(bin).sort(), NAMES);
  const { ino, size } = statSync(join(bin, "weft"));
  for (const name of NAMES) t.equal(statSync(join(bin, name)).ino, ino, name);
  t.equal(size, statSync(WEFT).size);
  const env = { CNI_COMMAND: "VERSION" };
  const { stdout } = spawnSync(join(bin, "host-local"), { env, input: "{}", encoding: "utf8" });
  t.ok(JSON.parse(stdout).supportedVersions.includes("1.1.0"));
  t.same(install(WEFT, bin), { status: 0, stdout: `${bin} is up to date\n`, stderr: "" });
  t.equal(statSync(join(bin, "weft")).ino, ino);
});

t.test("weft install replaces executables while they run, and they finish their work", async (t) => {
  const bin = join(scratch, "busy");
  install(WEFT, bin);
  const before = statSync(join(bin, "weft")).ino;
  const env = { CNI_COMMAND: "DEL", CNI_CONTAINERID: "c", CNI_IFNAME: "lo", CNI_PATH: bin };
  const running = spawn(join(bin, "loopback"), { env, stdio: ["pipe", "pipe", "inherit"] });
  await once(running, "spawn");
  t.throws(() => writeFileSync(join(bin, "weft"), ""), { code: "ETXTBSY" });

  const newer = join(mkdtempSync(join(scratch, "newer-")), "weft");
  copyFileSync(WEFT, newer);
  writeFileSync(newer, "\n", { flag: "a" }); // a version that differs, and runs all the same
  t.match(install(newer, bin), { status: 0, stdout: `installed in ${bin}: weft, bridge, ` });
  t.not(statSync(join(bin, "weft")).ino, before);
  t.ok(readFileSync(join(bin, "loopback")).equals(readFileSync(newer)));

  running.stdin.end('{"cniVersion":"1.1.0","name":"n","type":"loopback"}');
  const [code] = await once(running, "exit");
  t.equal(code, 0, "what was running is served by the old one to its end");
});

t.test("weft install says what is wrong in one line", async (t) => {
  const file = join(scratch, "file");
  writeFileSync(file, "");
  t.match(install(WEFT, join(file, "bin")), {
    status: 1,
    stdout: "",
    stderr: /^weft: Cannot install to ".*\/file\/bin": ENOTDIR.*\(a part of the path is a file\)\n$/,
  });
  t.match(install(WEFT, "/proc/nowhere"), {
    status: 1,
    stderr: /^weft: Cannot install to "\/proc\/nowhere": ENOENT.*\n$/,
  });
});
