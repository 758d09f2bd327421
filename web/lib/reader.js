// Answers from a text: windows, scores, spans, as reading_dgcnn_qa.py and decoding_dgcnn.py compute them.

import { SEP, wordColumn } from "./characters.js";
import { matchFeatures, spread } from "./features.js";

const WINDOW = 1024, STRIDE = 128;

/** Columns of a question with its separator, and of a text, each as {ids, words, starts, ends}, features of the text. */
export function columns(characters, words, question, text) {
  const asked = characters.encode(question), read = characters.encode(text);
  asked.words = [...wordColumn(asked, words.ofCharacters(question)), 0];
  asked.ids.push(SEP);
  read.words = wordColumn(read, words.ofCharacters(text));
  const segments = words.segment(text);
  const values = matchFeatures(words.segment(question).map(([word]) => word), segments.map(([word]) => word));
  return { asked, read, features: spread(values, segments, read) };
}

/** The best answers, distinct strings: {answer, score, start, end}, in code points.
 * @param run (inputs by name: {data, dims}) -> outputs by name
 */
export async function answer(model, question, text, count = 3) {
  const { asked, read, features } = columns(model.characters, model.words, question, text);
  const points = Array.from(text), total = read.ids.length;
  let found = [];
  for (let first = 0; first < Math.max(total - STRIDE, total ? 1 : 0); first += WINDOW - STRIDE) {
    const stop = Math.min(first + WINDOW, total), size = stop - first;
    const output = await model.run({
      question_input_ids: integers(asked.ids), question_word_input_ids: integers(asked.words),
      question_attention_mask: integers(asked.ids.map(() => 1)),
      input_ids: integers(read.ids.slice(first, stop)), word_input_ids: integers(read.words.slice(first, stop)),
      attention_mask: integers(new Array(size).fill(1)),
      match_features: { data: features.slice(8 * first, 8 * stop), dims: [1, size, 8] },
    });
    const [start, end] = probabilities(output, model.config.output);
    const places = { starts: read.starts.slice(first, stop), ends: read.ends.slice(first, stop) };
    found = distinct([...found, ...bestSpans(start, end, places, points, model.config.max_answer_len, count)]).slice(0, count);
  }
  return found.length ? found : [{ answer: "", score: 0, start: 0, end: 0 }];
}

/** Whether the reader had better not answer: the best score is below the one that it was calibrated to. */
export function refuses({ config }, answers) {
  return answers[0].score < (config.no_answer_threshold ?? 0.5);
}

function integers(values) {
  return { data: BigInt64Array.from(values, BigInt), dims: [1, values.length] };
}

function probabilities(output, kind) {
  const start = Array.from(output.start_logits), end = Array.from(output.end_logits);
  const sigmoid = (x) => 1 / (1 + Math.exp(-x));
  if (kind === "tagging") return [start.map(sigmoid), end.map(sigmoid)];
  const root = Math.sqrt(sigmoid(output.answerability_logits[0]));
  return [softmax(start), softmax(end)].map((values) => values.map((value) => value * root));
}

function softmax(logits) {
  const highest = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const powers = logits.map((value) => Math.exp(value - highest));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((value) => value / sum);
}

// Order of ties: start, then end.
const before = (a, b) => b.score - a.score || a.start - b.start || a.end - b.end;

function distinct(spans) {
  const best = new Map();
  for (const span of [...spans].sort(before)) if (!best.has(span.answer)) best.set(span.answer, span);
  return [...best.values()];
}

/** Spans with the highest product of start and end that are short enough, distinct strings. */
export function bestSpans(start, end, places, points, longest, count) {
  const half = points.map((c) => (/^[\s\x1c-\x1f\x85]$/u.test(c) ? 0 : /^[A-Za-z0-9]$/.test(c) ? 1 : 2));
  const until = [0];
  for (const value of half) until.push(until.at(-1) + value);
  const [starts, startScores] = largest(places.starts, start), [ends, endScores] = largest(places.ends, end);
  let found = [], lowest = 0;
  starts.forEach((from, row) => {
    for (let column = ends.findLastIndex((to) => to <= from) + 1; column < ends.length; column++) {
      if (until[ends[column]] - until[from] > 2 * longest) break;
      const score = startScores[row] * endScores[column];
      if (score < lowest) continue;
      found.push({ answer: points.slice(from, ends[column]).join(""), score, start: from, end: ends[column] });
      if (found.length > 64 * count) {
        found = distinct(found).slice(0, count);
        if (found.length === count) lowest = found.at(-1).score;
      }
    }
  });
  return distinct(found).slice(0, count);
}

// Each place once, with the largest of its scores.
function largest(places, scores) {
  const found = [], kept = [];
  places.forEach((place, token) => {
    if (found.length && found.at(-1) === place) kept[kept.length - 1] = Math.max(kept.at(-1), scores[token]);
    else found.push(place), kept.push(scores[token]);
  });
  return [found, kept];
}
