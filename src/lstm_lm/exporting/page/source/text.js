// The text that grows: what was read and written, and for each token what the model thought.

const LIKELIEST = 5;

/** Numbers from 0 to 1 from a seed (mulberry32): the same seed, the same text. */
function randomNumbers(seed) {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Draw a token: 0 takes the likeliest, of equal ones the first; `most` > 0 leaves so many to choose from. */
function choose(scores, temperature, most, random) {
  let best = 0;
  for (let id = 1; id < scores.length; id++) if (scores[id] > scores[best]) best = id;
  if (!(temperature > 0)) return best;
  let least = -Infinity;
  if (most > 0 && most < scores.length) least = Float32Array.from(scores).sort()[scores.length - most];
  const shares = new Float64Array(scores.length);
  let total = 0;
  for (let id = 0; id < scores.length; id++) {
    if (scores[id] >= least) total += shares[id] = Math.exp((scores[id] - scores[best]) / temperature);
  }
  let left = random() * total;
  for (let id = 0; id < scores.length; id++) {
    left -= shares[id];
    if (left < 0 && shares[id] > 0) return id;
  }
  return best; // rounding left a little over
}

class Text {
  /** `about.opening`: ids that come before a text; `about.separator`: where each is a text by itself, what ends it. */
  constructor(model, tokenizer, about) {
    Object.assign(this, { model, tokenizer });
    this.opening = about.opening;
    this.separator = about.separator;
    this.restart("", { temperature: 1, most: 0, seed: 0 });
  }

  /** Forget all, and have `prompt` to read. Gives the pieces of it that no token stands for. */
  restart(prompt, settings) {
    const { ids, missing } = this.tokenizer.encode(prompt);
    this.settings = settings;
    this.random = randomNumbers(settings.seed);
    this.decoder = this.tokenizer.decoder();
    this.waiting = ids;
    this.read = 0;
    this.tokens = []; // {id, bits, likeliest: [[id, probability], ...], units}
    this.unit = "";
    this.model.reset();
    this.open(this.separator !== null || ids.length === 0);
    return missing;
  }

  open(reads) {
    this.thought = null;
    if (reads) for (const id of this.opening) this.see(id);
  }

  get reading() {
    return this.read < this.waiting.length;
  }

  /** Read a token of the prompt, or write one; gives the text that it completes, perhaps none. */
  step() {
    const { temperature, most } = this.settings;
    const id = this.reading ? this.waiting[this.read++] : choose(this.model.scores, temperature, most, this.random);
    const bits = this.thought && (this.thought.total - this.model.scores[id]) / Math.LN2;
    this.see(id);
    const { likeliest } = this.thought;
    this.tokens.push({ id, bits, likeliest, units: this.activations() });
    const piece = this.decoder.push(id);
    if (this.separator !== null) this.follow(piece);
    return piece.replaceAll("\0", "\n\n"); // a row's end has no shape of its own
  }

  /** After a unit's end the next one begins, from a fresh state. */
  follow(piece) {
    this.unit = (this.unit + piece).slice(-this.separator.length);
    if (this.unit !== this.separator) return;
    this.unit = "";
    this.model.reset();
    this.open(true);
  }

  /** Read `id`, and keep what follows from it: the logarithm of the probabilities' sum, and the likeliest. */
  see(id) {
    this.model.step(id);
    const { scores } = this.model;
    const best = []; // ids, the likeliest first
    for (let other = 0; other < scores.length; other++) {
      if (best.length === LIKELIEST && scores[other] <= scores[best[LIKELIEST - 1]]) continue;
      let place = best.length;
      while (place > 0 && scores[other] > scores[best[place - 1]]) place--;
      best.splice(place, 0, other);
      if (best.length > LIKELIEST) best.pop();
    }
    const highest = scores[best[0]];
    let sum = 0;
    for (let other = 0; other < scores.length; other++) sum += Math.exp(scores[other] - highest);
    const total = highest + Math.log(sum);
    this.thought = { total, likeliest: best.map((other) => [other, Math.exp(scores[other] - total)]) };
  }

  /** All units, from -127 to 127, which is -1 to 1. */
  activations() {
    const all = new Int8Array(this.model.units);
    let at = 0;
    for (const { shown } of this.model.layers) for (const value of shown) all[at++] = Math.round(127 * value);
    return all;
  }
}
