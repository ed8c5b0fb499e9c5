/**
 * What is in force of an element that attachments share: of all that they want of it, the strictest. Two
 * networks on one bridge with different policies are both kept apart as the stricter one says.
 */
import { listClaimed } from "../state/claim.ts";
import { type Element, elementName } from "./element.ts";

/** What an attachment claims: the element, and where it is to lead. */
export function wishName(element: Element): string {
  const { data } = element;
  return data ? `${elementName(element)} : ${data[0]}` : elementName(element);
}

/** The element as it is to be in the table; undefined when nobody wants it. */
export function inForce(element: Element): Element | undefined {
  const name = elementName(element);
  const start = `${name} : `;
  const wishes = listClaimed().filter((what) => what === name || what.startsWith(start));
  if (wishes.length === 0) return undefined;
  if (!element.data) return element;
  const verdicts = wishes.map((wish) => wish.slice(start.length));
  const strictest = verdicts.reduce((a, b) => (strictness(b) > strictness(a) ? b : a));
  return { ...element, data: [strictest] };
}

/** "drop" leaves nothing, "goto icc-off" published ports, another chain more, "accept" all. */
function strictness(verdict: string): number {
  if (verdict === "drop") return 3;
  if (verdict === "goto icc-off") return 2;
  return verdict === "accept" ? 0 : 1;
}
