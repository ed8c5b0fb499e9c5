import { expect, test } from "bun:test";
import { parseResolvConf } from "./resolv-conf.ts";

test("parseResolvConf() adds up the lists and takes the last domain", () => {
  const text = [
    "# a comment",
    "; nameserver 9.9.9.9",
    "nameserver 192.0.2.1",
    "  nameserver\t2001:db8::53  # the first word counts",
    "domain old.example",
    "domain new.example",
    "search a.example b.example",
    "search c.example",
    "options ndots:5 rotate",
    "sortlist 192.0.2.0",
    "nameserver",
    "",
  ];
  expect(parseResolvConf(text.join("\r\n"))).toEqual({
    nameservers: ["192.0.2.1", "2001:db8::53"],
    domain: "new.example",
    search: ["a.example", "b.example", "c.example"],
    options: ["ndots:5", "rotate"],
  });
});

test("parseResolvConf() finds nothing in an empty file", () => {
  expect(parseResolvConf("")).toEqual({ nameservers: [], domain: undefined, search: [], options: [] });
});
