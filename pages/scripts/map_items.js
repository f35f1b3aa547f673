// The items of the map, as taproom.pages.item_map_data gives them: names, scores, nearest items, words.
"use strict";

Taproom.MapItems = class {
  static HALF_STEPS = 2 ** 15 - 1; // of positions on the map before

  constructor(data) {
    this.count = data.item_ids.length;
    this.ids = data.item_ids;
    this.names = data.names.map((name, index) => name.trim() || data.item_ids[index]);
    this.reviews = Taproom.varints(data.reviews);
    this.scores = Taproom.numbers(data.score);
    this.categoryNames = data.categories;
    this.categories = Taproom.indices(data.category);
    this.attributes = data.attributes.map((each) => ({ ...each, groups: Taproom.indices(each.groups) }));
    this.positions = { 2: Taproom.MapItems.inSpace(Taproom.numbers(data.flat)), 3: Taproom.numbers(data.space) };
    this.before = data.before ? Taproom.indices(data.before) : null; // in steps
    this.radiusBefore = data.before_radius;
    this.nearest = Taproom.indices(data.nearest);
    this.distances = Taproom.numbers(data.distances);
    this.vocabulary = data.vocabulary;
    this.words = Taproom.indices(data.words);
    this.weights = Taproom.numbers(data.weights);
    this.largestWeights = Taproom.numbers(data.largest_weight);
  }

  // Three coordinates a point from two.
  static inSpace(flat) {
    const positions = new Float32Array((3 * flat.length) / 2);
    for (let index = 0; index < flat.length / 2; index++) {
      positions.set(flat.subarray(2 * index, 2 * index + 2), 3 * index);
    }
    return positions;
  }

  category(index) {
    return this.categories[index] < 0 ? null : this.categoryNames[this.categories[index]];
  }

  // The items that are nearest to one and are on the page, with their distances.
  nearestOf(index) {
    return Taproom.MapItems.row(this.nearest, this.count, index)
      .filter((place) => this.nearest[place] >= 0)
      .map((place) => ({ index: this.nearest[place], distance: this.distances[place] }));
  }

  // The most weighted words of an item, heaviest first; `share` is the weight relative to the first one's.
  wordsOf(index) {
    return Taproom.MapItems.row(this.words, this.count, index)
      .filter((place) => this.words[place] >= 0)
      .map((place) => ({
        id: this.words[place],
        word: this.vocabulary[this.words[place]],
        share: this.weights[place] / 255,
      }))
      .map((each) => ({ ...each, weight: each.share * this.largestWeights[index] }));
  }

  // Where an item was on the map before this one in two dimensions, in three coordinates; null if it was not there.
  placeBefore(index) {
    const steps = this.before?.subarray(2 * index, 2 * index + 2) ?? [-1];
    if (steps[0] < 0) return null;
    return [...Array.from(steps, (step) => (step / Taproom.MapItems.HALF_STEPS - 1) * this.radiusBefore), 0];
  }

  // How far an item has moved since then.
  moved(index) {
    const before = this.placeBefore(index);
    return before && Math.hypot(...before.map((each, axis) => each - this.positions[2][3 * index + axis]));
  }

  // The places of an item's entries in an array that has equally many for each item.
  static row(values, count, index) {
    const each = values.length / count;
    return Array.from({ length: each }, (_, rank) => index * each + rank);
  }
};
