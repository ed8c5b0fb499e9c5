/** What nft says of the tables of a namespace: the oracle of what we commit, and the other who commits it. */
import { type NetfilterSocket, openNetfilterSocket } from "../netfilter/socket.ts";
import { lackingFor, TestNetns } from "./netns.ts";

/** Why there is no nft to ask; undefined when there is. */
export const noNftReason: string | undefined = Bun.which("nft")
  ? lackingFor("nft", "list", "ruleset")
  : "needs nft (nftables)";

/** A namespace with our socket in it, and nft. */
export class NftHost implements Disposable {
  readonly host: TestNetns;
  readonly socket: NetfilterSocket;

  private constructor(host: TestNetns) {
    this.host = host;
    this.socket = openNetfilterSocket(host.netns);
  }

  static async make(): Promise<NftHost> {
    return new NftHost(await TestNetns.make());
  }

  /** Equivalent to `nft -f -` of the text. @throws Error with what nft says to it */
  load(text: string): void {
    this.host.run(`nft -f - <<'END OF TEXT'\n${text}\nEND OF TEXT`);
  }

  /** `nft list ruleset`, as it is for people and for load(). */
  text(): string {
    return this.host.run("nft list ruleset");
  }

  /** `nft -j list ruleset` without what differs from one time to the next: handles, and elements' order. */
  // biome-ignore lint/suspicious/noExplicitAny: as nft has it
  ruleset(): any[] {
    const { nftables } = this.host.json("nft -j list ruleset");
    return nftables.flatMap(({ metainfo, ...object }: Record<string, unknown>) => {
      if (metainfo !== undefined) return [];
      const [[kind, { handle: _handle, elem, ...rest }] = ["", {}]] = Object.entries(
        object as Record<string, Record<string, unknown>>, // an object of one key, its kind
      );
      return { [kind]: Array.isArray(elem) ? { ...rest, elem: sorted(elem) } : rest };
    });
  }

  /** The elements of a set as nft prints them, sorted: `"cni0" . 10.9.0.2 comment "net/c1/eth0"`. */
  elements(set: string, family = "inet", table = "weft"): string[] {
    const text = this.host.run(
      `nft list set ${family} ${table} ${set} 2>/dev/null || nft list map ${family} ${table} ${set}`,
    );
    const [, elements = ""] = /elements = \{ (.*?) \}\n/s.exec(text) ?? [];
    return sorted(elements.split(/,\s+/).filter(Boolean));
  }

  [Symbol.dispose](): void {
    this.socket[Symbol.dispose]();
    this.host[Symbol.dispose]();
  }
}

function sorted<T>(values: readonly T[]): T[] {
  const text = (value: T) => (typeof value === "string" ? value : JSON.stringify(value));
  return [...values].sort((a, b) => (text(a) < text(b) ? -1 : 1));
}
