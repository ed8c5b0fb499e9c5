/** The agent's socket: a line of JSON in, a line of JSON out (lib/store/protocol.ts). */
import { chmodSync, mkdirSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { answerLine, type StoreServer } from "../lib/store/answer.ts";
import { LINE_BYTES_MAX } from "../lib/store/protocol.ts";

const LINE_FEED = 0x0a;

interface Connection {
  /** What has come in. */
  readonly chunks: Uint8Array[];
  received: number;
  /** What is still to be sent; undefined while there is no answer. */
  rest: Uint8Array | undefined;
  isAsked: boolean;
}

/**
 * Answers whoever connects: root alone. For the one agent of the host, which holds its lock: what is there of
 * the name was left behind by one that is gone.
 */
export function serveSocket(path: string, server: StoreServer): { stop(): void } {
  mkdirSync(dirname(path), { recursive: true });
  rmSync(path, { force: true });
  const listener = Bun.listen<Connection>({
    unix: path,
    socket: {
      open(socket) {
        socket.data = { chunks: [], received: 0, rest: undefined, isAsked: false };
      },
      data(socket, bytes) {
        const { data } = socket;
        if (data.isAsked) return;
        data.chunks.push(bytes.slice());
        data.received += bytes.length;
        if (data.received > LINE_BYTES_MAX) socket.terminate();
        if (!bytes.includes(LINE_FEED)) return;
        data.isAsked = true;
        const line = new TextDecoder().decode(joined(data.chunks));
        void answerLine(line, server).then((answer) => {
          data.rest = new TextEncoder().encode(`${answer}\n`);
          send(socket);
        });
      },
      drain: send,
      error() {}, // whoever asked has gone
    },
  });
  chmodSync(path, 0o600);
  return {
    stop() {
      listener.stop(true);
      rmSync(path, { force: true });
    },
  };
}

/** Sends as much as there is room for; drain() goes on. */
function send(socket: Bun.Socket<Connection>): void {
  const { data } = socket;
  if (!data.rest) return;
  const sent = socket.write(data.rest);
  if (sent < 0) return;
  data.rest = data.rest.subarray(sent);
  if (data.rest.length === 0) socket.end();
}

/** Up to the end of the line. */
function joined(chunks: readonly Uint8Array[]): Uint8Array {
  const bytes = Buffer.concat(chunks);
  return bytes.subarray(0, bytes.indexOf(LINE_FEED));
}
