/** A topology of Docker's documents, built and proven on a private host. */
import type { Stage } from "./stage.ts";

export interface Topology {
  /** "T1", as docs/ numbers them. */
  readonly name: string;
  readonly title: string;
  /** What it is, for one who knows Docker. */
  readonly story: string;
  /** Builds it, shows it, proves it; what it made is taken down afterwards. */
  show(stage: Stage): void | Promise<void>;
}
