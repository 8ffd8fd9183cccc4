/**
 * Bundle the banner into the one static file that sites embed: its style sheet is a string in it, nothing is loaded by
 * it, and it stays under eight kilobytes gzipped. `--check` compares with the committed file instead of writing it.
 */

import { build, transform } from "esbuild";
import { readFileSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

const OUT = join(import.meta.dirname, "../../consent/static/consent/consent.js");
const MOST = 8 * 1024;

const minifiedStyle = {
  name: "a style sheet as a short string",
  setup: ({ onLoad }) =>
    onLoad({ filter: /\.css$/ }, async ({ path }) => {
      const { code } = await transform(await readFile(path, "utf8"), { loader: "css", minify: true });
      return { contents: code, loader: "text" };
    }),
};

const { outputFiles: [{ text }] } = await build({
  absWorkingDir: import.meta.dirname, entryPoints: ["src/main.ts"], bundle: true, minify: true, write: false, format: "iife", target: "es2020",
  plugins: [minifiedStyle],
});
const size = gzipSync(text, { level: 9 }).length;
console.log(`consent.js: ${size} bytes gzipped`);
if (size >= MOST) {
  console.error(`The banner has ${size} bytes gzipped; at most ${MOST - 1} are allowed.`);
  process.exitCode = 1;
} else if (!process.argv.includes("--check")) {
  writeFileSync(OUT, text);
} else if (readFileSync(OUT, "utf8") !== text) {
  console.error('The committed banner differs from its source: run "npm run build" and commit the result.');
  process.exitCode = 1;
}
