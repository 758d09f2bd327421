// Memorised triples as fingerprints, as mentions_dgcnn.py and prior_dgcnn.py look them up.

const MASK = (1n << 64n) - 1n;
const BASE = 0x9e3779b97f4a7c15n, MIXER = 0xd6e8feb86659fd93n, INVERSE = inverse(BASE);
const LONGEST = 255;

function inverse(odd) {
  let found = 1n; // Newton: the number of right bits doubles
  for (let step = 0; step < 7; step++) found = (found * (2n - odd * found)) & MASK;
  return found;
}

/** A character in NFKC and lower case where that is one character, else as it is. */
function folded(point) {
  const found = point.normalize("NFKC").toLowerCase();
  return Array.from(found).length === 1 ? found : point;
}

const isLatin = (point) => point !== undefined && /^[A-Za-z0-9]$/.test(point);

/** Whether points[start:end] neither begins nor ends within a run of ASCII letters and digits. */
const isWhole = (points, start, end) =>
  [start, end].every((cut) => cut === 0 || cut === points.length || !(isLatin(points[cut - 1]) && isLatin(points[cut])));

/** Fingerprints of all pieces of `length` code points: a number for each start. */
export class Fingerprints {
  constructor(points) {
    this.points = points.map(folded);
    this.powers = [1n];
    this.sums = [0n];
    let shrinking = 1n;
    this.points.forEach((point, place) => {
      shrinking = (shrinking * INVERSE) & MASK;
      this.sums.push((this.sums[place] + BigInt(point.codePointAt(0)) * shrinking) & MASK);
      this.powers.push((this.powers[place] * BASE) & MASK);
    });
  }

  at(start, length) {
    const end = start + length;
    let value = (((this.sums[end] - this.sums[start]) & MASK) * this.powers[end]) & MASK;
    value = ((value ^ (value >> 31n)) * MIXER) & MASK;
    value = ((value ^ (value >> 29n)) * BASE) & MASK;
    return Number(((value >> 20n) << 8n) | BigInt(length));
  }
}

export class KnownTriples {
  /** @param {string} lines content of triple_prior.txt: [subject, predicate, object] a line, mentions as fingerprints */
  constructor(lines) {
    this.ofSubject = new Map();
    this.mentions = new Set();
    for (const line of lines.split("\n").filter(Boolean)) {
      const [subject, predicate, other] = JSON.parse(line);
      if (typeof subject !== "number") throw new Error("Memorised triples must be fingerprints; these are words.");
      if (!this.ofSubject.has(subject)) this.ofSubject.set(subject, []);
      this.ofSubject.get(subject).push([predicate, other]);
      this.mentions.add(subject).add(other);
    }
    this.lengths = [...new Set(Array.from(this.mentions, (mention) => mention % (LONGEST + 1)))];
  }

  /** The memorised triples in a text, each once, at the two places nearest to each other: [[start, end], predicate,
   * [start, end]]. */
  nearest(points) {
    const prints = new Fingerprints(points), places = new Map();
    for (const length of this.lengths) {
      for (let start = 0; start + length <= points.length; start++) {
        const mention = prints.at(start, length);
        if (!this.mentions.has(mention) || !isWhole(prints.points, start, start + length)) continue;
        if (!places.has(mention)) places.set(mention, []);
        places.get(mention).push([start, start + length]);
      }
    }
    const found = [];
    for (const [mention, subjects] of places) {
      for (const [predicate, other] of this.ofSubject.get(mention) ?? []) {
        let best = null;
        for (const subject of subjects) {
          for (const object of places.get(other) ?? []) {
            const far = Math.abs(subject[0] - object[0]);
            if (!best || far < best.far || (far === best.far && (subject[0] - best.subject[0] || object[0] - best.object[0]) < 0))
              best = { far, subject, object };
          }
        }
        if (best) found.push([best.subject, predicate, best.object]);
      }
    }
    return found;
  }
}
