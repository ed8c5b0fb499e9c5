/**
 * The built executable is a plugin under every name, and nothing else under any circumstances. What Bun's
 * executables take from their directory and environment is shown to be taken by an open build of the same
 * sources, and not by ours.
 */
import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { compileExecutable } from "../scripts/executable.ts";
import { BUILT_PLUGINS, PROJECT } from "./fixtures/project.ts";

const OURS = join(BUILT_PLUGINS, "loopback");
const PLUGINS = readdirSync(join(PROJECT, "plugins")).sort();
const NEEDS_STRACE = { skip: spawnSync("strace", ["-V"]).error ? "strace is missing" : false };
const scratch = mkdtempSync(join(tmpdir(), "weft-hardening-"));
t.teardown(() => rmSync(scratch, { recursive: true }));

/** The same sources, compiled with every hole open. */
const OPEN = join(scratch, "open", "loopback");
mkdirSync(join(scratch, "open"));
compileExecutable(join(PROJECT, "main.ts"), OPEN, { open: true });

interface Answer {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

interface Call {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly args?: readonly string[];
}

/** VERSION, unless the environment says otherwise. */
function call(
  command: readonly string[],
  { cwd = "/", env = { CNI_COMMAND: "VERSION" }, args = [] }: Call = {},
): Answer {
  const [file = "", ...rest] = command;
  const input = '{"cniVersion":"1.1.0"}';
  const { status, stdout, stderr } = spawnSync(file, [...rest, ...args], {
    cwd,
    env,
    input,
    encoding: "utf8",
  });
  return { status, stdout, stderr };
}

/** Exactly what it answers to VERSION when nothing is in its way. */
const ANSWER = call([OURS]);

/** A directory with these files in it. */
function directoryWith(files: Readonly<Record<string, string>>): string {
  const directory = mkdtempSync(join(scratch, "cwd-"));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
  return directory;
}

/** What leaves a trace of having been run: the file "ran" in the directory it is run in. */
const PLANTED = 'require("fs").writeFileSync("ran", "")';

t.test("VERSION is answered", async (t) => {
  t.equal(ANSWER.status, 0);
  t.equal(ANSWER.stderr, "");
  t.hasStrict(JSON.parse(ANSWER.stdout), { cniVersion: "1.1.0" });
  t.same(call([OPEN]), ANSWER, "the open build is the same program");
});

t.test(".env in the current directory sets no variable", async (t) => {
  const cwd = directoryWith({ ".env": "CNI_COMMAND=VERSION\n" });
  t.same(call([OPEN], { cwd, env: {} }), ANSWER, "open: it does");
  t.match(call([OURS], { cwd, env: {} }), { stdout: "", stderr: "CNI loopback plugin" });
});

t.test("bunfig.toml in the current directory runs nothing", async (t) => {
  const files = { "bunfig.toml": 'preload = ["./planted.js"]\n', "planted.js": PLANTED };
  t.ok(runsPlanted(OPEN, directoryWith(files)), "open: it does");
  neverRuns(t, directoryWith(files));
});

t.test("no file of the current directory is opened", NEEDS_STRACE, async (t) => {
  const names = [
    ".env",
    ".env.local",
    "bunfig.toml",
    "tsconfig.json",
    "package.json",
    "libc.so.6",
    "libm.so.6",
  ];
  const cwd = directoryWith(Object.fromEntries(names.map((name) => [name, ""])));
  const opened = (executable: string) => {
    const trace = join(scratch, "trace");
    call(["strace", "-f", "-y", "-e", "trace=file", "-o", trace, executable], { cwd });
    return names.filter((name) =>
      readFileSync(trace, "utf8").includes(name.startsWith("lib") ? `${cwd}/${name}` : name),
    );
  };
  for (const name of [".env", "bunfig.toml", "tsconfig.json", "package.json"]) {
    t.ok(opened(OPEN).includes(name), `open: ${name} is`);
  }
  t.same(opened(OURS), []);
});

t.test("BUN_OPTIONS gives no options", async (t) => {
  const preload = { BUN_OPTIONS: "--preload ./planted.js" };
  t.ok(runsPlanted(OPEN, directoryWith({ "planted.js": PLANTED }), preload), "open: it does");
  neverRuns(t, directoryWith({ "planted.js": PLANTED }), preload);
  for (const option of ["--version", "--help", "--no-such-option", "--cwd=/nonexistent"]) {
    const env = { CNI_COMMAND: "VERSION", BUN_OPTIONS: option };
    if (option === "--version")
      t.not(call([OPEN], { env }).stdout, ANSWER.stdout, `open: ${option} is taken`);
    t.same(call([OURS], { env }), ANSWER, `${option} is not`);
  }
});

t.test("BUN_BE_BUN does not make it bun", async (t) => {
  const args = ["-e", PLANTED];
  t.ok(runsPlanted(OPEN, directoryWith({}), { BUN_BE_BUN: "1" }, args), "open: it does");
  neverRuns(t, directoryWith({}), { BUN_BE_BUN: "1" }, args);
});

t.test("BUN_INSPECT opens no port, and does not keep it from its work", NEEDS_STRACE, async (t) => {
  const parameters = {
    CNI_COMMAND: "ADD",
    CNI_CONTAINERID: "c",
    CNI_NETNS: "/n",
    CNI_IFNAME: "eth0",
    CNI_PATH: "/",
  };
  const waiting = (executable: string, env: Readonly<Record<string, string>>) => {
    const trace = join(scratch, "trace");
    // The debugger comes up on a thread of its own: stdin stays open until it has.
    const script = `sleep 1 | strace -f -e trace=listen,connect -o ${trace} ${executable}`;
    const answer = call(["timeout", "10", "sh", "-c", script], {
      env: { ...process.env, ...parameters, ...env },
    });
    return { answer, calls: readFileSync(trace, "utf8").match(/\b(listen|connect)\(/g) ?? [] };
  };
  const undisturbed = waiting(OURS, {});
  t.match(undisturbed, { answer: { status: 1, stdout: '"code":' }, calls: [] });
  for (const variable of [
    { BUN_INSPECT: "127.0.0.1:0" },
    { BUN_INSPECT_CONNECT_TO: join(scratch, "socket") },
  ]) {
    t.not(waiting(OPEN, variable).calls.length, 0, `open: ${Object.keys(variable)} does`);
    t.same(waiting(OURS, variable), undisturbed);
  }
});

t.test("BUN_INSPECT_PRELOAD runs nothing, and does not keep it from its work", async (t) => {
  // Nor does it in an open build. Closed by flags alone, it was seen to end with an EvalError at once.
  for (const more of [{}, { BUN_INSPECT: "127.0.0.1:0" }, { BUN_INSPECT_CONNECT_TO: "127.0.0.1:1" }]) {
    neverRuns(t, directoryWith({ "planted.js": PLANTED }), { BUN_INSPECT_PRELOAD: "./planted.js", ...more });
  }
});

t.test("NODE_OPTIONS is nothing to it", async (t) => {
  // Bun takes no notice of it in any build: seen to fail when run by node itself.
  const variables = { NODE_OPTIONS: "--require ./planted.js" };
  t.ok(
    runsPlanted(process.execPath, directoryWith({ "planted.js": PLANTED }), variables, ["-e", "0"]),
    "node does",
  );
  neverRuns(t, directoryWith({ "planted.js": PLANTED }), variables);
});

for (const variable of ["BUN_BYTECODE_ORDER_OUT", "BUN_BYTECODE_DIGEST_OUT"]) {
  t.test(`${variable} writes no file`, async (t) => {
    t.ok(runsPlanted(OPEN, directoryWith({}), { [variable]: "ran" }), "open: it does");
    neverRuns(t, directoryWith({}), { [variable]: "ran" });
  });
}

t.test("text never becomes code, nor a file machine code", async (t) => {
  // The same flags on a program that tries: those of the plugins cannot be made to.
  const source = join(scratch, "attempts.ts");
  writeFileSync(
    source,
    `import { cc } from "bun:ffi";
    const attempts = {
      text: () => Reflect.construct(Function, ["return 1"])(),
      addon: () => process.dlopen({ exports: {} }, "/nonexistent.node"),
      c: () => cc({ source: "/nonexistent.c", symbols: { f: {} } }),
    };
    for (const [name, attempt] of Object.entries(attempts)) {
      try { attempt(); console.log(name, "done"); }
      catch (error) { console.log(name, error.code ?? error.name); }
    }`,
  );
  const said = (open: boolean) => {
    const executable = join(scratch, `attempts-${open}`);
    compileExecutable(source, executable, { open });
    return call([executable]).stdout.trim().split("\n");
  };
  const refusals = ["text EvalError", "addon ERR_DLOPEN_DISABLED", "c ERR_FFI_CC_DISABLED"];
  const open = said(true);
  t.same(said(false), refusals);
  t.equal(open.length, refusals.length);
  for (const refusal of refusals) t.notOk(open.includes(refusal), `open: not ${refusal}`);
  const flags = "--disallow-code-generation-from-strings=strict --no-ffi-cc --no-addons --no-install";
  t.ok(readFileSync(OURS).includes(flags), "and those flags are in the executable");
  t.notOk(readFileSync(OPEN).includes(flags));
});

/** A copy of the sources, somewhere else. */
function copyOfTree(): string {
  const tree = mkdtempSync(join(scratch, "tree-"));
  const { dependencies } = JSON.parse(readFileSync(join(PROJECT, "package.json"), "utf8"));
  const packages = Object.keys(dependencies).map((name) => join("node_modules", name));
  const sources = [
    "main.ts",
    "plugins.ts",
    "package.json",
    "tsconfig.json",
    "lib",
    "plugins",
    "agent",
    "cli",
    "generated",
  ];
  for (const part of [...sources, ...packages]) {
    cpSync(join(PROJECT, part), join(tree, part), { recursive: true });
  }
  return tree;
}

t.test("the same sources give the same bytes, wherever they are built", async (t) => {
  const built = [join(copyOfTree(), "main.ts"), join(PROJECT, "main.ts")].map((entry) => {
    const executable = join(mkdtempSync(join(scratch, "built-")), "weft");
    compileExecutable(entry, executable);
    return readFileSync(executable);
  });
  t.ok(built[0]?.equals(built[1] ?? Buffer.of()));
});

t.test("each name loads its own plugin and no other", async (t) => {
  // With a word put in at the end of each plugin that says when it is loaded.
  const tree = copyOfTree();
  for (const name of PLUGINS) {
    const main = join(tree, "plugins", name, "main.ts");
    writeFileSync(main, `${readFileSync(main, "utf8")}\nconsole.error("loaded ${name}");\n`);
  }
  compileExecutable(join(tree, "main.ts"), join(tree, "weft"));
  const loadedAs = (name: string, env: Readonly<Record<string, string>>) => {
    const { stderr } = call([join(tree, name)], { env, args: name === "weft" ? ["--version"] : [] });
    return stderr.match(/(?<=^loaded )\S+$/gm) ?? [];
  };
  for (const name of PLUGINS) {
    linkSync(join(tree, "weft"), join(tree, name));
    t.same(loadedAs(name, {}), [name]);
    t.same(loadedAs(name, { CNI_COMMAND: "VERSION" }), [], "VERSION is answered without it");
  }
  t.same(loadedAs("weft", {}), []);
});

t.test("it is called by its name, however it is called", async (t) => {
  const directory = directoryWith({});
  const weft = join(BUILT_PLUGINS, "weft");
  const isLoopback = (command: readonly string[], options: Call, how: string) => {
    const { stdout, stderr } = call(command, { env: {}, ...options });
    t.match({ stdout, stderr }, { stdout: "", stderr: /^CNI loopback plugin v/ }, how);
  };
  isLoopback([OURS], {}, "hard link");
  isLoopback(["./loopback"], { cwd: BUILT_PLUGINS }, "relative path");
  isLoopback(["loopback"], { env: { PATH: BUILT_PLUGINS } }, "found on PATH");
  symlinkSync(weft, join(directory, "loopback"));
  isLoopback([join(directory, "loopback")], {}, "symbolic link");
  copyFileSync(weft, join(scratch, "loopback"));
  isLoopback([join(scratch, "loopback")], {}, "copy");
  isLoopback(["bash", "--norc", "-c", `exec -a /opt/cni/bin/loopback "${weft}"`], {}, "exec -a");
  isLoopback(["bash", "--norc", "-c", `exec -a "" "${OURS}"`], {}, "no argv[0]: the name of the file");

  symlinkSync(weft, join(directory, "nonesuch"));
  t.match(call([join(directory, "nonesuch")]), {
    status: 1,
    stdout: "",
    stderr: /^Cannot run as "nonesuch": call .*\n$/,
  });
  for (const name of ["constructor", "__proto__", "bun", "node"]) {
    t.match(call(["bash", "--norc", "-c", `exec -a ${name} "${weft}"`]), { status: 1, stdout: "" }, name);
  }
});

function runsPlanted(
  executable: string,
  cwd: string,
  variables: Readonly<Record<string, string>> = {},
  args: readonly string[] = [],
): boolean {
  call([executable], { cwd, args, env: { CNI_COMMAND: "VERSION", ...variables } });
  return existsSync(join(cwd, "ran"));
}

/** Ours does not run what is planted, and answers as ever. */
function neverRuns(
  t: Test,
  cwd: string,
  variables: Readonly<Record<string, string>> = {},
  args: readonly string[] = [],
): void {
  t.same(call([OURS], { cwd, args, env: { CNI_COMMAND: "VERSION", ...variables } }), ANSWER);
  t.notOk(existsSync(join(cwd, "ran")), "nothing was run");
}
