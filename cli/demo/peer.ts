/** The two processes of a joined network: app tells what it sees, sidecar what both see. */
import { readlinkSync } from "node:fs";
import { connect, createServer } from "node:net";
import { networkInterfaces } from "node:os";

export const PORT = 8080;
const HOST = "127.0.0.1";
const TIMEOUT_MS = 5_000;

/** What a process sees of its network. */
export interface Sight {
  readonly pid: number;
  /** "net:[4026532291]". */
  readonly netns: string;
  readonly address: string;
  readonly mac: string;
}

export interface Encounter {
  readonly app: Sight;
  readonly sidecar: Sight;
}

/** Tells whoever connects what this process sees. Prints a line when it listens; ends when stdin does. */
export function runApp(): void {
  const server = createServer((socket) => socket.end(JSON.stringify(sight())));
  server.listen(PORT, HOST, () => console.log("listening"));
  process.stdin.resume().on("end", () => process.exit(0));
}

/** Connects to app and prints the encounter as JSON. */
export function runSidecar(): void {
  let heard = "";
  const socket = connect({ port: PORT, host: HOST, timeout: TIMEOUT_MS });
  socket.on("data", (chunk) => {
    heard += chunk;
  });
  socket.on("end", () => console.log(JSON.stringify({ app: JSON.parse(heard), sidecar: sight() })));
  socket.on("timeout", () => socket.destroy(new Error(`no answer within ${TIMEOUT_MS} ms`)));
}

function sight(): Sight {
  const [eth0] = networkInterfaces()["eth0"] ?? [];
  return {
    pid: process.pid,
    netns: readlinkSync("/proc/self/ns/net"),
    address: eth0?.cidr ?? "none",
    mac: eth0?.mac ?? "none",
  };
}
