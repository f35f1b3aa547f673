// The topics of a text, as taproom.topics_of finds them: the shares w >= 0 that minimise ||a - w H||^2, where a are the
// weights of the text's words and H those of the topics.
"use strict";

Taproom.TopicModel = class {
  constructor(data) {
    this.data = data;
    this.termIds = new Map(data.words.map((word, termId) => [word, termId]));
    this.frequency = Taproom.varints(data.document_frequency);
    const gaps = Taproom.varints(data.gaps);
    const steps = Taproom.numbers(data.weights);
    let place = 0;
    this.rows = data.terms_of_topic.map((count, row) => {
      const [terms, weights] = [gaps.slice(place, place + count), new Float64Array(count)];
      for (let each = 0; each < count; each++) {
        if (each) terms[each] += terms[each - 1];
        weights[each] = (steps[place + each] / 65535) * data.largest[row];
      }
      place += count;
      return { weighting: data.weightings[row], topic: data.topics[row], terms, weights };
    });
  }

  // The shares of the topics of a weighting, largest first, with the words that are terms, and those that are not.
  mixture(text, weighting) {
    const counts = Taproom.wordCounts(text, this.data.token_pattern);
    const known = [...counts.keys()].filter((word) => this.termIds.has(word)).sort();
    const unknown = [...counts.keys()].filter((word) => !this.termIds.has(word)).sort();
    const document = new Float64Array(this.data.words.length);
    for (const word of known) {
      const termId = this.termIds.get(word);
      const idf = Math.log(this.data.documents / this.frequency[termId]);
      document[termId] = counts.get(word) * (weighting === "tfidf" ? idf : 1);
    }
    const rows = this.rows.filter((row) => row.weighting === weighting);
    const products = rows.map((row) => Taproom.TopicModel.product(row, document));
    const found = Taproom.nonnegativeLeastSquares(this.gram(weighting, rows), products);
    const total = found.reduce((sum, each) => sum + each, 0);
    if (!total) throw new Taproom.Problem("None of the words of the text is in any topic.");
    const shares = rows.map(({ topic }, place) => ({ topic, share: found[place] / total }));
    return {
      shares: shares.filter(({ share }) => share > 0).sort((one, other) => other.share - one.share),
      known,
      unknown,
    };
  }

  static product({ terms, weights }, document) {
    return terms.reduce((sum, termId, place) => sum + weights[place] * document[termId], 0);
  }

  // H H^T of a weighting.
  gram(weighting, rows) {
    this.grams ??= {};
    this.grams[weighting] ??= rows.map(({ terms, weights }) => {
      const dense = new Float64Array(this.data.words.length);
      terms.forEach((termId, place) => (dense[termId] = weights[place]));
      return rows.map((row) => Taproom.TopicModel.product(row, dense));
    });
    return this.grams[weighting];
  }
};

// The x >= 0 that minimises x'Gx - 2b'x, for a positive definite G: least squares by normal equations. An active set
// method: Lawson and Hanson, Solving Least Squares Problems, 1974, chapter 23.
Taproom.nonnegativeLeastSquares = (gram, products) => {
  const x = new Float64Array(products.length);
  const free = new Set();
  const tolerance = 1e-12 * Math.max(...products.map(Math.abs));
  for (let round = 0; round < 30 * x.length; round++) {
    const slopes = products.map((b, row) => b - gram[row].reduce((sum, each, column) => sum + each * x[column], 0));
    const next = slopes.reduce(
      (best, slope, row) => (!free.has(row) && slope > (slopes[best] ?? tolerance) ? row : best),
      -1,
    );
    if (next < 0) break;
    free.add(next);
    for (;;) {
      const rows = [...free];
      const solved = Taproom.solve(
        rows.map((row) => rows.map((column) => gram[row][column])),
        rows.map((row) => products[row]),
      );
      const blocking = rows.map((row, place) => ({
        row,
        step: solved[place] > 0 ? Infinity : x[row] / (x[row] - solved[place]),
      }));
      const step = Math.min(1, ...blocking.map((each) => each.step));
      rows.forEach((row, place) => (x[row] += step * (solved[place] - x[row])));
      if (step === 1) break;
      for (const each of blocking) {
        if (each.step > step) continue;
        x[each.row] = 0;
        free.delete(each.row);
      }
    }
  }
  return x;
};

// The solution of a system of linear equations, by Gaussian elimination with partial pivoting.
Taproom.solve = (matrix, right) => {
  const rows = matrix.map((row, place) => [...row, right[place]]);
  const size = rows.length;
  for (let pivot = 0; pivot < size; pivot++) {
    let largest = pivot;
    for (let row = pivot; row < size; row++)
      if (Math.abs(rows[row][pivot]) > Math.abs(rows[largest][pivot])) largest = row;
    [rows[pivot], rows[largest]] = [rows[largest], rows[pivot]];
    for (let row = pivot + 1; row < size; row++) {
      const factor = rows[row][pivot] / rows[pivot][pivot];
      for (let column = pivot; column <= size; column++) rows[row][column] -= factor * rows[pivot][column];
    }
  }
  const solution = new Array(size);
  for (let row = size - 1; row >= 0; row--) {
    const known = solution.reduce((sum, each, column) => (column > row ? sum + each * rows[row][column] : sum), 0);
    solution[row] = (rows[row][size] - known) / rows[row][row];
  }
  return solution;
};
