/** Hosts whose iptables is one or the other variant, for tests of what is written with it. */
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { closeNetfilterSocket } from "../netfilter/socket.ts";
import { inNetns } from "../netns/netns.ts";
import { lackingFor, TestNetns } from "./netns.ts";

const PROGRAMS = ["iptables", "iptables-save", "iptables-restore"];

export interface Variant {
  readonly name: "nft" | "legacy";
  readonly lacking: string | undefined;
}

export const VARIANTS: readonly Variant[] = (["nft", "legacy"] as const).map((name) => ({
  name,
  lacking:
    lackingFor(`iptables-${name}`, "-t", "nat", "-S") ?? lackingFor(`ip6tables-${name}`, "-t", "nat", "-S"),
}));

function linksTo(variant: string): string {
  const directory = mkdtempSync(join(tmpdir(), "weft-iptables-"));
  for (const start of ["ip", "ip6"]) {
    for (const program of PROGRAMS) {
      const name = program.replace(/^ip/, start);
      const target = Bun.which(name.replace("tables", `tables-${variant}`));
      if (target) symlinkSync(target, join(directory, name));
    }
  }
  return directory;
}

/** A namespace, and its rules as iptables-save and ip6tables-save print them. */
export class IptablesHost implements Disposable {
  readonly host: TestNetns;
  /** The variant's programs under their plain names. */
  readonly #links: string;

  private constructor(host: TestNetns, { name }: Variant) {
    this.host = host;
    this.#links = linksTo(name);
  }

  get #path(): string {
    return `${this.#links}:${process.env["PATH"]}`;
  }

  static async make(variant: Variant): Promise<IptablesHost> {
    return new IptablesHost(await TestNetns.make(), variant);
  }

  /** Does something in the namespace, with this variant's programs. */
  in(act: () => void): void {
    const path = process.env["PATH"];
    process.env["PATH"] = this.#path;
    try {
      inNetns(this.host.netns, act);
    } finally {
      closeNetfilterSocket(); // it is this namespace's
      process.env["PATH"] = path;
    }
  }

  run(command: string): string {
    return this.host.run(`export PATH="${this.#path}"; ${command}`);
  }

  /** "-A …" of a family, and the chains that are somebody's own as ":chain". */
  rules(family: 4 | 6 = 4): string[] {
    const lines = this.run(family === 4 ? "iptables-save" : "ip6tables-save").split("\n");
    const chains = lines.filter((line) => line.startsWith(":") && line.includes(" - "));
    return [
      ...chains.map((line) => line.slice(0, line.indexOf(" "))),
      ...lines.filter((line) => line.startsWith("-A ")),
    ].sort();
  }

  [Symbol.dispose](): void {
    rmSync(this.#links, { recursive: true });
    this.host[Symbol.dispose]();
  }
}
