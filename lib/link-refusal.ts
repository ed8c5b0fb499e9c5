/** What the kernel means when it refuses to make an interface, in terms of the configuration. */
import { CniError } from "./cni/error.ts";
import type { Master } from "./master.ts";
import { NetlinkError } from "./netlink/error.ts";
import { type Link, linkByIndex, listLinks } from "./rtnetlink/link.ts";
import { MACVLAN_MODES, macvlan, vlan } from "./rtnetlink/link-kinds.ts";

/** What was asked for. */
interface Asked {
  readonly kind: string;
  readonly data?: Uint8Array | undefined;
}

/** The kernel's module of a kind, where that is called otherwise. */
const MODULES: Readonly<Record<string, string>> = { vlan: "8021q" };

/** What `make` returns. @throws CniError that says what stands in the way, where that is known */
export function explained<T>(asked: Asked, master: Master | undefined, make: () => T): T {
  try {
    return make();
  } catch (error) {
    const known = error instanceof NetlinkError ? explanation(error, asked, master) : undefined;
    if (!known) throw error;
    const [code, msg, details] = known;
    throw new CniError(code, msg, { details, cause: error });
  }
}

type Explanation = readonly [code: number, msg: string, details: string];

function explanation(
  { code }: NetlinkError,
  asked: Asked,
  master: Master | undefined,
): Explanation | undefined {
  const { kind } = asked;
  if (code === "EOPNOTSUPP") {
    const details = `load the module ${MODULES[kind] ?? kind}, or use a kernel that has it`;
    return [CniError.NOT_AVAILABLE, `the kernel has no ${kind} interfaces`, details];
  }
  if (!master) return undefined;
  const invalid = (msg: string, details: string): Explanation => [
    CniError.INVALID_NETWORK_CONFIG,
    msg,
    details,
  ];
  const { socket, link } = master;
  const { name } = link;
  if (code === "EBUSY" && link.master !== undefined) {
    return invalid(
      `"${name}" cannot be a master: it is a port of "${linkByIndex(socket, link.master).name}"`,
      "use that as the master",
    );
  }
  if (code === "EBUSY") {
    const details = "macvlan and ipvlan cannot share a master: use another, or a VLAN sub-interface of it";
    return invalid(`"${name}" already has interfaces of another kind than ${kind}`, details);
  }
  if (code === "EEXIST" && kind === "vlan") {
    const { id } = vlan.read(asked.data ?? new Uint8Array(0));
    const holds = (it: Link) => it.link === link.index && vlan.read(it.data).id === id;
    const holder = listLinks(socket, { kind: "vlan" }).find(holds);
    const details = `it is ${holder ? `"${holder.name}"` : "a container's"}: choose another "vlanId"`;
    return invalid(`VLAN ${id} of "${name}" is in use already`, details);
  }
  if (code === "EINVAL" && kind === "macvlan") {
    const isPassthru = macvlan.read(asked.data ?? new Uint8Array(0)).mode === MACVLAN_MODES.passthru;
    const msg = isPassthru
      ? `"${name}" is in use: a macvlan in mode passthru needs it for itself`
      : `"${name}" takes no further macvlan: one in mode passthru has it for itself, or it is not Ethernet`;
    return invalid(msg, 'choose another "master" or "mode"');
  }
  return undefined;
}
