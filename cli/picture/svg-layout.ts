/**
 * Where everything is in the figure of a host: other hosts and the world on the left, the host's own bridges
 * and links in the middle, its containers on the right, in the order of what they are connected to. A
 * container on two networks is one card: its second cable goes there by a channel beside the host.
 */
import { type Base, type Cable, deviceText, type End, type HostPicture, linesOf } from "./host-picture.ts";

/** Of the monospaced text in cards, and of names. Pixels. */
const CHARACTER_WIDTH = 7;
const NAME_CHARACTER_WIDTH = 8;
export const LINE_HEIGHT = 17;
export const CARD_HEADER = 30;
const CARD_PADDING = 12;
const CARD_GAP = 16;
const CARD_WIDTH_MIN = 150;
const BASE_WIDTH_MIN = 150;
const BASE_GAP = 22;
const BASE_PADDING = 14;
/** Of the names of cables, which stand beside the bases, inside the host's frame. */
const LABEL_CHARACTER_WIDTH = 6.6;
const LABEL_GAP = 7;
const CHANNEL_MIN = 36;
const CHANNEL_STEP = 12;
const MARGIN = 24;
const FRAME_TITLE = 34;
const FRAME_PADDING = 24;
/** A cable that comes to a card that is elsewhere takes so much of its base. */
const PORT_ROW = 26;

export interface FigureLayout {
  readonly width: number;
  readonly height: number;
  readonly frame: Rectangle;
  readonly title: string;
  readonly bases: readonly PlacedBase[];
  readonly cards: readonly Card[];
  readonly cables: readonly PlacedCable[];
  /** Below the frame's inside. */
  readonly others: { readonly text: string; readonly x: number; readonly y: number } | undefined;
}

export interface Rectangle {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface PlacedBase extends Rectangle {
  readonly base: Base;
}

/** A container with all its interfaces, the other hosts of an overlay, or the world. */
export interface Card extends Rectangle {
  readonly kind: End["kind"];
  readonly title: string;
  readonly sections: readonly Section[];
}

/** One interface of it. */
export interface Section {
  readonly ifname: string;
  readonly network: string;
  readonly lines: readonly string[];
  /** Of its first line's baseline. */
  readonly y: number;
}

export interface PlacedCable {
  readonly cable: Cable;
  readonly network: string;
  /** It goes through other cables, in packets of the host. */
  readonly isTunnel: boolean;
  /** Corners of its way, from the base to the card. */
  readonly points: readonly (readonly [x: number, y: number])[];
  readonly label: {
    readonly text: string;
    readonly x: number;
    readonly y: number;
    readonly anchor: "start" | "end";
  };
}

/** Widths, from left to right: cards, the frame with its bases, cards. */
interface Columns {
  readonly west: number;
  /** Inside the frame, on the left of the bases. */
  readonly westLabel: number;
  readonly base: number;
  readonly eastLabel: number;
  readonly channel: number;
  readonly east: number;
}

export function layoutFigure(picture: HostPicture): FigureLayout {
  return new Layout(picture).place();
}

class Layout {
  readonly #picture: HostPicture;
  readonly #columns: Columns;
  readonly #cards: Card[] = [];
  readonly #bases: PlacedBase[] = [];
  readonly #cables: PlacedCable[] = [];
  /** Cables to containers whose card is at another base: they go there when all cards have their places. */
  readonly #late: { readonly cable: Cable; readonly y: number }[] = [];

  constructor(picture: HostPicture) {
    this.#picture = picture;
    this.#columns = columnsOf(picture);
  }

  /** Where the bases begin and end, and the frame about them. */
  get #baseX(): number {
    const { west, westLabel } = this.#columns;
    return MARGIN + (west > 0 ? west + CHANNEL_MIN : 0) + westLabel;
  }

  get #baseRight(): number {
    return this.#baseX + this.#columns.base;
  }

  get #frameRight(): number {
    return this.#baseRight + this.#columns.eastLabel;
  }

  place(): FigureLayout {
    const { bases, title } = this.#picture;
    const others = this.#picture.others.map(deviceText);
    let y = MARGIN + FRAME_TITLE;
    for (const base of bases) y = this.#placeBase(base, y) + BASE_GAP;
    for (const [i, late] of this.#late.entries()) this.#placeLate(late, i);
    const inside = bases.length > 0 ? y - BASE_GAP : y;
    const otherY = inside + FRAME_PADDING;
    const bottom = (others.length > 0 ? otherY : inside) + FRAME_PADDING;
    const x = this.#baseX - this.#columns.westLabel;
    const { channel, east } = this.#columns;
    return {
      width: this.#frameRight + (east > 0 ? channel + east : 0) + MARGIN,
      height: Math.max(bottom, ...this.#cards.map((card) => card.y + card.height)) + MARGIN,
      frame: { x, y: MARGIN, width: this.#frameRight - x, height: bottom - MARGIN },
      title,
      bases: this.#bases,
      cards: this.#cards,
      cables: this.#cables,
      others: others.length > 0 ? { text: `and ${others.join(", ")}`, x: this.#baseX, y: otherY } : undefined,
    };
  }

  /** @returns where it ends, with the cards at its cables */
  #placeBase(base: Base, top: number): number {
    let westY = top;
    let eastY = top;
    for (const cable of base.cables) {
      if (!cable.end) continue;
      if (isWest(base, cable)) {
        const card = this.#addCard(cable.end, [cable.end], {
          x: MARGIN,
          y: westY,
          width: this.#columns.west,
        });
        this.#addWest(cable, cable.end, card);
        westY = card.y + card.height + CARD_GAP;
      } else if (this.#cardOf(cable.end)) {
        this.#late.push({ cable, y: eastY + PORT_ROW / 2 });
        eastY += PORT_ROW;
      } else {
        const x = this.#frameRight + this.#columns.channel;
        const ends = endsOf(this.#picture, cable.end);
        const card = this.#addCard(cable.end, ends, { x, y: eastY, width: this.#columns.east });
        this.#addEast(cable, cable.end, card);
        eastY = card.y + card.height + CARD_GAP;
      }
    }
    const texts = 2 * BASE_PADDING + LINE_HEIGHT * textsOf(base).length;
    const height = Math.max(texts, westY - CARD_GAP - top, eastY - CARD_GAP - top);
    this.#bases.push({ base, x: this.#baseX, y: top, width: this.#columns.base, height });
    return top + height;
  }

  #cardOf({ kind, title }: End): Card | undefined {
    return this.#cards.find(
      (card) => card.kind === "container" && kind === card.kind && card.title === title,
    );
  }

  #addCard(
    { kind, title }: End,
    ends: readonly End[],
    { x, y: top, width }: Omit<Rectangle, "height">,
  ): Card {
    const sections: Section[] = [];
    let y = top + CARD_HEADER;
    for (const end of ends) {
      const { ifname, network } = end;
      const lines = linesOf(end);
      sections.push({ ifname, network, lines, y: y + LINE_HEIGHT });
      y += LINE_HEIGHT * Math.max(1, lines.length);
    }
    const card = { kind, title, sections, x, y: top, width, height: y - top + CARD_PADDING };
    this.#cards.push(card);
    return card;
  }

  #addWest(cable: Cable, { kind, network, ifname }: End, card: Card): void {
    const y = middleOf(card, ifname);
    const x = this.#baseX;
    const label = { text: labelOf(cable), x: x - LABEL_GAP, y: y - LABEL_GAP, anchor: "end" } as const;
    this.#cables.push({
      cable,
      network,
      isTunnel: kind === "hosts",
      points: [
        [x, y],
        [card.x + card.width, y],
      ],
      label,
    });
  }

  #addEast(cable: Cable, { network, ifname }: End, card: Card): void {
    const y = middleOf(card, ifname);
    this.#cables.push({
      cable,
      network,
      isTunnel: false,
      points: [
        [this.#baseRight, y],
        [card.x, y],
      ],
      label: this.#eastLabel(cable, y),
    });
  }

  /** Beside the host and up, or down, to the card. */
  #placeLate({ cable, y }: { cable: Cable; y: number }, index: number): void {
    const card = cable.end && this.#cardOf(cable.end);
    if (!card || !cable.end) return;
    const channel = this.#frameRight + CHANNEL_MIN / 2 + index * CHANNEL_STEP;
    const at = middleOf(card, cable.end.ifname);
    this.#cables.push({
      cable,
      network: cable.end.network,
      isTunnel: false,
      points: [
        [this.#baseRight, y],
        [channel, y],
        [channel, at],
        [card.x, at],
      ],
      label: this.#eastLabel(cable, y),
    });
  }

  #eastLabel(cable: Cable, y: number): PlacedCable["label"] {
    return { text: labelOf(cable), x: this.#baseRight + LABEL_GAP, y: y - LABEL_GAP, anchor: "start" };
  }
}

/** What is not of this host, or is beyond its uplink. */
function isWest(base: Base, { name, end }: Cable): boolean {
  return end?.kind !== "container" || (base.isUplink && base.role === "link" && name === "");
}

/** Every interface of a container, wherever its cable begins. */
function endsOf({ bases }: HostPicture, { title }: End): End[] {
  const ends = bases.flatMap((base) =>
    base.cables.flatMap((cable) => (cable.end?.title === title && !isWest(base, cable) ? [cable.end] : [])),
  );
  return ends.sort((a, b) => Number(a.ifname > b.ifname) - Number(a.ifname < b.ifname));
}

/** Half a line above the first line of the interface. */
function middleOf({ sections }: Card, ifname: string): number {
  const section = sections.find((each) => each.ifname === ifname) ?? sections[0];
  return (section?.y ?? 0) - LINE_HEIGHT / 4;
}

/** What stands in a base, a line each. */
export function textsOf({ name, says, addresses, isUp }: Base): string[] {
  return [name, isUp ? says : `${says}, down`, ...addresses];
}

function labelOf({ name, says }: Cable): string {
  return [name, says].filter(Boolean).join(" ");
}

function columnsOf(picture: HostPicture): Columns {
  const cables = picture.bases.flatMap((base) =>
    base.cables.flatMap((cable) => (cable.end ? [{ cable, end: cable.end, west: isWest(base, cable) }] : [])),
  );
  const ofSide = (side: boolean) => cables.filter(({ west }) => west === side);
  const label = (side: boolean) =>
    2 * LABEL_GAP + LABEL_CHARACTER_WIDTH * longest(ofSide(side).map(({ cable }) => labelOf(cable)));
  const card = (side: boolean) => {
    const ends = ofSide(side).map(({ end }) => end);
    if (ends.length === 0) return 0;
    const texts = ends.flatMap((end) => linesOf(end).map((line) => `${end.ifname}  ${line}`));
    const names = NAME_CHARACTER_WIDTH * longest(ends.map(({ title }) => title));
    return Math.max(CARD_WIDTH_MIN, names, CHARACTER_WIDTH * longest(texts)) + 2 * CARD_PADDING;
  };
  const titles = ofSide(false).map(({ end }) => `${end.title}`);
  const again = titles.length - new Set(titles).size;
  return {
    west: card(true),
    westLabel: Math.max(FRAME_PADDING, label(true)),
    base: Math.max(
      BASE_WIDTH_MIN,
      CHARACTER_WIDTH * longest(picture.bases.flatMap(textsOf)) + 2 * BASE_PADDING,
    ),
    eastLabel: Math.max(FRAME_PADDING, label(false)),
    channel: CHANNEL_MIN + CHANNEL_STEP * again,
    east: card(false),
  };
}

function longest(texts: readonly string[]): number {
  return Math.max(0, ...texts.map((text) => text.length));
}
