/** weft trace: the way a packet takes, and where and why it would be dropped. */
import { Command, InvalidArgumentError } from "commander";
import { EXIT_FAILED } from "./failure.ts";
import { HostView, warnOfUnseen } from "./inventory/host-view.ts";
import { networksDirectory } from "./runtime-command.ts";
import { jsonText } from "./terminal/json.ts";
import { parseService, readQuestion } from "./trace/endpoints.ts";
import { World } from "./trace/node.ts";
import { formatTrace, traceJson } from "./trace/report.ts";
import { trace } from "./trace/trace.ts";

interface Options {
  readonly ipv4?: true;
  readonly ipv6?: true;
  readonly size?: number;
  readonly df?: true;
  readonly live?: true;
  readonly listen?: true;
  readonly wait?: number;
  readonly json?: true;
}

const WAIT_S = 3;
/** The verdict hangs on a rule, or on somebody beyond this host. */
const EXIT_UNKNOWN = 3;

export function command(): Command {
  const description = "the way a packet takes, hop by hop, and where it would be dropped";
  return new Command("trace")
    .summary(description)
    .description(
      `${description}

Nothing is sent: the way of the first packet of a new connection, and of the
first answer, is worked out from what the kernel of each namespace says of its
routes, neighbours, bridges and packet filters. Each hop says what it is known
from. A rule that asks for what nobody can know is named, and the verdict says
so.

With --live the packet is sent, and the kernel tells of every rule that it and
its answer meet. The table of nftables that this takes is for this one flow, and
goes with the command, however that ends; a namespace has room for one such
trace at a time. Rules of iptables-legacy are told of by the trace without
--live alone.

  weft trace web db 5432          from a container to another, TCP
  weft trace web 192.0.2.1 53/udp to an address
  weft trace 192.0.2.1 host 8080  from outside to a published port
  weft trace --live web host      a ping that is sent`,
    )
    .argument("<src>", 'who sends: a container, "host", or an address')
    .argument("<dst>", 'who is asked: a container, "host", or an address')
    .argument("[port]", "of the destination: 80, 53/udp, 7/sctp; without, a ping")
    .option("-4, --ipv4", "by IPv4")
    .option("-6, --ipv6", "by IPv6")
    .option("--size <bytes>", "of the packet, with its IP header (not with --live)", numberIn(48, 65_535))
    .option("--df", "nobody may cut it in pieces (not with --live)")
    .option("--live", "send it, and tell what the kernel does with it")
    .option("--listen", "with --live: send nothing, tell of what others send")
    .option("--wait <seconds>", `with --live: how long to wait (default: ${WAIT_S})`, numberIn(1, 3_600))
    .option("--json", "as JSON")
    .addHelpText(
      "after",
      `
Exit status: 0 it passes, and so does the answer; 1 not begun; 2 it is dropped,
or not answered; ${EXIT_UNKNOWN} it depends on what cannot be known, which is named.`,
    )
    .action(run);
}

async function run(from: string, to: string, port: string | undefined, options: Options): Promise<void> {
  const { ipv4, ipv6, size, df, live, listen, json } = options;
  if (ipv4 && ipv6) throw new Error("--ipv4 and --ipv6: choose one");
  if (live && (size !== undefined || df)) throw new Error("--size and --df are for a trace without --live");
  if (!live && (listen || options.wait !== undefined)) throw new Error("--listen and --wait want --live");
  const service = parseService(port);
  using view = HostView.open(networksDirectory(process.env));
  const world = new World(view);
  const family = ipv4 ? 4 : ipv6 ? 6 : undefined;
  const question = readQuestion(view, world, [from, to, service], { family, size, dontFragment: df });
  const result = trace(world, question);
  warnOfUnseen(view);
  if (live) {
    const { runLive } = await import("./trace/run-live.ts");
    const sends = !listen && "node" in question.origin;
    const passes = await runLive(question, result, { sends, seconds: options.wait ?? WAIT_S, json });
    if (!passes) process.exitCode = EXIT_FAILED;
    return;
  }
  console.log(json ? jsonText(traceJson(result)) : formatTrace(result));
  if (result.unknown.length > 0) process.exitCode = EXIT_UNKNOWN;
  else if (result.verdict === "dropped") process.exitCode = EXIT_FAILED;
}

function numberIn(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (Number.isInteger(value) && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`not a number from ${least} to ${most}`);
  };
}
