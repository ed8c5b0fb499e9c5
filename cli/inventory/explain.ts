/** What an element of weft's tables does for a container, as a sentence (lib/weft-table/ruleset.ts). */
import type { Element } from "../../lib/weft-table/element.ts";

/** What a rule is about. */
export type Topic = "masquerade" | "ports" | "isolation" | "spoofing";

export interface Explanation {
  readonly topic: Topic;
  /** The same for the elements of both families. */
  readonly says: string;
}

const isThe = (set: string, name: string) => set === `${name}4` || set === `${name}6`;

/**
 * @param element of ours, or a run of ports as one
 * @throws RangeError for a set that is none of ours
 */
export function explain(element: Element): Explanation {
  const { set } = element;
  const found = masquerading(element) ?? publishing(element) ?? isolating(element) ?? checking(element);
  if (found) return found;
  throw new RangeError(`Cannot explain an element of the set "${set}"`);
}

function masquerading({ set, key: [via] }: Element): Explanation | undefined {
  const say = (says: string): Explanation => ({ topic: "masquerade", says });
  if (isThe(set, "masq")) {
    return say(
      `What comes from it by ${via} and leaves this host has the host's address (masquerade); ` +
        "what goes to other containers keeps its own.",
    );
  }
  if (isThe(set, "overlay")) return say(`What it sends into its own overlay by ${via} keeps its address.`);
  return undefined;
}

function publishing({ set, key, data = [] }: Element): Explanation | undefined {
  const say = (says: string): Explanation => ({ topic: "ports", says });
  const [to] = data;
  if (isThe(set, "port")) return say(`${portText(key)} of this host ${leadText(data)}.`);
  if (isThe(set, "hostport")) {
    const [address, ...port] = key;
    return say(`${portText(port)} of the host's address ${address} ${leadText(data)}.`);
  }
  if (isThe(set, "range")) return say(`${portText(key)} of this host lead to the same ports of it.`);
  if (isThe(set, "hostrange")) {
    const [address, ...ports] = key;
    return say(`${portText(ports)} of the host's address ${address} lead to the same ports of it.`);
  }
  if (isThe(set, "condition")) {
    const chain = String(to).replace(/^(jump|goto) /, "");
    const lead = isSeveral(key.at(-1)) ? "lead" : "leads";
    return say(`${portText(key)} of this host ${lead} to it under conditions, those of chain ${chain}.`);
  }
  if (isThe(set, "hairpin")) {
    return say(
      `Connections to its published ports from ${key[0]} and from this host itself come with the host's ` +
        "address, so that the answers find back.",
    );
  }
  if (isThe(set, "masqall")) {
    return say(
      "All connections to its published ports come with the host's address: it does not see its clients.",
    );
  }
  return undefined;
}

/** "TCP port 8080", "UDP ports 5000-5010" */
function portText([protocol, port]: Element["key"]): string {
  return `${String(protocol).toUpperCase()} port${isSeveral(port) ? "s" : ""} ${port}`;
}

/** "leads to its port 80", "lead to its ports 80-85" */
function leadText([, port]: Element["key"]): string {
  return isSeveral(port) ? `lead to its ports ${port}` : `leads to its port ${port}`;
}

function isSeveral(port: Element["key"][number] | undefined): boolean {
  return String(port).includes("-");
}

function isolating({ set, key: [from, to], data: [verdict] = [] }: Element): Explanation | undefined {
  const say = (says: string): Explanation => ({ topic: "isolation", says });
  if (set === "pairs") {
    if (verdict === "goto icc-off") {
      return say(
        from === to
          ? `Containers of ${from} do not reach each other but by published ports (icc off).`
          : `From ${from} to ${to} only published ports are reached (icc off).`,
      );
    }
    return say(
      from === to
        ? `Containers of ${from} reach each other.`
        : `What goes from ${from} to ${to} is let through, whatever else is said.`,
    );
  }
  if (set === "isolated" || verdict === "jump isolation") {
    return say(
      `Between ${from} and other isolated networks nothing is let through but published ports and answers.`,
    );
  }
  if (verdict === "jump published") {
    return say(`From elsewhere ${from} is reached by published ports alone, and by answers.`);
  }
  if (set === "leaving" || set === "entering") {
    return say(`${from} is internal: nothing is forwarded between it and any other interface.`);
  }
  return undefined;
}

function checking({ set, key: [port] }: Element): Explanation | undefined {
  if (set !== "checked" && set !== "macs") return undefined;
  return {
    topic: "spoofing",
    says: `By ${port} it sends frames with its own MAC alone; others are dropped (macspoofchk).`,
  };
}
