// Where sentences and clauses end, as src/hf_kexue/dgcnn/sentences_dgcnn.py says. Places count code points.

const CLOSING = "”’」』）)】]》〉", OPENING = "“‘「『（(【[《〈", QUOTES = "“‘「『";
const DEEPEST = 8, LONGEST_PAIR = 200;
const SPACE = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000"; // as Python's \s
const TERMINAL = new RegExp(`[。！？；]|[!?](?![A-Za-z0-9])|(?<!(?<![\\p{L}\\p{N}_])[A-Za-z])\\.(?=[${SPACE}])`, "uy");
const AFTER_TERMINAL = /[。！？；!?]*[”’」』）)\]】》"']*/y;
const PARAGRAPH = new RegExp(`(?:\\r\\n|(?!\\r\\n)[\\r\\n\\u2028\\u2029])[${SPACE}]*(?:[\\r\\n\\u2028\\u2029][${SPACE}]*|(?<=\\u3000))|\\u2029`, "gu");
const CLAUSE_END = /[，、：…]|[,:;](?![\p{Nd}])/gu;

/** One unit of UTF-16 for each code point; the rare ones become a letter that no rule names. */
export const flat = (points) => points.map((point) => (point.length === 1 ? point : "\ua000")).join("");

/** The place after each sentence, closing marks included. `text`: of `flat`. */
export function sentenceEnds(text) {
  const paragraphs = Array.from(text.matchAll(PARAGRAPH), (match) => match.index + match[0].length);
  const closedBy = pairs(text, paragraphs), ends = new Set(paragraphs);
  let place = 0, colon = false;
  while (place < text.length) {
    if (closedBy.has(place)) {
      const close = closedBy.get(place), last = text[close - 1], following = text[close + 1] ?? "";
      const speech = QUOTES.includes(text[place]) && (last === "。" || (colon && "！？!?".includes(last)));
      if (speech && !(following && "，、；：,;:。！？!?".includes(following))) ends.add(close + 1);
      place = close + 1;
    } else {
      TERMINAL.lastIndex = place;
      if (TERMINAL.test(text)) {
        AFTER_TERMINAL.lastIndex = TERMINAL.lastIndex;
        AFTER_TERMINAL.test(text);
        place = AFTER_TERMINAL.lastIndex;
        ends.add(place);
      } else place++;
    }
    colon = text[place - 1] === "：" || text[place - 1] === ":";
  }
  return [...ends].sort((a, b) => a - b);
}

/** The place after each comma, colon, ASCII semicolon and ellipsis. */
export function clauseEnds(text) {
  return Array.from(text.matchAll(CLAUSE_END), (match) => match.index + match[0].length);
}

// Place of an opening mark -> that of its closing mark, in the same paragraph and not too far away.
function pairs(text, paragraphs) {
  const found = new Map(), breaks = [...paragraphs, text.length + 1];
  let following = breaks.shift(), waiting = [];
  for (let place = 0; place < text.length; place++) {
    if (place >= following) [following, waiting] = [breaks.shift(), []];
    const mark = text[place], kind = CLOSING.indexOf(mark);
    if (OPENING.includes(mark)) waiting.push(place);
    else if (kind >= 0) {
      const nearest = waiting.slice(-DEEPEST).findLastIndex((start) => text[start] === OPENING[kind]);
      if (nearest >= 0) {
        const index = Math.max(waiting.length - DEEPEST, 0) + nearest;
        if (place - waiting[index] <= LONGEST_PAIR) found.set(waiting[index], place);
        waiting.length = index;
      }
    }
  }
  return found;
}

/** Tokens of a text cut into sentences, too long ones at commas, else anywhere: [[first, stop]], and for each token
 * the number of its sentence. `starts`: place of each token. */
export function pieces(text, starts, size) {
  const count = starts.length;
  const tokensBefore = (places) => places.map((place) => lowerBound(starts, place));
  const ends = tokensBefore(sentenceEnds(text)), clauses = tokensBefore(clauseEnds(text));
  const sentences = starts.map((_, token) => ends.filter((end) => end <= token).length);
  const found = [];
  let first = 0;
  for (const end of [...new Set([...ends, count])].filter((end) => end > 0).sort((a, b) => a - b)) {
    while (end - first > size) {
      const clause = clauses.findLast((place) => place <= first + size);
      const stop = clause !== undefined && clause > first ? clause : first + size;
      found.push([first, stop]);
      first = stop;
    }
    if (first < end) {
      found.push([first, end]);
      first = end;
    }
  }
  return { cuts: found, sentences };
}

function lowerBound(values, wanted) {
  let low = 0, high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}
