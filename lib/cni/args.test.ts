import { expect, test } from "bun:test";
import { ignoringUnknown, parseArgs } from "./args.ts";
import { CniError } from "./error.ts";

function refusal(text: string): CniError {
  try {
    parseArgs(text, ["MAC"]);
  } catch (error) {
    if (error instanceof CniError) return error;
  }
  throw new Error("not refused");
}

test.each<[text: string, args: Record<string, string>]>([
  ["", {}],
  ["MAC=02:00:00:00:00:01", { MAC: "02:00:00:00:00:01" }],
  ["MAC=", { MAC: "" }],
  ["MAC=a;MAC=b", { MAC: "b" }],
  ["IgnoreUnknown=0", { IgnoreUnknown: "0" }],
  ["IgnoreUnknown=1;K8S_POD_NAME=p", { IgnoreUnknown: "1", K8S_POD_NAME: "p" }],
  ["K8S_POD_NAME=p;IgnoreUnknown=True", { IgnoreUnknown: "True", K8S_POD_NAME: "p" }],
])("parseArgs() reads %p", (text, args) => {
  expect(parseArgs(text, ["MAC"])).toEqual(args);
});

test.each<[text: string, msg: string]>([
  ["MAC", 'ARGS: invalid pair "MAC"'],
  ["MAC=a=b", 'ARGS: invalid pair "MAC=a=b"'],
  ["MAC=a;", 'ARGS: invalid pair ""'],
  ["IgnoreUnknown=1;x", 'ARGS: invalid pair "x"'],
  ["X=1", 'ARGS: unknown args ["X=1"]'],
  ["MAC=a;X=1;Y=2", 'ARGS: unknown args ["X=1" "Y=2"]'],
  ["mac=a", 'ARGS: unknown args ["mac=a"]'],
  ["IgnoreUnknown=false;X=1", 'ARGS: unknown args ["X=1"]'],
  [
    "IgnoreUnknown=yes",
    'ARGS: error parsing value of pair "IgnoreUnknown=yes": boolean unmarshal error: invalid input yes',
  ],
])("parseArgs() refuses %p", (text, msg) => {
  expect(refusal(text)).toMatchObject({ code: 4, msg, details: "CNI_ARGS is KEY=value;KEY2=value2" });
});

test("ignoringUnknown() lets pass what was refused, also where it was asked not to", () => {
  for (const text of ["X=1", "IgnoreUnknown=0;X=1"]) {
    expect(parseArgs(ignoringUnknown(text), [])).toMatchObject({ X: "1", IgnoreUnknown: "1" });
  }
});
