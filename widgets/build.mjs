// Bundles each widget of src/ into workbench/widgets/static: without minifying, so that the file a
// user's browser runs can be read, and once more as small as it gets, for what a notebook's output and
// a page carry. `--fresh` builds into memory and compares with the committed files.
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync, mkdirSync, existsSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";

const WIDGETS = [
  "attention_grid", "feature_grid", "feature_page", "graph_view", "token_grid",
];
const here = dirname(fileURLToPath(import.meta.url));
const target = join(here, "..", "workbench", "widgets", "static");

/** @param {string} text */
const sha256 = (text) => createHash("sha256").update(text).digest("hex");

/**
 * The header lets a test prove freshness without npm: it names the sources of the bundle and carries
 * a hash of them, and a hash of everything after the header.
 * @param {string} body
 * @param {string[]} sources paths relative to the widgets folder, sorted, "/" between folders
 */
function header(body, sources) {
  const hash = createHash("sha256");
  for (const source of sources) {
    hash.update(`${source}\0`).update(readFileSync(join(here, source))).update("\0");
  }
  return [
    "/* Built by `npm run build` in widgets/; edit the sources there, never this file.",
    ` * sources: ${sources.join(" ")}`,
    ` * sources-sha256: ${hash.digest("hex")}`,
    ` * body-sha256: ${sha256(body)}`,
    " */\n",
  ].join("\n");
}

/**
 * @param {string} entry a file of src/
 * @param {boolean} small a script that names its exports `view`, instead of a module
 */
async function bundle(entry, small) {
  const result = await esbuild.build({
    absWorkingDir: here,
    entryPoints: [join("src", entry)],
    bundle: true,
    write: false,
    metafile: true,
    format: small ? "iife" : "esm",
    globalName: small && entry.endsWith(".js") ? "view" : undefined,
    minify: small,
    target: "es2022",
    charset: "utf8",
    legalComments: "inline",
    logLevel: "warning",
  });
  const own = Object.keys(result.metafile.inputs)
    .map((path) => relative(here, join(here, path)).split(sep).join("/"))
    .filter((path) => path.startsWith("src/"));
  const body = result.outputFiles[0].text;
  return header(body, [...own, "build.mjs", "package-lock.json"].sort()) + body;
}

const fresh = process.argv.includes("--fresh");
let stale = 0;
mkdirSync(target, { recursive: true });
for (const widget of WIDGETS) {
  for (const name of ["js", "css", "min.js", "min.css"].map((end) => `${widget}.${end}`)) {
    const path = join(target, name);
    const text = await bundle(name.replace(".min", ""), name.includes(".min."));
    if (!fresh) {
      writeFileSync(path, text);
      console.log(`${name}: ${(text.length / 1024).toFixed(0)} KiB`);
    } else if (!existsSync(path) || readFileSync(path, "utf8") !== text) {
      console.error(`workbench/widgets/static/${name} is not what its sources build: run \`npm run build\` in widgets/`);
      stale += 1;
    }
  }
}
process.exitCode = stale > 0 ? 1 : 0;
