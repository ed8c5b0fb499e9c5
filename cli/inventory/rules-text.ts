/** The rules of attachments, for people. */
import { fold } from "../terminal/fold.ts";
import { countOf } from "../terminal/quantity.ts";
import { bold, dim, red } from "../terminal/style.ts";
import type { AttachmentView } from "./attachment.ts";
import type { FilterView, TableState } from "./filter.ts";
import type { RuleView } from "./rules.ts";

interface Explained {
  readonly attachment: AttachmentView;
  readonly rules: readonly RuleView[];
}

const STATES: Record<Exclude<TableState, "there" | "absent">, string> = {
  dormant: "is dormant: nothing of it is in force",
  old: "is of another version of weft; the next ADD, or weft restore, makes it anew",
  foreign: "is somebody else's: weft's plugins refuse it",
  unreadable: "cannot be read: run as root",
};

const HIDDEN = "What rules it has cannot be told.";

/** One paragraph an attachment. */
export function formatRules(
  { tables, userRules }: FilterView,
  explained: readonly Explained[],
  width?: number,
): string[] {
  const folded = (text: string, indent: number) => fold(text, { indent, hanging: indent + 2, width });
  const lines = tables.flatMap(({ name, state }) =>
    state === "there" || state === "absent" ? [] : folded(`Table ${name} ${STATES[state]}.`, 0),
  );
  if (userRules > 0) {
    const rules = countOf(userRules, "rule");
    lines.push(
      ...folded(`The administrator's chain "user" of table inet weft has ${rules}, asked first.`, 0),
    );
  }
  for (const { attachment, rules } of explained) {
    if (lines.length > 0) lines.push("");
    const { container, network, ifname, addresses } = attachment;
    lines.push(...folded(`${bold(container)}  ${network} ${ifname}  ${addresses.join(", ")}`, 0));
    lines.push(...rules.flatMap((rule) => formatRule(rule, folded)));
    const isHidden = tables.some(({ state }) => state === "unreadable");
    if (rules.length === 0) lines.push(...folded(isHidden ? HIDDEN : nothingFor(attachment), 2));
  }
  if (explained.length === 0) lines.push("no container is attached");
  return lines;
}

/** A sentence, and below it who keeps it. */
function formatRule(
  { says, by, elements }: RuleView,
  folded: (text: string, indent: number) => string[],
): string[] {
  const behind = elements.flatMap(({ text, isMissing }) =>
    folded(isMissing ? `missing: ${text}` : text, 6).map(isMissing ? red : dim),
  );
  const keeper =
    by === "nftables" ? [] : [dim(`      (${by === "bridge" ? "a flag of the bridge's port" : by})`)];
  return [...folded(says, 2), ...behind, ...keeper];
}

function nothingFor({ isOurs, kind }: AttachmentView): string {
  if (!isOurs) return "Made by other plugins than weft's: nft list ruleset shows what rules it has.";
  if (kind === "macvlan" || kind === "ipvlan") return "No rules: its packets pass this host's filter by.";
  return "No rules: it is forwarded and reached as the host's own filter has it.";
}
