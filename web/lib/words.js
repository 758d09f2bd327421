// Words of a text as the tokenizer of the package cuts them: jieba's dictionary without its hidden Markov model.

import { isBlank, normalWord } from "./characters.js";

const PROBE =
  "白云山下的科学空间，2018年发布了基于CNN的阅读理解式问答模型：DGCNN，结合成分子时，南京市长江大桥也研究生命起源。";

export class Words {
  /**
   * @param {(text: string, hmm: boolean) => string[]} cut of jieba-wasm
   * @param {string} vocabulary content of word_vocab.txt
   */
  constructor(cut, vocabulary) {
    this._cut = cut;
    const words = vocabulary.replace(/\n$/, "").split("\n");
    this.rows = new Map(words.map((word, row) => [word, row]));
    this.normal = new Map();
  }

  /** Words that, joined, are the text. The second argument has to be said: left out, the model is on. */
  cut(text) {
    return this._cut(text, false);
  }

  /** Throws where words are cut otherwise than when the tokenizer was saved. */
  async check(fingerprint) {
    if (!globalThis.crypto?.subtle) return; // not over plain http from another machine
    const bytes = new TextEncoder().encode(`${this.cut(PROBE).join("|")}\n`);
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    const found = Array.from(digest.slice(0, 6), (byte) => byte.toString(16).padStart(2, "0")).join("");
    if (found !== fingerprint) throw new Error(`Words are cut otherwise than in training: ${found}, not ${fingerprint}.`);
  }

  normalWord(word) {
    if (!this.normal.has(word)) {
      if (this.normal.size > 65536) this.normal.clear();
      this.normal.set(word, normalWord(word));
    }
    return this.normal.get(word);
  }

  /** For each code point the number of its word: as it is, then in normal form, else 1. */
  ofCharacters(text) {
    const found = [];
    for (const word of this.cut(text)) {
      const row = this.rows.get(word) ?? this.rows.get(this.normalWord(word)) ?? 1;
      for (const _ of word) found.push(row);
    }
    return found;
  }

  /** [word in normal form, start, end] in code points; white space is no word. */
  segment(text) {
    const found = [];
    let at = 0;
    for (const word of this.cut(text)) {
      const end = at + Array.from(word).length;
      if (!isBlank(word)) found.push([this.normalWord(word), at, end]);
      at = end;
    }
    return found;
  }
}
