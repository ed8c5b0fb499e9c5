import { expect, test } from "bun:test";
import type { AgentStatus } from "../agent/status.ts";
import { loadProgram } from "../cli/main.ts";
import { JSON_KEYS, undocumentedKeys } from "./man-json.ts";

const STATUS: AgentStatus = {
  version: "1",
  host: "host1",
  grace: 300,
  store: {
    endpoints: ["https://192.0.2.1:2379"],
    prefix: "/weft",
    isWatched: false,
    revision: "7",
    away: { since: "2026-01-02T03:04:05.000Z", reason: "ECONNREFUSED" },
  },
  lease: "1a",
  isInStep: true,
  networks: [
    {
      name: "over",
      vni: 42,
      mode: "evpn",
      device: "vx42",
      bridge: "vxbr42",
      address: "192.0.2.1",
      isInStep: true,
      hosts: 2,
      endpoints: 3,
      entries: { fdb: 1, neighbours: 2, routes: 0 },
      faults: [],
    },
  ],
  faults: [],
};

test("JSON_KEYS has every verb with --json", async () => {
  const { commands } = await loadProgram();
  const verbs = commands
    .filter((verb) =>
      [verb, ...verb.commands].some(({ options }) => options.some((it) => it.long === "--json")),
    )
    .map((verb) => verb.name());
  expect(Object.keys(JSON_KEYS).sort()).toEqual(verbs.sort());
});

test("JSON_KEYS has every key of weft agent --status", () => {
  expect(undocumentedKeys("agent", STATUS)).toEqual([]);
});

test("undocumentedKeys() names what is missing, however deep, but nobody's labels", () => {
  const document = [{ container: "web", labels: { team: "db" }, ports: [{ hostPort: 80, guestPort: 80 }] }];
  expect(undocumentedKeys("ls", document)).toEqual(["labels", "guestPort"]);
  expect(undocumentedKeys("nothing", { key: 1 })).toEqual(["key"]);
});
