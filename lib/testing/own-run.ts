/** A /run for tests that empty /run/weft: never the one that weft on this machine keeps its records in. */

/** Why a test may not do so here; undefined where scripts/test.ts runs it, which mounts a /run for that. */
export const noOwnRunReason: string | undefined =
  process.env["WEFT_OWN_RUN"] === "1"
    ? undefined
    : "needs root, and a /run of its own: ./build.sh test units";
