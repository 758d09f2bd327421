// Put the page together: node build.mjs [FOLDER], default ../outputs/web. Run `npm ci` before.

import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const output = resolve(process.argv[2] ?? join(here, "..", "outputs", "web"));
const MODELS = {
  "dgcnn-qa-zh": ["config.json", "tokenizer.json", "tokenizer_config.json", "word_vocab.txt", "onnx/model.int8.onnx"],
  "dgcnn-triples-zh": [
    "config.json", "tokenizer.json", "tokenizer_config.json", "word_vocab.txt", "triple_prior.txt",
    "onnx/model.int8.onnx", "onnx/objects.int8.onnx",
  ],
};
const VENDOR = {
  "onnxruntime-web/dist/ort.wasm.bundle.min.mjs": "ort.wasm.bundle.min.mjs",
  "onnxruntime-web/dist/ort-wasm-simd-threaded.wasm": "ort-wasm-simd-threaded.wasm",
  "jieba-wasm/pkg/web/jieba_rs_wasm.js": "jieba_rs_wasm.js",
  "jieba-wasm/pkg/web/jieba_rs_wasm_bg.wasm": "jieba_rs_wasm_bg.wasm",
  "jieba-wasm/LICENSE": "jieba-wasm.LICENSE",
};
const PAGE = ["index.html", "style.css", "icon.svg", "main.js", "worker.js", "lib"];

function copy(from, to) {
  if (!existsSync(from)) {
    console.error(`${relative(process.cwd(), from)} is missing${from.includes("node_modules") ? ": run `npm ci` in web/" : ""}.`);
    process.exit(2);
  }
  mkdirSync(dirname(to), { recursive: true });
  cpSync(from, to, { recursive: true });
}

function filesIn(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? filesIn(join(folder, entry.name)) : [join(folder, entry.name)],
  );
}

rmSync(output, { recursive: true, force: true });
for (const name of PAGE) copy(join(here, name), join(output, name));
for (const [from, to] of Object.entries(VENDOR)) copy(join(here, "node_modules", from), join(output, "vendor", to));
for (const [model, files] of Object.entries(MODELS)) {
  for (const file of files) copy(join(here, "..", "model_cards", model, file), join(output, "models", model, file));
}

const digest = createHash("sha256"), sizes = {}, shell = ["./", "files.js"];
for (const path of filesIn(output).sort()) {
  const name = relative(output, path).split("\\").join("/");
  digest.update(name).update(readFileSync(path));
  if (name.endsWith(".wasm") || name.startsWith("models/")) sizes[name] = statSync(path).size;
  else if (!name.endsWith("LICENSE")) shell.push(name);
}
const cache = `hf-kexue-${digest.digest("hex").slice(0, 12)}`;
writeFileSync(join(output, "files.js"), `export const CACHE = ${JSON.stringify(cache)};\nexport const FILES = ${JSON.stringify(sizes, null, 1)};\n`);
const worker = readFileSync(join(here, "service-worker.js"), "utf8");
const written = worker.replace('CACHE = "development", SHELL = []', `CACHE = ${JSON.stringify(cache)}, SHELL = ${JSON.stringify(shell)}`);
if (written === worker) throw new Error("service-worker.js has no line with CACHE and SHELL.");
writeFileSync(join(output, "service-worker.js"), written);
const total = filesIn(output).reduce((sum, path) => sum + statSync(path).size, 0);
console.log(`${output}: ${(total / 1e6).toFixed(1)} MB`);
