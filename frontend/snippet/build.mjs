/**
 * Minify the snippet into the static file that sites embed: one script, nothing loaded by it, under three kilobytes
 * gzipped. `--check` compares with the committed file instead of writing it.
 */

import { build } from "esbuild";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

const OUT = join(import.meta.dirname, "../../personalization/static/personalization/tessera.js");
const MOST = 3 * 1024;

const { outputFiles: [{ text }] } = await build({
  absWorkingDir: import.meta.dirname, entryPoints: ["src/tessera.js"], bundle: true, minify: true, write: false, format: "iife", target: "es2020",
});
const size = gzipSync(text, { level: 9 }).length;
console.log(`tessera.js: ${size} bytes gzipped`);
if (size >= MOST) {
  console.error(`The snippet has ${size} bytes gzipped; at most ${MOST - 1} are allowed.`);
  process.exitCode = 1;
} else if (!process.argv.includes("--check")) {
  writeFileSync(OUT, text);
} else if (readFileSync(OUT, "utf8") !== text) {
  console.error('The committed snippet differs from its source: run "npm run build" and commit the result.');
  process.exitCode = 1;
}
