/** Kinds of interfaces that a kernel may lack. */
import { look } from "./look.ts";

/** What `ip link add … type` takes, and the kernel's module. */
const KINDS = {
  vlan: ["vlan id 1", "8021q"],
  macvlan: ["macvlan mode bridge", "macvlan"],
  ipvlan: ["ipvlan mode l2", "ipvlan"],
  vxlan: ["vxlan id 1 dstport 4789", "vxlan"],
} as const;

/** What this kernel cannot make of these, by the module's name: each is tried on a cable of its own. */
export function missingModules(kinds: readonly (keyof typeof KINDS)[]): string[] {
  const missing = kinds.filter((kind) => {
    look("ip link add probe0 type veth peer name probe1");
    const { status } = look(`ip link add link probe0 name probe2 type ${KINDS[kind][0]}`);
    look("ip link del probe2"); // vxlan would stay
    look("ip link del probe0");
    return status !== 0;
  });
  return missing.map((kind) => KINDS[kind][1]);
}
