// Texts by their words, also with typing errors. MiniSearch finds words that are misspelt; the words that begin with a
// typed one, and the texts of each word, are lists here. (MiniSearch's own search makes objects for each text of each
// word: half a second where a word is in a hundred thousand texts.)
"use strict";

Taproom.TextIndex = class {
  static AT_ONCE = 5000; // texts, or words, between two looks at what else the page has to do
  static SAME = 1e6; // more than any score
  static PREFIX = 0.375; // weight of a word that begins with the typed one, as MiniSearch has it
  static SHORT = 3; // characters; nearly all words are like one that is so short

  constructor(texts) {
    this.folded = texts.map(Taproom.folded);
    this.shortness = new Float32Array(texts.length); // what a word counts for in each text
    this.textsOf = new Map(); // word -> indices of the texts that have it, ascending
    this.words = new MiniSearch({
      fields: ["word"],
      idField: "word",
      tokenize: (word) => [word],
      processTerm: (word) => word,
      searchOptions: { fuzzy: 0.25 },
    });
    this.filled = this.fill();
  }

  static cut(folded) {
    return [...new Set(MiniSearch.getDefault("tokenize")(folded))].filter(Boolean);
  }

  async fill() {
    const { AT_ONCE } = Taproom.TextIndex;
    const lengths = new Float32Array(this.folded.length); // in words
    for (let index = 0; index < this.folded.length; index++) {
      if (index % AT_ONCE === AT_ONCE - 1) await Taproom.idle();
      const words = Taproom.TextIndex.cut(this.folded[index]);
      lengths[index] = words.length;
      for (const word of words) {
        if (!this.textsOf.has(word)) this.textsOf.set(word, []);
        this.textsOf.get(word).push(index);
      }
    }
    // More in a short one: BM25+ with MiniSearch's parameters.
    const mean = lengths.reduce((sum, each) => sum + each, 0) / Math.max(1, lengths.length);
    lengths.forEach((length, index) => {
      this.shortness[index] = 0.5 + 2.2 / (1 + 1.2 * (0.3 + (0.7 * length) / Math.max(1, mean)));
    });
    this.sorted = [...this.textsOf.keys()].sort();
    for (let first = 0; first < this.sorted.length; first += AT_ONCE) {
      await Taproom.idle();
      this.words.addAll(this.sorted.slice(first, first + AT_ONCE).map((word) => ({ word })));
    }
  }

  // The words that a typed one may be, with scores, best first: itself, those that begin with it, misspelt ones.
  alike(typed) {
    const { PREFIX, SHORT } = Taproom.TextIndex;
    const words = new Map();
    for (let place = this.placeOf(typed); this.sorted[place]?.startsWith(typed); place++) {
      const word = this.sorted[place];
      const more = word.length - typed.length;
      words.set(word, more ? (PREFIX * typed.length) / (typed.length + 0.3 * more) : 1);
    }
    if (typed.length > SHORT) {
      const ofExact = 1.5 * Math.log(1 + (this.sorted.length - 0.5) / 1.5); // MiniSearch's score of the word itself
      for (const { id: word, score } of this.words.search(typed)) {
        if (!words.has(word)) words.set(word, score / ofExact);
      }
    }
    return [...words].sort((one, other) => other[1] - one[1]);
  }

  // The place of the first word that is not before the typed one.
  placeOf(typed) {
    let [first, last] = [0, this.sorted.length];
    while (first < last) {
      const middle = (first + last) >> 1;
      if (this.sorted[middle] < typed) first = middle + 1;
      else last = middle;
    }
    return first;
  }

  // Indices of the `most` texts that match all words of a query best, or (`isEach` false) any of them.
  find(query, most, isEach = true) {
    const folded = Taproom.folded(query.trim());
    const words = Taproom.TextIndex.cut(folded).map((word) => this.alike(word));
    return this.best(this.scores(words, isEach), folded, most);
  }

  // The score of each text; 0 without a match. `words` has, for each typed word, the words that are like it.
  scores(words, isEach) {
    const scores = new Float32Array(this.folded.length);
    const matched = new Uint16Array(scores.length); // how many of the typed words, or the last of them
    words.forEach((alike, place) => {
      for (const [word, score] of alike) {
        const texts = this.textsOf.get(word);
        const weight = score * Math.log(1 + scores.length / texts.length);
        for (const index of texts) {
          const isNew = isEach ? matched[index] === place : matched[index] <= place;
          if (!isNew) continue; // a better one of the words alike was counted, or a typed word before has no match
          matched[index] = place + 1;
          scores[index] += weight * this.shortness[index];
        }
      }
    });
    return isEach ? scores.map((score, index) => (matched[index] === words.length ? score : 0)) : scores;
  }

  // The best texts, ties in their order; a text that is what was typed is the best of all.
  best(scores, folded, most) {
    const found = [];
    for (let index = 0; index < scores.length; index++) {
      if (!scores[index]) continue;
      if (this.folded[index] === folded) scores[index] += Taproom.TextIndex.SAME;
      if (found.length === most && scores[index] <= scores[found[most - 1]]) continue;
      const place = found.findLastIndex((other) => scores[other] >= scores[index]) + 1;
      found.splice(place, 0, index);
      if (found.length > most) found.pop();
    }
    return found;
  }
};

// A promise of a moment in which the page has nothing else to do.
Taproom.idle = () => new Promise((resolve) => requestIdleCallback(resolve, { timeout: 100 }));
