// Words that are added and subtracted, such as king - man + woman, as taproom.analogy does: the words nearest to the
// sum of vectors, which are scaled to length 1.
"use strict";

Taproom.WordArithmetic = class {
  constructor({ words, dimensions, vectors, count }) {
    Object.assign(this, { words, dimensions, count });
    this.places = new Map(words.map((word, place) => [word, place]));
    this.units = new Float32Array(Taproom.numbers(vectors));
    for (let place = 0; place < words.length; place++) {
      const vector = this.vector(place);
      const length = Math.hypot(...vector) || 1;
      vector.forEach((each, axis) => (vector[axis] = each / length));
    }
  }

  vector(place) {
    return this.units.subarray(place * this.dimensions, (place + 1) * this.dimensions);
  }

  // The words of a sum such as "king - man + woman", with their signs. Signs have blanks around them, because words may
  // contain them.
  terms(text) {
    const parts = ` + ${text.trim()}`.replace(/^ \+ ([+\-−–]) /, " $1 ").split(/\s([+\-−–])\s/);
    return Array.from({ length: (parts.length - 1) / 2 }, (_, place) => {
      const [sign, typed] = [parts[2 * place + 1], parts[2 * place + 2].trim()];
      const word = Taproom.normalForm(typed);
      if (!word) throw new Taproom.Problem("Type words with + or - between them, such as king - man + woman.");
      if (!this.places.has(word)) throw new Taproom.Problem(this.unknown(typed));
      return { word, place: this.places.get(word), sign: sign === "+" ? 1 : -1 };
    });
  }

  unknown(word) {
    const among = `the ${this.words.length.toLocaleString("en")} words that have a vector here`;
    const hint = /[+\-−–]/.test(word) ? " Signs need a blank before and after them." : "";
    return `"${word}" is not among ${among}.${hint}`;
  }

  // The nearest words with their cosines, without those of the sum; ties go to the more frequent word.
  nearest(terms, most) {
    const sum = new Float64Array(this.dimensions);
    for (const { place, sign } of terms) this.vector(place).forEach((each, axis) => (sum[axis] += sign * each));
    const length = Math.hypot(...sum) || 1;
    const given = new Set(terms.map(({ place }) => place));
    const found = [];
    for (let place = 0; place < this.words.length; place++) {
      if (given.has(place)) continue;
      const start = place * this.dimensions;
      let dot = 0;
      for (let axis = 0; axis < this.dimensions; axis++) dot += sum[axis] * this.units[start + axis];
      const cosine = dot / length;
      if (found.length === most && cosine <= found[most - 1].cosine) continue;
      found.splice(found.findLastIndex((other) => other.cosine >= cosine) + 1, 0, { word: this.words[place], cosine });
      if (found.length > most) found.pop();
    }
    return found;
  }
};

// `entry` makes an element of a list from a word and its cosine.
Taproom.addAnalogies = (details, entry) => {
  const MOST = 10;
  Taproom.analogies = new Taproom.QuestionForm(details, {
    name: "word_vectors",
    prepare: (data) => new Taproom.WordArithmetic(data),
    answer(text, vectors) {
      const terms = vectors.terms(text);
      const sum = terms.map(({ word, sign }, place) => `${sign < 0 ? "− " : place ? "+ " : ""}${word}`).join(" ");
      const few = vectors.words.length < vectors.count;
      const among = few ? `, among the ${vectors.words.length.toLocaleString("en")} most frequent words` : "";
      return [
        Taproom.element("h3", {}, "Words nearest to ", Taproom.text(sum), `, by cosine similarity${among}`),
        Taproom.element(
          "ol",
          { className: "nearest" },
          ...vectors.nearest(terms, MOST).map(({ word, cosine }) => entry(word, cosine)),
        ),
      ];
    },
  });
};
