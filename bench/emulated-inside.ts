/** Measures ipvlan inside the emulated machine; its argument is an EmulatedOrder, as JSON. */
import { type EmulatedOrder, formatRows } from "./emulated-rows.ts";
import { setUpHost } from "./host.ts";
import { measureCase } from "./measure-case.ts";
import { emulatedCases, underlaySuites } from "./underlay-cases.ts";

const { suites, only, rounds }: EmulatedOrder = JSON.parse(process.argv[2] ?? "");
setUpHost();
const rows = emulatedCases()
  .filter(({ name }) => name.includes(only))
  .flatMap((each) => measureCase(each, underlaySuites(suites), rounds));
console.log(formatRows(rows));
