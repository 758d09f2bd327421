// Columns of texts for tests/web: reads {"folder", "question", "texts", "prior", "lookups"} as JSON from stdin, writes one JSON line a text.

import { readFileSync } from "node:fs";
import { cut } from "jieba-wasm";
import { Characters } from "../lib/characters.js";
import { KnownTriples } from "../lib/mentions.js";
import { columns } from "../lib/reader.js";
import { flat, pieces } from "../lib/sentences.js";
import { Words } from "../lib/words.js";

const { folder, question, texts, prior, lookups } = JSON.parse(readFileSync(0, "utf8"));
const read = (name) => readFileSync(`${folder}/${name}`, "utf8");
const words = new Words(cut, read("word_vocab.txt"));
await words.check(JSON.parse(read("tokenizer_config.json")).segmentation_fingerprint);
const characters = new Characters(JSON.parse(read("tokenizer.json")));
const known = prior ? new KnownTriples(readFileSync(prior, "utf8")) : null;
for (const [number, text] of texts.entries()) {
  const { asked, read: found, features } = columns(characters, words, question, text);
  const cuts = pieces(flat(Array.from(text)), found.starts, 40);
  const triples = known && number < lookups ? known.nearest(Array.from(text)) : [];
  process.stdout.write(`${JSON.stringify({ asked, found, features: Array.from(features), cuts, triples })}\n`);
}
