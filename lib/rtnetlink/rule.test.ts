import { describe, expect, test } from "bun:test";
import { parsePrefix } from "../netaddr/prefix.ts";
import { expectSameMessage, type Layout } from "../testing/golden.ts";
import { answeredWith, messageOf } from "../testing/recorded.ts";
import * as golden from "./rule.golden.ts";
import { addRule, deleteRule, listRules, type Rule, ruleAttributes } from "./rule.ts";

const RULE: Layout = { structBytes: 12, set: ruleAttributes };
const fromV4: Rule = { family: 4, src: parsePrefix("10.22.0.5/32"), table: 1000 };
const fromV6: Rule = {
  family: 6,
  src: parsePrefix("fd00::5/128"),
  dst: parsePrefix("fd01::/16"),
  iifname: "veth0a",
  fwmark: 7,
  table: 100,
  priority: 500,
};

describe("addRule()", () => {
  test("addRule() says what ip says of an IPv4 rule with a table above 255", () => {
    expectSameMessage(
      messageOf((socket) => addRule(socket, fromV4)),
      golden.ADD_V4,
      RULE,
    );
  });

  test("addRule() says what ip says of an IPv6 rule with all that a rule can ask for", () => {
    expectSameMessage(
      messageOf((socket) => addRule(socket, fromV6)),
      golden.ADD_V6,
      RULE,
      {
        // The kernel takes it in place of the struct's eight bits (frh_get_table()).
        onlyOurs: ["FRA_TABLE 64000000"],
      },
    );
  });
});

test("deleteRule() says what ip says, and that the rule leads to a table", () => {
  expectSameMessage(
    messageOf((socket) => deleteRule(socket, fromV4)),
    golden.DELETE_V4,
    RULE,
    {
      onlyOurs: ["struct 020020000000000100000000"], // FR_ACT_TO_TBL
      onlyTheirs: ["struct 020020000000000000000000"],
    },
  );
});

describe("listRules()", () => {
  test("listRules() reads IPv4 rules as ip -j -d showed them", () => {
    // [{"priority":0,"src":"all","table":"local"},{"priority":32765,"src":"10.22.0.5","table":"1000"},
    // {"priority":32766,"src":"all","table":"main"},{"priority":32767,"src":"all","table":"default"}]
    expect(answeredWith(golden.ANSWER_V4, (socket) => listRules(socket, 4))).toEqual([
      { family: 4, priority: 0, table: 255 },
      { ...fromV4, priority: 32_765 },
      { family: 4, priority: 32_766, table: 254 },
      { family: 4, priority: 32_767, table: 253 },
    ]);
  });

  test("listRules() reads IPv6 rules as ip -6 -j -d showed them", () => {
    // [{"priority":0,"src":"all","table":"local"},{"priority":500,"src":"fd00::5","dst":"fd01::","dstlen":16,
    // "fwmark":"0x7","iif":"veth0a","table":"100"},{"priority":32766,"src":"all","table":"main"}]
    expect(answeredWith(golden.ANSWER_V6, (socket) => listRules(socket, 6))).toEqual([
      { family: 6, priority: 0, table: 255 },
      fromV6,
      { family: 6, priority: 32_766, table: 254 },
    ]);
  });
});
