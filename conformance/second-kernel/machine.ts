/**
 * What QEMU boots: Debian's kernel, an initramfs made for this run, and the root file system of this machine
 * over 9p.
 */
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { execa } from "execa";
import { UnavailableError, unpackedPackage } from "../fixtures/debian-package.ts";
import { PROJECT } from "../fixtures/project.ts";

const QEMU = "/usr/bin/qemu-system-x86_64";
const BUSYBOX = "/bin/busybox";
const MEMORY_MIB = 2048;

// What it takes to reach the host's files and to be heard; modules.dep adds what these need.
const BOOT_MODULES = ["virtio_pci", "9pnet_virtio", "9p", "overlay", "virtio_console"];

/**
 * Network cards, for host-device-pci.test.ts: those on one hub hear each other, and nothing else. Their
 * drivers are modules, which that test loads.
 */
const NETWORK_CARDS = [
  { device: "virtio-net-pci", address: "10", mac: "52:54:00:00:00:10", hub: 0 },
  { device: "virtio-net-pci", address: "11", mac: "52:54:00:00:00:11", hub: 0 },
  { device: "e1000", address: "12", mac: "52:54:00:00:00:12", hub: 1 },
];

export interface Kernel {
  image: string;
  release: string;
  /** Folder of the unpacked lib/modules. */
  modules: string;
}

/** Returns the kernel, downloaded and indexed if need be. Throws UnavailableError with what is missing. */
export async function debianKernel(): Promise<Kernel> {
  if (process.arch !== "x64")
    throw new UnavailableError(`the second kernel is for x64, this is ${process.arch}`);
  for (const [path, name] of Object.entries({ [QEMU]: "qemu-system-x86", [BUSYBOX]: "busybox-static" })) {
    if (!existsSync(path)) throw new UnavailableError(`${path} is missing (Debian package ${name})`);
  }
  const { root } = await unpackedPackage("linux-image-amd64", { dependency: true });
  const { stdout } = await execa("ls", [join(root, "lib/modules")]);
  const release = stdout.trim();
  const modules = join(root, "lib/modules");
  if (!existsSync(join(modules, release, "modules.dep"))) await execa("depmod", ["-b", root, release]);
  return { image: join(root, "boot", `vmlinuz-${release}`), release, modules };
}

/** Writes the initramfs into `work` and returns its path. `settings` are variables of init.sh. */
export async function makeInitramfs(
  kernel: Kernel,
  work: string,
  settings: Record<string, string>,
): Promise<string> {
  const root = join(work, "initramfs");
  for (const folder of ["bin", "dev", "modules", "proc", "sys"])
    mkdirSync(join(root, folder), { recursive: true });
  copyFileSync(BUSYBOX, join(root, "bin/busybox"));
  copyFileSync(join(PROJECT, "conformance/second-kernel/init.sh"), join(root, "init"));
  chmodSync(join(root, "init"), 0o755);
  const order = loadOrder(kernel);
  for (const path of order) await copyModule(path, join(root, "modules", moduleFile(path)));
  writeFileSync(join(root, "modules/order"), order.map(moduleFile).join("\n"));
  const lines = Object.entries(settings).map(
    ([name, value]) => `${name}='${value.replaceAll("'", "'\\''")}'\n`,
  );
  writeFileSync(join(root, "settings"), lines.join(""));
  const archive = join(work, "initramfs.cpio");
  await execa({ cwd: root, shell: true })`find . | cpio --quiet -o -H newc > ${archive}`;
  return archive;
}

/**
 * Returns the command that boots it: emulated, so that it runs everywhere. The console is its stdout. A
 * second processor, guards against speculation and a clock that is a device would nearly double the work of
 * emulating.
 */
export function machineCommand(kernel: Kernel, initramfs: string, tapSocket: string): string[] {
  const args = [
    ["-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio"],
    ["-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max", "-smp", "1", "-m", `${MEMORY_MIB}`],
    [
      "-kernel",
      kernel.image,
      "-initrd",
      initramfs,
      "-append",
      "console=ttyS0 quiet panic=-1 security=selinux selinux=1 mitigations=off tsc=reliable",
    ],
    ["-virtfs", "local,path=/,mount_tag=host,security_model=none,multidevs=remap,readonly=on"],
    ["-device", "virtio-serial-pci", "-chardev", `socket,id=tap,path=${tapSocket}`],
    ["-device", "virtserialport,chardev=tap,name=tap"],
    ...NETWORK_CARDS.flatMap(({ device, address, mac, hub }, index) => [
      ["-netdev", `hubport,id=n${index},hubid=${hub}`],
      ["-device", `${device},netdev=n${index},addr=${address},mac=${mac},romfile=`],
    ]),
  ];
  return [QEMU, ...args.flat()];
}

/** Returns the files of the modules to load, each after those that it needs. */
function loadOrder({ modules, release }: Kernel): string[] {
  const folder = join(modules, release);
  const builtin = readFileSync(join(folder, "modules.builtin"), "utf8");
  const needs = new Map<string, string[]>();
  for (const line of readFileSync(join(folder, "modules.dep"), "utf8").split("\n")) {
    const [path = "", others = ""] = line.split(":");
    needs.set(moduleName(path), [path, ...others.split(" ").filter(Boolean)]);
  }
  const order = new Set<string>();
  for (const name of BOOT_MODULES) {
    // modules.dep names the farthest need last
    for (const path of needs.get(name)?.toReversed() ?? []) order.add(join(folder, path));
    const known = needs.has(name) || builtin.includes(`/${name}.ko`);
    if (!known) throw new UnavailableError(`kernel ${release} has no module ${name}`);
  }
  return [...order];
}

/** Newer Debians compress modules; busybox's insmod does not read that. */
async function copyModule(from: string, to: string): Promise<void> {
  if (from.endsWith(".ko")) copyFileSync(from, to);
  else await execa("xz", ["-dc", from], { stdout: { file: to } });
}

function moduleFile(path: string): string {
  return basename(path).replace(/\.ko\..*$/, ".ko");
}

function moduleName(path: string): string {
  return basename(path)
    .replace(/\.ko.*$/, "")
    .replaceAll("-", "_");
}
