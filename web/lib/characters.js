// Characters of a text as tokens, as the saved tokenizer.json makes them: NFKC and lower case, white space, control and
// format characters left out, and for each token the code points of the text that it comes from.
//
// All places here count code points, as Python does; strings of JavaScript count units of UTF-16.

export const SPECIAL = ["[PAD]", "[UNK]", "[SEP]", "[MASK]"];
export const UNK = 1, SEP = 2;
const NO_CHARACTER = new Set([0, 2, 3]);
const BLANK = /^[\s\p{Z}\p{Cc}\p{Cf}]*$/u;
const CONTINUES = /^[\p{M}\u1160-\u11ff]/u;

/** Whether nothing in a text makes a token. */
export const isBlank = (text) => BLANK.test(text);

/** A word in normal form. */
export function normalWord(word) {
  return normalized(Array.from(word)).map(([character]) => character).join("");
}

/** [character in normal form, place in `points`] of code points. A character that becomes several has one place; of
 * several that become one, the first. */
export function normalized(points) {
  const found = [];
  for (let start = 0; start < points.length; ) {
    let stop = start + 1;
    while (stop < points.length && CONTINUES.test(points[stop].normalize("NFKD"))) stop++;
    const chunk = stop - start === 1 ? single(points[start], start) : composed(points, start, stop);
    for (const [character, place] of chunk) {
      for (const lower of Array.from(character.toLowerCase())) found.push([lower, place]);
    }
    start = stop;
  }
  return found;
}

function single(point, place) {
  return Array.from(point.normalize("NFKC"), (character) => [character, place]);
}

// A base with marks: each decomposed part consumes one code point if it is the first of its code point, else none; a
// composed character is at the first code point that its parts consume.
function composed(points, start, stop) {
  const parts = [];
  for (let place = start; place < stop; place++) {
    Array.from(points[place].normalize("NFKD")).forEach((part, index) => parts.push({ part, first: index === 0, used: false }));
  }
  const found = [];
  let next = start;
  for (const character of Array.from(points.slice(start, stop).join("").normalize("NFKC"))) {
    let consumed = 0;
    for (const piece of Array.from(character.normalize("NFD"))) {
      const part = parts.find((one) => !one.used && one.part === piece);
      if (part === undefined) continue;
      part.used = true;
      consumed += part.first ? 1 : 0;
    }
    found.push([character, consumed > 0 ? next : Math.max(next - 1, start)]);
    next += consumed;
  }
  return found;
}

export class Characters {
  /** @param {object} tokenizer content of tokenizer.json */
  constructor(tokenizer) {
    this.vocabulary = new Map(Object.entries(tokenizer.model.vocab));
  }

  /** Ids and places of the tokens of a text: {ids, places}, places in code points, each token one code point wide but
   * for special tokens spelled out in the text. */
  encode(text) {
    const ids = [], starts = [], ends = [];
    let offset = 0;
    for (const piece of text.split(/(\[(?:PAD|UNK|SEP|MASK)\])/)) {
      const points = Array.from(piece);
      if (SPECIAL.includes(piece)) {
        ids.push(SPECIAL.indexOf(piece));
        starts.push(offset);
        ends.push(offset + points.length);
      } else {
        for (const [character, place] of normalized(points)) {
          if (isBlank(character)) continue;
          ids.push(this.vocabulary.get(character) ?? UNK);
          starts.push(offset + place);
          ends.push(offset + place + 1);
        }
      }
      offset += points.length;
    }
    return { ids, starts, ends };
  }
}

/** For each token the number of the word that holds it; 0 for special tokens. */
export function wordColumn(encoding, wordOfCharacter) {
  return encoding.ids.map((id, token) => (NO_CHARACTER.has(id) ? 0 : wordOfCharacter[encoding.starts[token]]));
}
