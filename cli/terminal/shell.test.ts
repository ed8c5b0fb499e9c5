import { expect, test } from "bun:test";
import { allOf, inNamespace, shell, shellWord } from "./shell.ts";

/** What a shell makes of the words of a command. */
function wordsOf(command: string): string[] {
  const { stdout } = Bun.spawnSync(["sh", "-c", `printf '%s\\n' ${command}`]);
  return stdout.toString().trimEnd().split("\n");
}

const NAMES = [
  "eth0",
  ";id>&2;#",
  "it's",
  "$(id)",
  "`id`",
  "a&&b",
  "-x",
  "é",
  "\\",
  '"',
  "~",
  "*",
  "a|b",
  "!",
];

test.each(NAMES)("shell() leaves the name %s a word", (name) => {
  expect(wordsOf(shell`ip link set ${name} up`)).toEqual(["ip", "link", "set", name, "up"]);
  expect(wordsOf(shell`sysctl -w net/${name}/forwarding=${1}`).at(-1)).toBe(`net/${name}/forwarding=1`);
});

test("shell() leaves plain words as they are", () => {
  expect(shell`ip route add ${"10.9.0.0/24"} via ${"fd00::1"} dev ${"eth0.10"}`).toBe(
    "ip route add 10.9.0.0/24 via fd00::1 dev eth0.10" as ReturnType<typeof shell>,
  );
  expect(shellWord("")).toBe("''");
});

test("shell() takes lists as words, and none of an empty one", () => {
  expect(wordsOf(shell`ip ${["-6", "a b"]} route add`)).toEqual(["ip", "-6", "a b", "route", "add"]);
  expect(`${shell`ip ${[]} route add${[]}`}`).toBe("ip route add");
});

test("shell() takes escapes as any text does", () => {
  expect(`${shell`printf '%s\\n' \${HOME} ${"x"}`}`).toBe("printf '%s\\n' ${HOME} x");
});

test("allOf() and inNamespace() join commands", () => {
  const up = shell`ip link set ${"a b"} up`;
  expect(`${allOf(up, inNamespace({ path: "/run/netns/c 1" }, up))}`).toBe(
    "ip link set 'a b' up && nsenter --net='/run/netns/c 1' ip link set 'a b' up",
  );
  expect(`${inNamespace({ path: "/proc/self/ns/net", isHost: true }, up)}`).toBe("ip link set 'a b' up");
});
