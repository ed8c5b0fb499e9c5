/** A container's network as --json gives it; documented in weft-inspect(1), and kept as it is. */
import { attachmentJson } from "./attachment-json.ts";
import type { ContainerView } from "./container-text.ts";

/** What is not known is null, so that every key is always there. */
export function containerJson({ name, namespace, interfaces, lost }: ContainerView) {
  return {
    container: name,
    netns: namespace?.path ?? lost[0]?.netns ?? "",
    inode: namespace ? String(namespace.inode) : null,
    pids: namespace?.pids ?? [],
    interfaces: interfaces.map(({ port, attachment, rules, ...rest }) => ({
      ...rest,
      port: port ?? null,
      attachment: attachment ? attachmentJson(attachment) : null,
      rules,
    })),
    lost: lost.map(attachmentJson),
  };
}
