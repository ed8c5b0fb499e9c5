import { expect, test } from "bun:test";
import { shell } from "../terminal/shell.ts";
import { finding } from "./finding.ts";
import { countOf, formatFinding } from "./report.ts";

const FORWARDING = finding("forwarding-off", {
  subject: "IPv4",
  evidence: "net.ipv4.ip_forward is 0, and this host is the gateway of web (eth0 on front)",
  remedy: shell`sysctl -w net.ipv4.ip_forward=1`,
});

test("formatFinding() breaks what it says between words, and leaves the command in one line", () => {
  const long = {
    ...FORWARDING,
    remedy: shell`nsenter --net=/var/run/netns/${"x".repeat(60)} ip link set eth0 up`,
  };
  expect(formatFinding(long, 50)).toBe(
    [
      "error    the host does not forward",
      "         (forwarding-off)",
      "         IPv4: net.ipv4.ip_forward is 0, and this",
      "         host is the gateway of web (eth0 on",
      "         front)",
      `         mend: ${long.remedy}`,
    ].join("\n"),
  );
});

test("finding() has severity and safety of its fault, unless told otherwise", () => {
  expect(FORWARDING).toMatchObject({ severity: "error", isSafe: true, title: "the host does not forward" });
  const { subject, evidence, remedy } = FORWARDING;
  expect(finding("forwarding-off", { subject, evidence, remedy, isSafe: false }).isSafe).toBeFalse();
});

test("countOf() counts each severity that there is", () => {
  const warning = finding("lease-orphaned", { subject: "", evidence: "", remedy: shell`true` });
  expect(countOf([FORWARDING, warning, FORWARDING])).toBe("2 errors, 1 warning");
  expect(countOf([warning, warning])).toBe("2 warnings");
});
