// Text to tokens and back, as src/lstm_lm/tokenizers does it. Tokens come as strings of bytes: one character a byte.

class Tokenizer {
  /**
   * `about`: name, tokens; `pieces`, what text is cut by, null: into characters; for BPE merges as [left, right, both,
   * ...]; `unknown`, the id for words not known, or null.
   */
  constructor(about) {
    this.name = about.name;
    this.bytes = about.tokens.map((token) => Uint8Array.from(token, (byte) => byte.charCodeAt(0)));
    this.unknown = about.unknown;
    this.pieces = about.pieces === null ? null : new RegExp(about.pieces, "gu");
    this.merges = new Map();
    const size = this.bytes.length;
    for (let i = 0; i < about.merges.length; i += 3) {
      this.merges.set(about.merges[i] * size + about.merges[i + 1], { rank: i, both: about.merges[i + 2] });
    }
    const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
    this.ids = new Map();
    if (this.name === "bpe") {
      this.bytes.forEach((token, id) => token.length === 1 && this.ids.set(token[0], id));
    } else if (this.name !== "byte") {
      this.bytes.forEach((token, id) => id !== this.unknown && this.ids.set(utf8.decode(token), id));
    }
  }

  /** The tokens of `text`, and the different pieces of it that no token stands for. */
  encode(text) {
    const ids = [];
    const missing = new Set();
    if (this.name === "byte") return { ids: [...new TextEncoder().encode(text)], missing: [] };
    for (const piece of this.pieces === null ? text : text.match(this.pieces) ?? []) {
      if (this.name === "bpe") {
        ids.push(...this.merged(piece));
        continue;
      }
      const id = this.ids.get(piece);
      if (id !== undefined) ids.push(id);
      else missing.add(piece);
      if (id === undefined && this.unknown !== null) ids.push(this.unknown);
    }
    return { ids, missing: [...missing] };
  }

  /** A word's bytes, of which the pair that was learned first becomes one token, again and again. */
  merged(word) {
    const ids = Array.from(new TextEncoder().encode(word), (byte) => this.ids.get(byte));
    for (;;) {
      let best = null;
      let place = 0;
      for (let i = 0; i + 1 < ids.length; i++) {
        const merge = this.merges.get(ids[i] * this.bytes.length + ids[i + 1]);
        if (merge && (!best || merge.rank < best.rank)) [best, place] = [merge, i];
      }
      if (!best) return ids;
      ids.splice(place, 2, best.both);
    }
  }

  /** Text as soon as it is complete, from tokens that may end in the middle of a character. */
  decoder() {
    const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
    return {
      push: (id) => utf8.decode(this.bytes[id], { stream: true }),
      flush: () => utf8.decode(),
    };
  }

  /** A token by itself, for people to read; bytes that are no character by their numbers. */
  shown(id) {
    const bytes = this.bytes[id];
    let text;
    try {
      text = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true }).decode(bytes);
    } catch {
      return Array.from(bytes, (byte) => byte.toString(16).toUpperCase().padStart(2, "0")).join(" ");
    }
    return visible(text);
  }
}

/** Blanks and what has no shape, by signs and numbers. */
function visible(text) {
  const signs = { " ": "␣", "\n": "↵", "\t": "⇥", "\r": "␍" };
  return text.replace(/[ \n\t\r]/g, (blank) => signs[blank])
    .replace(/[\p{C}\p{Z}]|^\p{M}/gu, (odd) => `U+${odd.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`);
}
