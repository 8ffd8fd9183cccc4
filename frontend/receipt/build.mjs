/**
 * Bundle the verifier into the one static script that pages embed; nothing is loaded by it but the published checkpoints.
 * What it exports is the global `TesseraReceipt`. `--check` compares with the committed file instead of writing it.
 */

import { build } from "esbuild";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

const OUT = join(import.meta.dirname, "../../consent/static/consent/verify.js");
const MOST = 8 * 1024;

const { outputFiles: [{ text }] } = await build({
  absWorkingDir: import.meta.dirname, entryPoints: ["src/main.ts"], bundle: true, minify: true, write: false,
  format: "iife", globalName: "TesseraReceipt", target: "es2020", charset: "utf8",
});
const size = gzipSync(text, { level: 9 }).length;
console.log(`verify.js: ${size} bytes gzipped`);
if (size >= MOST) {
  console.error(`The verifier has ${size} bytes gzipped; at most ${MOST - 1} are allowed.`);
  process.exitCode = 1;
} else if (!process.argv.includes("--check")) {
  writeFileSync(OUT, text);
} else if (readFileSync(OUT, "utf8") !== text) {
  console.error('The committed verifier differs from its source: run "npm run build" and commit the result.');
  process.exitCode = 1;
}
