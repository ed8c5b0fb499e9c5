/**
 * Tap devices: an Ethernet interface whose other end is a program that opened it, such as a virtual machine.
 */
import { CniError } from "./cni/error.ts";
import { failed } from "./interface.ts";
import { inNetns, type Netns } from "./netns/netns.ts";
import type { Link } from "./rtnetlink/link.ts";
import { tun } from "./rtnetlink/tun.ts";
import { inExecContext } from "./selinux.ts";
import * as libc from "./sys/libc.ts";
import { MULTI_QUEUE } from "./tap-attach.ts";
import { attachTap, IFF_TAP, openTun, persistTap, setTapOwner, type TapName } from "./tun-device.ts";

const ATTACH_TIMEOUT_MS = 10_000;

export interface TapOptions {
  readonly multiQueue: boolean;
  /** Who may open it without CAP_NET_ADMIN: undefined is everybody who may open /dev/net/tun. */
  readonly owner: number | undefined;
  readonly group: number | undefined;
  /** The SELinux context of its label; undefined is this process's own. */
  readonly selinuxContext: string | undefined;
}

/**
 * Makes a persistent tap in the namespace. Equivalent to `ip tuntap add NAME mode tap …`. `configure` does
 * what else belongs to it; until that is done a kill leaves nothing, because the device goes with the file.
 */
export function createTap(
  netns: Netns,
  { name, ...options }: TapOptions & { name: string },
  configure: () => void,
): void {
  const { multiQueue, selinuxContext } = options;
  const fd = inNetns(netns, openTun);
  try {
    if (selinuxContext === undefined) attachTap(fd, { name, multiQueue });
    else attachTapAs(selinuxContext, fd, { name, multiQueue });
    setTapOwner(fd, options);
    configure();
    persistTap(fd);
  } finally {
    libc.close(fd);
  }
}

/** attachTap() by a child process that is this executable in that context (lib/tap-attach.ts). */
function attachTapAs(context: string, fd: number, { name, multiQueue }: TapName): void {
  const child = inExecContext({ key: "selinuxContext", context }, () => {
    const args = [name, ...(multiQueue ? [MULTI_QUEUE] : [])];
    try {
      return Bun.spawnSync({
        cmd: ["/proc/self/exe", ...args],
        argv0: "weft-attach-tap",
        env: {},
        stdin: fd,
        stdout: "pipe",
        stderr: "inherit",
        timeout: ATTACH_TIMEOUT_MS,
      });
    } catch (cause) {
      throw new CniError(CniError.IO_FAILURE, `cannot run anything in the context "${context}"`, { cause });
    }
  });
  if (child.exitCode === 0) return;
  const { code, msg, details } = parseError(child.stdout.toString());
  throw new CniError(code, msg, { details });
}

/** The error that the child answered with. */
function parseError(text: string): { code: number; msg: string; details: string } {
  try {
    const { code, msg, details = "" } = JSON.parse(text);
    if (typeof code === "number" && typeof msg === "string") return { code, msg, details: String(details) };
  } catch {
    // It was killed, or not allowed to answer.
  }
  return { code: CniError.IO_FAILURE, msg: "the process that makes the tap failed", details: text };
}

/** @throws CniError 50 when no tap can be made here */
export function checkTapAvailable(): void {
  libc.close(openTun());
}

/** Checks that a link of the kind "tun" is the tap that these options make. @throws CniError 100 */
export function checkTap({ name, data }: Link, { multiQueue, owner, group }: TapOptions): void {
  const held = tun.read(data);
  if (held.type !== IFF_TAP) throw failed(`Interface ${name} is not a tap`);
  if (held.persist === 0) throw failed(`Interface ${name} is not persistent: it goes with who has it open`);
  const expected = { owner, group, multiQueue: Number(multiQueue) };
  for (const key of ["owner", "group", "multiQueue"] as const) {
    if (held[key] === expected[key]) continue;
    throw failed(
      `Interface ${name} ${key} doesn't match: ${shown(expected[key])} expected, ${shown(held[key])} found`,
    );
  }
}

function shown(value: number | undefined): string {
  return value === undefined ? "none" : String(value);
}
