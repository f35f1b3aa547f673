// Places a text on the map, as taproom.place does (taproom/maps/out_of_sample.py): the nearest items by cosine distance
// of weighted words, and the point that keeps the order of these distances best.
"use strict";

Taproom.TextPlacer = class {
  // `bags` are the data of taproom.pages.map_bags_data; `positions` has, by dimension, three coordinates an item.
  constructor(bags, positions) {
    Object.assign(this, { bags, positions });
    this.termIds = new Map(bags.words.map((word, termId) => [word, termId]));
    this.byId = Taproom.indices(bags.by_id);
    this.far = Taproom.indices(bags.far);
    this.rank = new Uint32Array(this.byId.length);
    this.byId.forEach((item, rank) => (this.rank[item] = rank));
    this.readPostings(Taproom.varints(bags.document_frequency), Taproom.varints(bags.postings));
    this.fillNorms();
  }

  // The items of each word and its counts in them, word by word; those of word i begin at starts[i].
  readPostings(frequency, numbers) {
    this.starts = new Uint32Array(frequency.length + 1);
    frequency.forEach((items, termId) => (this.starts[termId + 1] = this.starts[termId] + items));
    const length = this.starts[frequency.length];
    [this.items, this.counts] = [new Uint32Array(length), new Uint32Array(length).fill(1)];
    let [place, posting] = [0, 0];
    for (let termId = 0; termId < frequency.length; termId++) {
      for (let item = -1; posting < this.starts[termId + 1]; posting++) {
        const number = numbers[place++];
        item += number >>> 1;
        this.items[posting] = item;
        if (number & 1) this.counts[posting] = numbers[place++];
      }
    }
  }

  fillNorms() {
    this.wordsOfItem = Taproom.numbers(this.bags.words_of_item);
    this.norms = new Float64Array(this.wordsOfItem.length);
    for (let termId = 0; termId < this.bags.words.length; termId++) {
      this.eachItem(termId, (item, weight) => (this.norms[item] += weight * weight));
    }
  }

  // log(1/DF) of a word; 0 for a word that every item has, which has no postings.
  idf(termId) {
    const items = this.starts[termId + 1] - this.starts[termId];
    return items ? Math.log(this.bags.documents / items) : 0;
  }

  // Call `act` with each item that has a word, and the word's weight in it: TF * log(1/DF).
  eachItem(termId, act) {
    const idf = this.idf(termId);
    for (let posting = this.starts[termId]; posting < this.starts[termId + 1]; posting++) {
      const item = this.items[posting];
      act(item, (this.counts[posting] / this.wordsOfItem[item]) * idf);
    }
  }

  // The nearest items with their distances, the position by dimension (three coordinates each), the text's words with
  // their weights, heaviest first, and the words that the map does not have.
  place(text) {
    const counts = Taproom.wordCounts(text, this.bags.token_pattern);
    const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
    const unknown = [...counts.keys()].filter((word) => !this.termIds.has(word)).sort();
    const words = [...counts]
      .filter(([word]) => this.termIds.has(word))
      .map(([word, count]) => ({ word, termId: this.termIds.get(word), count }))
      .map((each) => ({ ...each, weight: (each.count / total) * this.idf(each.termId) }))
      .sort((one, other) => one.termId - other.termId);
    if (!words.length) throw new Taproom.Problem(`None of the ${total} words of the text is a word of the map.`);
    const weighted = words.filter(({ weight }) => weight > 0);
    if (!weighted.length) throw new Taproom.Problem("Every item of the map has these words, so they say nothing.");
    const distances = this.distances(weighted);
    const nearest = this.nearest(distances);
    return {
      neighbors: nearest.slice(0, this.bags.k).map((index) => ({ index, distance: distances[index] })),
      positions: { 2: this.position(2, nearest, distances), 3: this.position(3, nearest, distances) },
      words: weighted.sort((one, other) => other.weight - one.weight || one.termId - other.termId),
      unknown,
    };
  }

  // Cosine distances of a text to all items; its words ascend, so that sums are added up as in Python.
  distances(words) {
    const dots = new Float64Array(this.norms.length);
    let norm = 0;
    for (const { termId, weight } of words) {
      norm += weight * weight;
      this.eachItem(termId, (item, itemWeight) => (dots[item] += weight * itemWeight));
    }
    return dots.map((dot, item) => Math.max(0, 1 - dot / Math.sqrt(norm * this.norms[item])));
  }

  // The k + 1 nearest items, ties by item id.
  nearest(distances) {
    const wanted = Math.min(this.bags.k + 1, distances.length);
    const limit = Float64Array.from(distances).sort()[wanted - 1];
    const candidates = [...this.byId].filter((item) => distances[item] <= limit); // by id, which sorting keeps
    return candidates.sort((one, other) => distances[one] - distances[other]).slice(0, wanted);
  }

  // Where the hinge loss over triplets (text, nearer, farther) is least, in steps of falling length that begin at the
  // mean of the neighbours: see `place_point` and `descend` in Python.
  position(dimension, nearest, distances) {
    const { bags } = this;
    const [near, beyond] = [nearest.slice(0, bags.k), nearest.slice(bags.k)];
    const nearDistances = near.map((item) => distances[item]);
    const limit = Math.min(Infinity, ...beyond.map((item) => distances[item]));
    const reach = nearDistances.filter((distance) => distance < limit).length;
    const isNear = new Set(near);
    const far = [...this.far].filter((item) => !isNear.has(item)).slice(0, bags.far_items);
    const at = (item) => this.positions[dimension].subarray(3 * item, 3 * item + 3);
    const point = [0, 0, 0];
    const share = nearDistances.reduce((sum, distance) => sum + 1 - distance, 0);
    near.forEach((item, place) => {
      for (let axis = 0; axis < 3; axis++) point[axis] += ((1 - nearDistances[place]) * at(item)[axis]) / share;
    });
    const others = [...near, ...far].map(at);
    for (let step = 0; step < bags.steps; step++) {
      const to = others.map((other) => Math.hypot(...point.map((each, axis) => each - other[axis])));
      const pulls = this.pulls(to, nearDistances, reach);
      const slope = [0, 0, 0];
      others.forEach((other, place) => {
        if (!(to[place] > 0)) return;
        for (let axis = 0; axis < 3; axis++) slope[axis] += (pulls[place] * (point[axis] - other[axis])) / to[place];
      });
      const length = Math.hypot(...slope);
      if (!length) break;
      const stride = bags.first_step * (1 - step / bags.steps);
      for (let axis = 0; axis < 3; axis++) point[axis] -= (stride * slope[axis]) / length;
    }
    return point;
  }

  // How much each of the near items, and then each of the far ones, pulls the point towards it (positive) or pushes it.
  pulls(to, nearDistances, reach) {
    const { margin, within_share: within } = this.bags;
    const near = nearDistances.length;
    const pulls = new Float64Array(to.length);
    let triplets = 0;
    for (let farther = 0; farther < near; farther++) {
      for (let nearer = 0; nearer < farther; nearer++) {
        if (!(nearDistances[nearer] < nearDistances[farther])) continue;
        triplets += 1;
        if (margin + to[nearer] - to[farther] > 0) {
          pulls[nearer] += 1;
          pulls[farther] -= 1;
        }
      }
    }
    for (let place = 0; place < near; place++) pulls[place] *= within / Math.max(triplets, 1);
    const unit = (1 - within) / Math.max(reach * (to.length - near), 1);
    for (let far = near; far < to.length; far++) {
      for (let nearer = 0; nearer < reach; nearer++) {
        if (margin + to[nearer] - to[far] > 0) {
          pulls[nearer] += unit;
          pulls[far] -= unit;
        }
      }
    }
    return pulls;
  }
};
