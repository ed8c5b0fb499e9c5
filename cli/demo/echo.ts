/** A server that tells its name and whom it sees, and the client that asks it: the packets of a proof. */
import { createSocket } from "node:dgram";
import { existsSync } from "node:fs";
import { connect, createServer } from "node:net";

/** How long an answer may take: it comes at once, or never. */
const TIMEOUT_MS = 1_000;

export type Protocol = "tcp" | "udp";

/** What a client hears. */
export interface Answer {
  /** The server's name. */
  readonly name: string;
  /** Whom the server takes the client for: the address that its packets had in the end. */
  readonly seen: string;
}

/** An answer, or why there was none: ECONNREFUSED, ETIMEDOUT, … */
export type Outcome = Answer | { readonly error: string };

/**
 * Serves until stdin ends, and prints a line when it begins to.
 * @param words its name, then a port each: "web", "80/tcp", "53/udp"
 */
export function runServer([name = "", ...ports]: readonly string[]): void {
  const answerTo = (address = "") =>
    JSON.stringify({ name, seen: address.replace(/^::ffff:/, "") } satisfies Answer);
  let missing = ports.length;
  const begun = () => {
    missing--;
    if (missing === 0) console.log("listening");
  };
  for (const [port, protocol] of ports.map((text) => text.split("/"))) {
    if (protocol === "tcp") {
      createServer((socket) => socket.end(answerTo(socket.remoteAddress))).listen(Number(port), begun);
    } else {
      const socket = createSocket(existsSync("/proc/sys/net/ipv6") ? "udp6" : "udp4");
      socket.on("message", (_, from) => socket.send(answerTo(from.address), from.port, from.address));
      socket.bind(Number(port), begun);
    }
  }
  process.stdin.resume().on("end", () => process.exit(0));
}

/** Asks servers at the same time, and prints the outcomes as JSON. @param words "tcp:80:192.0.2.1" … */
export async function runClient(words: readonly string[]): Promise<void> {
  const timeout = new Promise<Outcome>((resolve) => {
    setTimeout(() => resolve({ error: "ETIMEDOUT" }), TIMEOUT_MS);
  });
  const outcomes = words.map((word) => {
    const [protocol, port, ...address] = word.split(":");
    const ask = protocol === "tcp" ? askTcp : askUdp;
    return Promise.race([ask(address.join(":"), Number(port)), timeout]);
  });
  console.log(JSON.stringify(await Promise.all(outcomes)));
  process.exit(0); // a socket may still be waiting
}

function askTcp(host: string, port: number): Promise<Outcome> {
  return new Promise((resolve) => {
    let heard = "";
    const socket = connect({ host, port });
    socket.on("data", (chunk) => {
      heard += chunk;
    });
    socket.on("end", () => resolve(JSON.parse(heard)));
    socket.on("error", (error) => resolve({ error: codeOf(error) }));
  });
}

function askUdp(address: string, port: number): Promise<Outcome> {
  return new Promise((resolve) => {
    const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
    socket.on("message", (message) => resolve(JSON.parse(String(message))));
    socket.on("error", (error) => resolve({ error: codeOf(error) }));
    socket.connect(port, address, () => socket.send("hello")); // connected, it hears of a refusal
  });
}

function codeOf(error: Error): string {
  return "code" in error ? String(error.code) : error.message;
}
