/** The rules of iptables that isolate, in the layout of the reference (plugins/meta/firewall/iptables.go). */

import { comment } from "../iptables/chain-names.ts";
import { optionOf, quoteWord, type Rule, ruleKey } from "../iptables/rule.ts";
import { type Address, addressBits, formatAddress } from "../netaddr/address.ts";
import type { AttachmentName } from "../state/record.ts";
import { type Isolation, separatesNeighbours } from "./isolation.ts";

export const STAGE_1 = "CNI-ISOLATION-STAGE-1";
export const STAGE_2 = "CNI-ISOLATION-STAGE-2";
export const ACCEPTED = "CNI-FORWARD";
export const OWNERS = "CNI-FORWARD-OWNERS";

/** What the comments of the reference's rules begin with. */
const REFERENCE_NOTE = "CNI firewall plugin rules";
const EITHER_POLICY = comment(`${REFERENCE_NOTE} (ingressPolicy: same-bridge|isolated)`);
export const ADMIN_NOTE = comment("CNI firewall plugin admin overrides");
/** What the comments of the rules that the reference does not have begin with. */
export const OWN_NOTE = "weft firewall: ";
const PERMITTED = comment(`${OWN_NOTE}permitted`);
const INTERNAL = comment(`${OWN_NOTE}internal`);
const PUBLISHED = comment(`${OWN_NOTE}published ports`);
const NOT_PUBLISHED = comment(`${OWN_NOTE}not published`);
const ICC_OFF = comment(`${OWN_NOTE}icc off`);

const table = "filter";
export const TO_STAGE_1: Rule = {
  table,
  chain: "FORWARD",
  text: `${EITHER_POLICY} -j ${STAGE_1}`,
  isFirst: true,
};
export const TO_ACCEPTED: Rule = {
  table,
  chain: "FORWARD",
  text: `${comment(REFERENCE_NOTE)} -j ${ACCEPTED}`,
  isFirst: true,
};

/** What the stages hold besides the rules of bridges. */
const PASS_PUBLISHED: Rule = {
  table,
  chain: STAGE_1,
  text: `-m conntrack --ctstate DNAT ${PUBLISHED} -j RETURN`,
};
const RETURN = `${EITHER_POLICY} -j RETURN`;
export const STAGE_RULES: readonly Rule[] = [
  PASS_PUBLISHED,
  { table, chain: STAGE_1, text: RETURN },
  { table, chain: STAGE_2, text: RETURN },
];

/** Whether it is a rule of a bridge: it names an interface. */
export function isOfBridge(text: string): boolean {
  return optionOf(text, "-i") !== undefined || optionOf(text, "-o") !== undefined;
}

/**
 * Whether it is one of those that the stages have in any case; releases of the reference differ in comments.
 */
export function isOfStages(text: string): boolean {
  const note = optionOf(text, "--comment") ?? "";
  if (!note.startsWith(REFERENCE_NOTE) && !note.startsWith(OWN_NOTE)) return false;
  const key = ruleKey(text, { without: "--comment" });
  return STAGE_RULES.some((rule) => ruleKey(rule.text, { without: "--comment" }) === key);
}

/** The order of STAGE-1: who is permitted, internal networks, published ports, the others, the end. */
const STAGE_1_BEGINNING = [PERMITTED, INTERNAL, PUBLISHED];

export function sortStage1(rules: readonly string[]): string[] {
  const place = (rule: string) => {
    const at = STAGE_1_BEGINNING.findIndex((note) => rule.includes(note));
    if (at >= 0) return at;
    return STAGE_1_BEGINNING.length + Number(isOfStages(rule));
  };
  return rules.toSorted((a, b) => place(a) - place(b));
}

/** The administrator's chain is asked before anything is accepted. */
export function adminRule({ adminChain }: Isolation): Rule {
  return { table, chain: ACCEPTED, text: `${ADMIN_NOTE} -j ${quoteWord(adminChain)}`, isFirst: true };
}

/** What a container sends is accepted, and the replies. */
export function addressRules(address: Address): Rule[] {
  const host = hostPrefix(address);
  return [
    { table, chain: ACCEPTED, text: `-d ${host} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT` },
    { table, chain: ACCEPTED, text: `-s ${host} -j ACCEPT` },
  ];
}

/** Published ports are accepted too: for a host whose FORWARD drops the rest. */
export function publishedRule(address: Address): Rule {
  const match = `-d ${hostPrefix(address)} -m conntrack --ctstate DNAT`;
  return { table, chain: ACCEPTED, text: `${match} ${PUBLISHED} -j ACCEPT` };
}

/** A rule of a bridge, which its attachments share. */
interface BridgeRule {
  readonly chain: string;
  readonly match: string;
  readonly note: string;
  readonly target: string;
}

export function bridgeRules(isolation: Isolation): Rule[] {
  return listBridgeRules(isolation).map(({ chain, match, note, target }) => {
    return { table, chain, text: `${match} ${note} -j ${target}`, isFirst: true };
  });
}

/** The notes of whose the rules are: the interface of each address, and each rule of the bridge. */
export function ownerRules(isolation: Isolation, addresses: readonly Address[]): Rule[] {
  const note = ownerNote(isolation);
  const via = quoteWord(isolation.via);
  return [
    ...addresses.map((address) => `-s ${hostPrefix(address)} -i ${via} ${note}`),
    ...listBridgeRules(isolation).map(({ match, target }) => `${match} ${note} -j ${target}`),
  ].map((text) => ({ table, chain: OWNERS, text }));
}

export function ownerNote({ network, ifname, containerId }: AttachmentName): string {
  return comment(`${networkNote(network)}if: "${ifname}" id: "${containerId}"`);
}

export function networkNote(network: string): string {
  return `name: "${network}" `;
}

/** An overlay's device is a part of the bridge; between the two nothing is dropped, or all that is within. */
function listBridgeRules(isolation: Isolation): BridgeRule[] {
  const { via, overlay } = isolation;
  if (overlay === undefined) return listMemberRules(isolation);
  const between = [
    `-i ${quoteWord(via)} -o ${quoteWord(overlay)}`,
    `-i ${quoteWord(overlay)} -o ${quoteWord(via)}`,
  ];
  const bothMembers = [...listMemberRules(isolation), ...listMemberRules({ ...isolation, via: overlay })];
  const ofBetween = between.flatMap((match): BridgeRule[] =>
    separatesNeighbours(isolation)
      ? [{ chain: STAGE_1, match, note: ICC_OFF, target: "DROP" }]
      : [
          { chain: STAGE_1, match, note: PERMITTED, target: "RETURN" },
          { chain: ACCEPTED, match, note: PERMITTED, target: "ACCEPT" },
        ],
  );
  return [...bothMembers, ...ofBetween];
}

function listMemberRules({
  via,
  ingressPolicy,
  internal,
  icc,
  permittedInterfaces,
}: Isolation): BridgeRule[] {
  const bridge = quoteWord(via);
  const inside = `-i ${bridge} -o ${bridge}`;
  const out = `-i ${bridge} ! -o ${bridge}`;
  const into = `! -i ${bridge} -o ${bridge}`;
  const rules: BridgeRule[] = [];
  const add = (chain: string, match: string, note: string, target: string) =>
    rules.push({ chain, match, note, target });

  for (const other of permittedInterfaces.map(quoteWord)) {
    for (const match of [`-i ${bridge} -o ${other}`, `-i ${other} -o ${bridge}`]) {
      add(STAGE_1, match, PERMITTED, "RETURN");
      add(ACCEPTED, match, PERMITTED, "ACCEPT");
    }
  }
  if (internal) {
    add(STAGE_1, out, INTERNAL, "DROP");
    add(STAGE_1, into, INTERNAL, "DROP");
  }
  if (!icc) add(STAGE_1, inside, ICC_OFF, "DROP");
  if (ingressPolicy === "published") {
    add(STAGE_1, `${into} -m conntrack ! --ctstate RELATED,ESTABLISHED`, NOT_PUBLISHED, "DROP");
  }
  if (ingressPolicy === "same-bridge" || ingressPolicy === "isolated") {
    const note = comment(`${REFERENCE_NOTE} (ingressPolicy: ${ingressPolicy})`);
    add(STAGE_1, out, note, STAGE_2);
    if (ingressPolicy === "isolated") add(STAGE_1, inside, note, "DROP");
    add(STAGE_2, `-o ${bridge}`, EITHER_POLICY, "DROP");
  }
  return rules;
}

function hostPrefix(address: Address): string {
  return `${formatAddress(address)}/${addressBits(address.family)}`;
}
