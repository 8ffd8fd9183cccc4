/**
 * Bundle the builder into the static files that the admin serves: one script, one style sheet, no run-time imports.
 * `react` is preact's compatibility layer, by the aliases in package.json. The script begins with the licences of
 * what it contains. `--check` compares with the committed files instead of writing them.
 */

import { build } from "esbuild";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { gzipSync } from "node:zlib";

const HERE = import.meta.dirname;
const OUT = join(HERE, "../../cms/static/cms");

const result = await build({
  absWorkingDir: HERE,
  entryPoints: { "rule-builder": "src/main.ts", "rule-builder-style": "src/rule-builder.css" },
  outdir: OUT,
  bundle: true,
  minify: true,
  write: false,
  metafile: true,
  format: "iife",
  target: "es2022",
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "none",
  define: { "process.env.NODE_ENV": '"production"' },
});
const outputs = new Map(result.outputFiles.map(({ path, text }) => [basename(path).replace("-style", ""), text]));
outputs.set("rule-builder.js", notice(Object.keys(result.metafile.inputs)) + outputs.get("rule-builder.js"));
for (const [name, text] of outputs) {
  console.log(`${name}: ${(gzipSync(text).length / 1024).toFixed(1)} KB gzipped`);
  if (process.argv.includes("--check")) compare(name, text);
  else writeFileSync(join(OUT, name), text);
}

function compare(name, text) {
  if (readFileSync(join(OUT, name), "utf8") === text) return;
  console.error(`${name} differs from its sources: run "npm run build" and commit the result.`);
  process.exitCode = 1;
}

/** Name every bundled package with its licence and the line that its licence asks to keep. */
function notice(inputs) {
  const folders = inputs.map((path) => /^.*node_modules\/(@[^/]+\/)?[^/]+/.exec(path)?.[0]).filter(Boolean);
  return `/*! Contains:\n${[...new Set(folders.map(creditOf))].sort().join("\n")}\n*/\n`;
}

function creditOf(folder) {
  const { name, version, license } = JSON.parse(readFileSync(join(HERE, folder, "package.json"), "utf8"));
  const file = readdirSync(join(HERE, folder)).find((entry) => /^licen[cs]e/i.test(entry));
  const holder = file && readFileSync(join(HERE, folder, file), "utf8").match(/^.*copyright \(c\).*$/im)?.[0].trim();
  return [` * ${name} ${version}`, license, holder].filter(Boolean).join(" · ");
}
