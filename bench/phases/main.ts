/** What `weft` is to the profile: the first line takes the time, and only then is anything loaded. */
import "./marks.ts";

await import("./phased.ts");
