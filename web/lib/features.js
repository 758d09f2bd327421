// The eight match features of each word of a passage, as src/hf_kexue/dgcnn/features_dgcnn.py defines them; here for one
// passage alone, so that columns 1 and 5 are 0.

/** Features of the tokens of a passage: for each (column, token) of the four a float64. */
function tokenFeatures(question, passage) {
  const known = new Set(question), size = question.length, left = size >> 1;
  const found = [0, 1, 2, 3].map(() => new Float64Array(passage.length));
  const counts = new Map();
  let common = 0, first = 0, stop = 0; // the window is passage[first:stop]
  const column = new Int32Array(size + 1);
  for (let place = 0; place < passage.length; place++) {
    found[0][place] = known.has(passage[place]) ? 1 : 0;
    while (stop < Math.min(place - left + size, passage.length)) {
      const token = passage[stop++], count = counts.get(token) ?? 0;
      counts.set(token, count + 1);
      if (count === 0 && known.has(token)) common++;
    }
    while (first < Math.max(place - left, 0)) {
      const token = passage[first++], count = counts.get(token);
      if (count === 1) counts.delete(token);
      else counts.set(token, count - 1);
      if (count === 1 && known.has(token)) common--;
    }
    found[2][place] = common / (known.size + counts.size - common);
    found[3][place] = editDistance(question, passage, first, stop, column) / size;
  }
  return found;
}

function editDistance(question, passage, first, stop, column) {
  const size = question.length;
  for (let row = 0; row <= size; row++) column[row] = row;
  for (let place = first; place < stop; place++) {
    const token = passage[place];
    let diagonal = column[0]++;
    for (let row = 1; row <= size; row++) {
      const before = column[row];
      const changed = diagonal + (question[row - 1] === token ? 0 : 1);
      column[row] = Math.min(changed, before + 1, column[row - 1] + 1);
      diagonal = before;
    }
  }
  return column[size];
}

/** Float32Array (words, 8) from words in normal form. */
export function matchFeatures(question, passage) {
  const values = new Float32Array(passage.length * 8);
  const asked = Array.from(question.join("").replace(/[\s\x1c-\x1f\x85]+/gu, ""));
  if (!question.length || !asked.length) return values;
  tokenFeatures(question, passage).forEach((column, number) => {
    column.forEach((value, word) => (values[8 * word + number] = value));
  });
  const characters = passage.map((word) => Array.from(word));
  tokenFeatures(asked, characters.flat()).forEach((column, number) => {
    let at = 0;
    characters.forEach((word, index) => {
      let sum = 0;
      for (let place = at; place < at + word.length; place++) sum += column[place];
      if (word.length) values[8 * index + 4 + number] = sum / word.length;
      at += word.length;
    });
  });
  return values;
}

/** Float32Array (tokens, 8): of the word in which each token starts. `words`: [word, start, end]. */
export function spread(values, words, encoding) {
  const found = new Float32Array(encoding.ids.length * 8);
  let word = 0;
  encoding.starts.forEach((start, token) => {
    while (word < words.length && words[word][2] <= start) word++;
    if (word < words.length && words[word][1] <= start) found.set(values.subarray(8 * word, 8 * word + 8), 8 * token);
  });
  return found;
}
