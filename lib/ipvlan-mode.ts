/**
 * The mode of a master's ipvlans: the kernel has one for all of them, and changes it for all when another is
 * made with another (drivers/net/ipvlan/ipvlan_main.c, ipvlan_link_new). Each attachment claims the mode it
 * needs, so that a network of another mode is refused, and not the ways of running containers changed.
 */
import { attachmentName } from "./alias.ts";
import { invalidConfig } from "./cni/error.ts";
import type { Call, GcCall } from "./cni/plugin.ts";
import type { Master } from "./master.ts";
import type { IpvlanFlag, IpvlanMode } from "./rtnetlink/link-kinds.ts";
import { claim, isOf, isStaleIn, listClaimants, listClaimed, lockClaims, releaseAll } from "./state/claim.ts";

const CLAIM = "ipvlan ";

/** Undone when ADD fails. @throws CniError 7 when the master has ipvlans of another mode or flag */
export function claimIpvlanMode(call: Call, { link }: Master, mode: IpvlanMode, flag: IpvlanFlag): void {
  using _lock = lockClaims();
  const start = `${CLAIM}${link.name} `;
  const wanted = `${start}${mode} ${flag}`;
  const other = listClaimed().find((what) => what.startsWith(start) && what !== wanted);
  if (other) {
    const [holder] = listClaimants(other);
    throw invalidConfig(
      `the ipvlans of "${link.name}" have mode and flag "${other.slice(start.length)}", not "${mode} ${flag}"`,
      `one master has one mode, and "${holder}" needs that one: use another master`,
    );
  }
  call.undo.defer(() => releaseIpvlanMode(call));
  claim(wanted, attachmentName(call));
}

/** DEL. */
export function releaseIpvlanMode(call: Call): void {
  releaseWhere(isOf(attachmentName(call)));
}

/** GC: for every attachment of the network that is not valid any more. */
export function releaseStaleIpvlanModes({ config, validAttachments }: GcCall): void {
  releaseWhere(isStaleIn(config.name, validAttachments));
}

function releaseWhere(isUnwanted: (claimant: string) => boolean): void {
  using _lock = lockClaims();
  releaseAll((claimant, what) => what.startsWith(CLAIM) && isUnwanted(claimant));
}
