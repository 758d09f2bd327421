// Triples of a text: sentences, subjects, objects, memorised triples, as extraction_dgcnn_triples.py and
// decoding_dgcnn_triples.py find them.

import { wordColumn } from "./characters.js";
import { flat, pieces } from "./sentences.js";

const LONGEST_PIECE = 256, JOINED_TOKENS = 128, KNOWN_THRESHOLD = 0.5;

/** The triples of a text: {subject, predicate, object, score}, mentions as {text, start, end, type}, in code points. */
export async function extract(model, text) {
  const { characters, words, config } = model, points = Array.from(text);
  const encoding = characters.encode(text);
  encoding.words = wordColumn(encoding, words.ofCharacters(text));
  const { cuts, sentences } = pieces(flat(points), encoding.starts, LONGEST_PIECE);
  const found = new Map(); // "a,b,predicate,c,d" -> score
  const ranges = [];
  let before = [];
  const startOf = (token) => (token < encoding.ids.length ? encoding.starts[token] : points.length);
  for (const [number, [first, stop]] of cuts.entries()) {
    ranges.push([number ? startOf(first) : 0, startOf(stop)]);
    const hasSubject = await readPiece(model, encoding, sentences, first, stop, 0, found);
    if (hasSubject) before = [number];
    else if (before.length) {
      before.push(number);
      if (stop - cuts[before[0]][0] > JOINED_TOKENS) before = [];
      else await readPiece(model, encoding, sentences, cuts[before[0]][0], stop, ranges[number][0], found);
    }
  }
  addKnown(model, points, ranges, found);
  return triplesOf(found, points, config.triple_schema);
}

// Adds the triples of some tokens; of joined sentences those of which a mention begins at `since` or later.
async function readPiece(model, encoding, sentences, first, stop, since, found) {
  const { config } = model, size = stop - first;
  if (!size) return false;
  const column = (values) => ({ data: BigInt64Array.from(values.slice(first, stop), BigInt), dims: [1, size] });
  const mask = { data: new BigInt64Array(size).fill(1n), dims: [1, size] };
  const inputs = { input_ids: column(encoding.ids), word_input_ids: column(encoding.words), attention_mask: mask };
  const states = await model.run(inputs, true);
  const here = sentences.slice(first, stop);
  const [startLimit, endLimit, objectStart, objectEnd] = config.triple_thresholds;
  const subjects = spans(probabilities(states.subject_logits.data), 0, 1, size, startLimit, endLimit, here);
  if (subjects.length) {
    const places = { data: BigInt64Array.from(subjects.flatMap(([, a, b]) => [0, a, b]), BigInt), dims: [subjects.length, 3] };
    const output = await model.objects({ attention_mask: mask, ...states, subjects: places });
    const scores = probabilities(output.object_logits), predicates = config.triple_schema.length;
    subjects.forEach(([, a, b, subjectScore], row) => {
      for (const [predicate, c, d, score] of spans(scores, row, predicates, size, objectStart, objectEnd, here)) {
        const place = [encoding.starts[first + a], encoding.ends[first + b], predicate, encoding.starts[first + c], encoding.ends[first + d]];
        if (Math.max(place[0], place[3]) < since) continue;
        const key = place.join();
        found.set(key, Math.max(found.get(key) ?? 0, subjectScore * score));
      }
    });
  }
  return subjects.length > 0;
}

const probabilities = (logits) => Float32Array.from(logits, (x) => 1 / (1 + Math.exp(-x)));

/** [column, first, last, score]: each start above its threshold with the nearest end above its own, in one sentence.
 * `scores`: (rows, size, 2 * columns), starts then ends; `row`: which of them. */
export function spans(scores, row, columns, size, startLimit, endLimit, sentences) {
  const found = [], value = (token, column) => scores[(row * size + token) * 2 * columns + column];
  const [start, end] = [Math.fround(startLimit), Math.fround(endLimit)];
  for (let column = 0; column < columns; column++) {
    let nearest = -1;
    for (let token = size - 1; token >= 0; token--) {
      if (value(token, columns + column) > end) nearest = token;
      if (value(token, column) > start && nearest >= 0 && sentences[token] === sentences[nearest])
        found.push([column, token, nearest, Math.sqrt(value(token, column) * value(nearest, columns + column))]);
    }
  }
  return found;
}

// Memorised triples of reliable predicates, unless one of these words was found.
function addKnown(model, points, ranges, found) {
  const scores = model.config.known_triple_scores;
  if (!model.known || !scores) return;
  const wordsOf = (a, b, predicate, c, d) => JSON.stringify([points.slice(a, b).join(""), predicate, points.slice(c, d).join("")]);
  const there = new Set(Array.from(found.keys(), (key) => wordsOf(...key.split(",").map(Number))));
  for (const [start, end] of ranges) {
    for (const [[a, b], predicate, [c, d]] of model.known.nearest(points.slice(start, end))) {
      const place = [start + a, start + b, predicate, start + c, start + d];
      if (scores[predicate] > KNOWN_THRESHOLD && !there.has(wordsOf(...place))) found.set(place.join(), scores[predicate]);
    }
  }
}

function triplesOf(found, points, schema) {
  const triples = Array.from(found, ([key, score]) => {
    const [a, b, predicate, c, d] = key.split(",").map(Number), entry = schema[predicate];
    const mention = (start, end, types) => ({
      text: points.slice(start, end).join(""), start, end, ...(types?.length === 1 ? { type: types[0] } : {}),
    });
    return {
      subject: mention(a, b, entry.subject_types), predicate: entry.predicate, object: mention(c, d, entry.object_types), score,
    };
  });
  const order = (t) => [t.subject.start, t.object.start, t.predicate, t.subject.end, t.object.end];
  return triples.sort((one, other) => {
    const a = order(one), b = order(other), at = a.findIndex((value, index) => value !== b[index]);
    return at < 0 ? 0 : a[at] < b[at] ? -1 : 1;
  });
}
