import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { bootTimeNs, nowNs, sleepMs } from "./clock.ts";

const NS_PER_S = 1_000_000_000n;

test("nowNs() is the wall clock", () => {
  const before = BigInt(Date.now()) * 1_000_000n;
  const now = nowNs();
  const after = (BigInt(Date.now()) + 1n) * 1_000_000n;
  expect(now >= before && now <= after).toBe(true);
});

test("bootTimeNs() is what the kernel says of its boot, to the second", () => {
  const [, btime = ""] = /^btime (\d+)$/m.exec(readFileSync("/proc/stat", "utf8")) ?? [];
  const differenceS = Number((bootTimeNs() - BigInt(btime) * NS_PER_S) / NS_PER_S);
  expect(Math.abs(differenceS)).toBeLessThanOrEqual(1);
});

test("sleepMs() pauses as long as it says", () => {
  const start = performance.now();
  sleepMs(30);
  expect(performance.now() - start).toBeGreaterThanOrEqual(30);
});

test("sleepMs() of nothing, or less, returns", () => {
  const start = performance.now();
  sleepMs(0);
  sleepMs(-5);
  expect(performance.now() - start).toBeLessThan(1_000);
});

test.each([[Number.NaN], [Number.POSITIVE_INFINITY], [2 ** 31]])("sleepMs() refuses %d", (durationMs) => {
  expect(() => sleepMs(durationMs)).toThrow(RangeError);
});

test("sleepMs() keeps its bound although signals interrupt it", async () => {
  const script = `
    import { sleepMs } from "${import.meta.dir}/clock.ts";
    process.on("SIGUSR1", () => {});
    console.log("there");
    const start = performance.now();
    sleepMs(300);
    console.log(performance.now() - start);
  `;
  const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe" });
  const output = child.stdout.getReader();
  await output.read(); // "there"
  const storm = setInterval(() => child.kill("SIGUSR1"), 5); // oftener than the sleep is long
  try {
    const { value } = await output.read();
    const sleptMs = Number(new TextDecoder().decode(value));
    expect(sleptMs).toBeGreaterThanOrEqual(300);
    expect(sleptMs).toBeLessThan(2_000);
  } finally {
    clearInterval(storm);
    child.kill("SIGKILL");
  }
});
