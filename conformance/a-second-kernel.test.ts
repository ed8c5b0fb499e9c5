/**
 * The files listed here run on Debian's own kernel, as they are, and their tests count as tests of this file.
 * On this machine's kernel each runs as a file of its own as well, and skips what that kernel lacks.
 *
 * It takes longest, and so is called to be the first: tap starts files in the order of their names.
 */
import { join } from "node:path";
import { IN_SECOND_KERNEL } from "./fixtures/kernel.ts";
import { PROJECT } from "./fixtures/project.ts";
import { relay } from "./second-kernel.ts";

/** In conformance/. */
const FILES = [
  "vlan-device.test.ts",
  "bridge-vlan.test.ts",
  "port-sctp.test.ts",
  "host-device-pci.test.ts",
  "demo-underlay.test.ts",
  "documentation.test.ts",
  "tap-selinux.test.ts",
  "macvlan.test.ts",
  "host-access.test.ts",
  "sub-interface.test.ts",
  "ipvlan.test.ts",
  "vlan.test.ts",
  "dummy.test.ts",
  "internal-network.test.ts",
  "underlay-refusals.test.ts",
  "underlay-results.test.ts",
  "underlay-check.test.ts",
  "underlay-del.test.ts",
  "differential-underlay.test.ts",
  "ptp.test.ts",
  "tap.test.ts",
  "shared-things.test.ts",
  "tool-doctor-limits.test.ts",
  "loopback-guard.test.ts",
];

/** Some of them alone: "ptp.test.ts tap.test.ts". */
const wanted = process.env["WEFT_SECOND_KERNEL_FILES"]?.split(" ").filter(Boolean) ?? [];
const files = wanted.length > 0 ? FILES.filter((file) => wanted.includes(file)) : FILES;

const CONSOLE_TAIL = 4_000; // characters: enough for a kernel's last words

let tail = "";
if (IN_SECOND_KERNEL) console.log("1..0 # SKIP this is the second kernel");
else {
  process.exitCode = await relay(
    files.map((file) => join(PROJECT, "conformance", file)),
    (text) => {
      tail = (tail + text).slice(-CONSOLE_TAIL);
    },
  );
  if (process.exitCode !== 0) console.error(tail);
}
