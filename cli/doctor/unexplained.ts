/** Of which attachments no finding says already what is wrong. */
import type { Finding } from "./finding.ts";
import { type Attached, type Host, nameOf } from "./host.ts";

/** @param found so far; an error of the host, or of a bridge, shows in every attachment */
export function unexplained({ attachments }: Host, found: readonly Finding[]): ReadonlySet<Attached> {
  const explained = new Set(
    found.filter(({ severity }) => severity === "error").map(({ subject }) => subject),
  );
  const names = new Set(attachments.map(nameOf));
  if ([...explained].some((subject) => !names.has(subject))) return new Set();
  return new Set(attachments.filter((attached) => !explained.has(nameOf(attached))));
}
