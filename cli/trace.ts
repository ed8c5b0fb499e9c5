/** weft trace: the way a packet takes, and where and why it would be dropped. */
import { Command, InvalidArgumentError } from "commander";
import { EXIT_FAILED } from "./failure.ts";
import { HostView, warnOfUnopened } from "./inventory/host-view.ts";
import { networksDirectory } from "./runtime-command.ts";
import { parseService, readQuestion } from "./trace/endpoints.ts";
import { World } from "./trace/node.ts";
import { formatTrace, traceJson } from "./trace/report.ts";
import { trace } from "./trace/trace.ts";

interface Options {
  readonly ipv4?: true;
  readonly ipv6?: true;
  readonly size?: number;
  readonly df?: true;
  readonly json?: true;
}

export function command(): Command {
  const description = "the way a packet takes, hop by hop, and where it would be dropped";
  return new Command("trace")
    .summary(description)
    .description(
      `${description}

Nothing is sent: the way of the first packet of a new connection, and of the first
answer, is worked out from what the kernel of each namespace says of its routes,
neighbours, bridges and packet filters. Each hop says what it is known from. A
rule that asks for what nobody can know is named, and the verdict says so.

  weft trace web db 5432          from a container to another, TCP
  weft trace web 192.0.2.1 53/udp to an address
  weft trace 192.0.2.1 host 8080  from outside to a published port
  weft trace web host             a ping`,
    )
    .argument("<src>", 'who sends: a container, "host", or an address')
    .argument("<dst>", 'who is asked: a container, "host", or an address')
    .argument("[port]", "of the destination: 80, 53/udp, 7/sctp; without, a ping")
    .option("-4, --ipv4", "by IPv4")
    .option("-6, --ipv6", "by IPv6")
    .option("--size <bytes>", "of the packet, with its IP header", sizeOf)
    .option("--df", "nobody may cut the packet in pieces (don't fragment)")
    .option("--json", "as JSON")
    .addHelpText(
      "after",
      "\nExit status: 0 it passes, and so does the answer; 1 not begun; 2 it would be dropped.",
    )
    .action(run);
}

function run(from: string, to: string, port: string | undefined, options: Options): void {
  const { ipv4, ipv6, size, df, json } = options;
  if (ipv4 && ipv6) throw new Error("--ipv4 and --ipv6: choose one");
  const service = parseService(port);
  using view = HostView.open(networksDirectory(process.env));
  const world = new World(view);
  const family = ipv4 ? 4 : ipv6 ? 6 : undefined;
  const question = readQuestion(view, world, [from, to, service], { family, size, dontFragment: df });
  const result = trace(world, question);
  console.log(json ? JSON.stringify(traceJson(result), null, 2) : formatTrace(result));
  warnOfUnopened(view);
  if (result.verdict === "dropped") process.exitCode = EXIT_FAILED;
}

function sizeOf(text: string): number {
  const size = Number(text);
  const [LEAST, MOST] = [48, 65_535];
  if (Number.isInteger(size) && size >= LEAST && size <= MOST) return size;
  throw new InvalidArgumentError(`not a number from ${LEAST} to ${MOST}`);
}
