/** Who uses a network, and what of it is left to be cleared away. */
import type { AttachmentView } from "../inventory/attachment.ts";
import type { HostView } from "../inventory/host-view.ts";
import type { NetworkFile } from "../runtime/network-list.ts";

/** The attachments whose interface is there: those that are gone are nobody's. */
export function usersOf(view: HostView, network: string): AttachmentView[] {
  return view.attachments.filter((each) => each.network === network && each.state !== "gone");
}

/** "web (eth0), default/db (eth1)" */
export function describeUsers(users: readonly AttachmentView[]): string {
  return users.map(({ container, ifname }) => `${container} (${ifname})`).join(", ");
}

/** @throws Error that says which networks there are */
export function networkNamed(view: HostView, name: string, directory: string): NetworkFile {
  const found = view.networks.find((network) => network.name === name);
  if (found) return found;
  const names = view.networks.map((network) => network.name);
  const there = names.length > 0 ? `it has ${names.join(", ")}` : "it has none (NETCONFPATH says where)";
  const problems = view.unreadable.map(({ file, reason }) => `\n  ${file}: ${reason}`);
  throw new Error(`no network "${name}" in ${directory}: ${there}${problems.join("")}`);
}
