/** Containers that live where this process does not see: in namespaces of other mounts or processes. */
import { type Stats, statSync } from "node:fs";
import { dirname } from "node:path";
import type { AttachmentView } from "./attachment.ts";

/** Whether it lives, or may live, in a namespace that is not seen from here. */
export function isUnseen({ state, namespace }: Pick<AttachmentView, "state" | "namespace">): boolean {
  return state !== "gone" && namespace === undefined;
}

/** What shows that it does. */
export function whyUnseen({ netns, hostLink }: Pick<AttachmentView, "netns" | "hostLink">): string {
  const place = netns === "" ? "its namespace cannot be seen here" : `${netns} cannot be seen here`;
  return hostLink ? `the other end of ${hostLink.name} lives, and ${place}` : place;
}

/** For whoever takes away what is gone. @throws Error where containers live, and none is seen from here */
export function refuseBlind(attachments: readonly AttachmentView[]): void {
  const [first, ...more] = attachments.filter(isUnseen);
  if (!first || attachments.some(({ namespace }) => namespace !== undefined)) return;
  const others = more.length > 0 ? `, and ${more.length} more` : "";
  const { container, ifname, network } = first;
  const of = `${container} (${ifname} on ${network})`;
  throw new Error(
    `cannot see the containers' namespaces here: of ${of} ${whyUnseen(first)}${others}
run it as root among the host's mounts and processes: nsenter --target 1 --mount --pid`,
  );
}

/**
 * Whether the directory of a namespace that a record of weft's tells of, and so was made at this boot, is not
 * the one that it was made in: not there, or not of the file system of the records, the host's /run.
 */
export function isPlaceHidden(netns: string): boolean {
  if (netns.startsWith("/proc/")) return false; // it goes with its process
  const place = statusOf(dirname(netns));
  if (!place) return true;
  return /^(\/var)?\/run\/netns\//.test(netns) && place.dev !== statusOf("/run/weft")?.dev;
}

function statusOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}
