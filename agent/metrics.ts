/** The agent's metrics, as Prometheus reads them (text exposition format 0.0.4). */

const CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** What is counted as it happens. */
export class Metrics {
  readonly #written = new Map<string, number>();
  #refused = 0;
  #comparisons = 0;
  #comparisonSeconds = 0;
  #differences = 0;
  #lostEvents = 0;

  written(kind: string, verb: string): void {
    const labels = `kind="${kind}",verb="${verb}"`;
    this.#written.set(labels, (this.#written.get(labels) ?? 0) + 1);
  }

  refused(): void {
    this.#refused++;
  }

  /** @param seconds how long it took @param differing entries of which nobody knew */
  compared(seconds: number, differing: number): void {
    this.#comparisons++;
    this.#comparisonSeconds += seconds;
    this.#differences += differing;
  }

  lostEvents(): void {
    this.#lostEvents++;
  }

  /** The counters, and `gauges`: what is so now. */
  text(gauges: readonly Gauge[]): string {
    const counters: readonly Gauge[] = [
      { name: "entries_written_total", help: "Entries written to the kernel.", values: this.#written },
      { name: "entries_refused_total", help: "Entries that the kernel refused.", values: this.#refused },
      { name: "comparisons_total", help: "Comparisons of kernel and store.", values: this.#comparisons },
      {
        name: "comparison_seconds_total",
        help: "Time that comparisons took.",
        values: this.#comparisonSeconds,
      },
      {
        name: "differences_total",
        help: "Entries that comparisons found wrong, missing or too many.",
        values: this.#differences,
      },
      {
        name: "kernel_events_lost_total",
        help: "How often the kernel had more to tell than the agent kept up with.",
        values: this.#lostEvents,
      },
    ];
    return [...counters, ...gauges].map(linesOf).join("");
  }
}

/** A metric: one value, or one by labels, as `network="a"`. */
export interface Gauge {
  readonly name: string;
  readonly help: string;
  readonly values: number | ReadonlyMap<string, number>;
}

function linesOf({ name, help, values }: Gauge): string {
  const full = `weft_agent_${name}`;
  const type = name.endsWith("_total") ? "counter" : "gauge";
  const samples = typeof values === "number" ? new Map([["", values]]) : values;
  const lines = [...samples].map(([labels, value]) => `${full}${labels && `{${labels}}`} ${value}\n`);
  return `# HELP ${full} ${help}\n# TYPE ${full} ${type}\n${lines.join("")}`;
}

/** A label's value, quoted. */
export function label(name: string, value: string): string {
  return `${name}=${JSON.stringify(value)}`;
}

/** Serves GET /metrics until it is stopped. @throws Error when the address cannot be had */
export function serveMetrics(
  { hostname, port }: { hostname: string; port: number },
  text: () => string,
): { readonly port: number; stop(): void } {
  const server = Bun.serve({
    hostname,
    port,
    fetch({ method, url }) {
      if (new URL(url).pathname !== "/metrics") return new Response("see /metrics\n", { status: 404 });
      if (method !== "GET") return new Response("", { status: 405, headers: { allow: "GET" } });
      return new Response(text(), { headers: { "content-type": CONTENT_TYPE } });
    },
  });
  return { port: server.port ?? port, stop: () => void server.stop(true) };
}
