import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { input } from "../../lib/testing/probe.ts";

const BOOT_ID = "/proc/sys/kernel/random/boot_id";

/** A machine that has just booted, as far as it shows: clock since boot, boot_id, empty /run. */
const NAMESPACES = ["--mount", "--time", "--fork"];
/** And /proc, mounted just now. */
const WITH_PROC = [...NAMESPACES, "--pid", "--mount-proc"];

const reason = findReason();
const bootTest = (name: string, body: () => Promise<void>) =>
  test.skipIf(reason !== "")(name + reason, body, 30_000);

function findReason(): string {
  const { exitCode, stderr } = Bun.spawnSync(["unshare", ...WITH_PROC, "--boottime", "-1", "true"]);
  return exitCode === 0 ? "" : ` [skipped: needs root and time namespaces: ${stderr.toString().trim()}]`;
}

/** A directory of leases that "old" has one in, from before anything that happens next. */
async function withOldLease(use: (dataDir: string) => Promise<void>): Promise<void> {
  const dataDir = mkdtempSync(join(tmpdir(), "weft-boot-"));
  try {
    mkdirSync(`${dataDir}/net`);
    writeFileSync(`${dataDir}/net/10.1.0.2`, "old\r\neth0");
    await use(dataDir);
  } finally {
    rmSync(dataDir, { recursive: true });
  }
}

/** Runs a shell script and then the commands, "ADD c1", on a machine that booted after the lease was made. */
async function afterBoot(
  dataDir: string,
  bootId: string,
  {
    script = "",
    commands,
    namespaces = WITH_PROC,
  }: { script?: string; commands: string[]; namespaces?: string[] },
): Promise<void> {
  const ipam = { type: "host-local", dataDir, ranges: [[{ subnet: "10.1.0.0/24" }]] };
  const stdin = JSON.stringify({ cniVersion: "1.1.0", name: "net", type: "host-local", ipam });
  const requests = commands.map((command) => {
    const [name = "", id = ""] = command.split(" ");
    return { environment: input(name, {}, { CNI_CONTAINERID: id }).environment, stdin };
  });
  writeFileSync(`${dataDir}/boot_id`, `${bootId}\n`);
  writeFileSync(
    `${dataDir}/run.ts`,
    `import { callPlugin } from "${import.meta.dir}/../../lib/cni/plugin.ts";
     import hostLocal from "${import.meta.dir}/main.ts";
     for (const request of ${JSON.stringify(requests)}) callPlugin(hostLocal, request);`,
  );
  const shell = `
    set -e
    mount -t tmpfs run /run
    mount --bind ${dataDir}/boot_id ${BOOT_ID}
    cd ${dataDir}/net
    ${script}
    exec ${process.execPath} ${dataDir}/run.ts`;
  const since = await uptimeAfterWholeSecond();
  const child = Bun.spawn(["unshare", ...namespaces, `--boottime=-${since}`, "sh", "-c", shell], {
    stderr: "pipe",
  });
  const complaint = await new Response(child.stderr).text();
  if ((await child.exited) !== 0) throw new Error(complaint);
}

/** Seconds since boot, of which less than a tenth is left out, and at least one after now. */
async function uptimeAfterWholeSecond(): Promise<number> {
  const uptime = () => Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]);
  const from = uptime() + 1;
  for (;;) {
    const now = uptime();
    if (now > from && now % 1 < 0.1) return Math.floor(now);
    await Bun.sleep(20); // time itself is awaited
  }
}

function leases(dataDir: string): string {
  const names = readdirSync(`${dataDir}/net`)
    .filter((name) => /^\d/.test(name))
    .sort();
  return names
    .map((name) => `${name}=${readFileSync(`${dataDir}/net/${name}`, "utf8").split("\r")[0]}`)
    .join(" ");
}

bootTest("ADD removes leases of an earlier boot, and none that another made in this one", () =>
  withOldLease(async (dataDir) => {
    const script = "printf 'new\\r\\neth0' > 10.1.0.3";
    await afterBoot(dataDir, "boot-2", { script, commands: ["ADD c1", "ADD c2"] });
    expect(leases(dataDir)).toBe("10.1.0.2=c1 10.1.0.3=new 10.1.0.4=c2");
    expect(readFileSync(`${dataDir}/net/boot_id`, "utf8")).toBe("boot-2");

    await afterBoot(dataDir, "boot-3", { commands: ["ADD c3"] });
    expect(leases(dataDir)).toBe("10.1.0.5=c3");
  }),
);

bootTest("ADD removes nothing a second time in one boot, whatever the clock says by then", () =>
  withOldLease(async (dataDir) => {
    writeFileSync(`${dataDir}/net/boot_id`, "boot-2");
    await afterBoot(dataDir, "boot-2", { commands: ["ADD c1"] });
    expect(leases(dataDir)).toBe("10.1.0.2=old 10.1.0.3=c1");
  }),
);

bootTest("ADD removes nothing that is younger than /proc, though the clock was set since", () =>
  withOldLease(async (dataDir) => {
    await afterBoot(dataDir, "boot-2", { commands: ["ADD c1"], namespaces: NAMESPACES });
    expect(leases(dataDir)).toBe("10.1.0.2=old 10.1.0.3=c1");
  }),
);

bootTest("STATUS counts leases of an earlier boot as free, and leaves them", () =>
  withOldLease(async (dataDir) => {
    for (let host = 3; host < 255; host++) writeFileSync(`${dataDir}/net/10.1.0.${host}`, "old\r\neth0");
    await afterBoot(dataDir, "boot-2", { commands: ["STATUS"] });
    expect(leases(dataDir).split(" ")).toHaveLength(253);
    await afterBoot(dataDir, "boot-3", { commands: ["ADD c1"] });
    expect(leases(dataDir)).toBe("10.1.0.2=c1");
  }),
);
