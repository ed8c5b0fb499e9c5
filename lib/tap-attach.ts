/**
 * A process that makes one tap, of the /dev/net/tun that is its standard input, and ends. The tap gets the
 * security label of whoever makes it: lib/tap.ts runs this executable by the name of "weft-attach-tap" in
 * the context that the tap is to have.
 */
import { exitWith } from "./cni/stdio.ts";
import { attachTap } from "./tun-device.ts";

const STDIN = 0;
export const MULTI_QUEUE = "multi_queue";

/** `weft-attach-tap NAME [multi_queue]`. Answers with an error as a plugin does. */
export function runTapAttach(): never {
  const [name = "", mode] = process.argv.slice(2);
  try {
    attachTap(STDIN, { name, multiQueue: mode === MULTI_QUEUE });
  } catch (error) {
    exitWith(error, "1.1.0");
  }
  process.exit(0);
}
