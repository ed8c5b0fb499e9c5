import { afterEach, test as bunTest, describe, expect } from "bun:test";
import { existsSync, readdirSync, rmSync } from "node:fs";
import { noOwnRunReason } from "../testing/own-run.ts";
import { claim, claimantName, isClaimed, isOfNetwork, lockClaims, release, releaseAll } from "./claim.ts";

const CLAIMS_DIR = "/run/weft/claims";
const reason = noOwnRunReason ? ` [skipped: ${noOwnRunReason}]` : "";
const test = (name: string, body: () => void) => bunTest.skipIf(reason !== "")(name + reason, body);

const C1 = { network: "net", containerId: "c1", ifname: "eth0" };
const C2 = { ...C1, containerId: "c2" };
const WHAT = 'pairs { "cni0" . "a.b;{}$ é*" }';

afterEach(() => {
  if (!noOwnRunReason) rmSync(CLAIMS_DIR, { recursive: true, force: true });
});

describe("claim()", () => {
  test("claim(), twice, leaves one claim, which says whose it is", () => {
    for (let time = 0; time < 2; time++) claim(WHAT, C1);
    expect(readdirSync(`${CLAIMS_DIR}/${WHAT}`)).toEqual(["c1:eth0:net"]);
    expect(isClaimed(WHAT)).toBe(true);
    expect(isClaimed("isolated")).toBe(false);
    expect(["net", "et", "n"].map((network) => isOfNetwork("c1:eth0:net", network))).toEqual([
      true,
      false,
      false,
    ]);
  });

  test("claim() takes names as long as they may be", () => {
    const long = { network: "n".repeat(255), containerId: "c".repeat(255), ifname: "fifteen-letters" };
    claim(WHAT, long);
    claim(WHAT, { ...long, containerId: "c1" });
    for (const name of readdirSync(`${CLAIMS_DIR}/${WHAT}`)) {
      expect(isOfNetwork(name, long.network)).toBe(true);
      expect(isOfNetwork(name, `${long.network}n`)).toBe(false);
    }
    expect(release(WHAT, long)).toBe(false);
    expect(release(WHAT, { ...long, containerId: "c1" })).toBe(true);
  });
});

describe("release()", () => {
  test("release() says when nobody claims it any more, and leaves no directory then", () => {
    claim(WHAT, C1);
    claim(WHAT, C2);
    expect(release(WHAT, C1)).toBe(false);
    expect(release(WHAT, C1)).toBe(false);
    expect(release(WHAT, { ...C2, network: "other" })).toBe(false);
    expect(release(WHAT, C2)).toBe(true);
    expect(existsSync(`${CLAIMS_DIR}/${WHAT}`)).toBe(false);
  });

  test("release() of what nobody claimed says that nobody does", () => {
    expect(release(WHAT, C1)).toBe(true);
  });

  test("releaseAll() releases by claimant, and returns what nobody claims any more", () => {
    claim(WHAT, C1);
    claim("leaving", C1);
    claim("leaving", C2);
    claim("entering", C2);
    expect(releaseAll((claimant) => claimant === claimantName(C1))).toEqual([WHAT]);
    expect(["leaving", "entering", WHAT].map(isClaimed)).toEqual([true, true, false]);
    expect(releaseAll(() => false)).toEqual([]);
    expect(releaseAll(() => true).sort()).toEqual(["entering", "leaving"]);
    expect(releaseAll(() => true)).toEqual([]);
  });
});

test("lockClaims() keeps other processes out until it is released", () => {
  const tryElsewhere = () =>
    Bun.spawnSync(["flock", "--nonblock", "/run/weft/locks/claims", "true"]).exitCode;
  {
    using _lock = lockClaims();
    expect(tryElsewhere()).toBe(1);
  }
  expect(tryElsewhere()).toBe(0);
});
