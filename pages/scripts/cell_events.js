// The events of the page of cells: values, wells, calls and populations of those that are shown.
"use strict";

Taproom.CellEvents = class {
  static #MOST = 8000; // dots of all wells together: more would hide each other
  #ends = new Map();

  constructor(data) {
    this.wells = data.wells;
    this.size = data.channels.length;
    this.values = Taproom.numbers(data.values);
    this.first = [0];
    for (const well of data.wells) this.first.push(this.first.at(-1) + well.shown);
    this.called = data.calls && Taproom.indices(data.calls.called);
    this.largest = data.calls && Taproom.numbers(data.calls.largest);
    this.ambiguous = data.calls && Taproom.numbers(data.calls.ambiguous);
    this.population = data.populations && Taproom.indices(data.populations.population);
  }

  value(event, channel) {
    return this.values[event * this.size + channel];
  }

  // The events of a well (-1: of all), at most `most`, evenly spread.
  of(well, most = Taproom.CellEvents.#MOST) {
    const [from, to] = well < 0 ? [0, this.first.at(-1)] : [this.first[well], this.first[well + 1]];
    const count = Math.min(most, to - from);
    return Array.from({ length: count }, (_, place) => from + Math.floor((place * (to - from)) / count));
  }

  // The events that were measured in all of these channels.
  measured(events, ...channels) {
    return events.filter((event) => channels.every((channel) => !Number.isNaN(this.value(event, channel))));
  }

  // The ends of an axis: all but the farthest events, and some room, the same for all wells.
  ends(channel) {
    if (!this.#ends.has(channel)) this.#ends.set(channel, this.#endsOf(channel));
    return this.#ends.get(channel);
  }

  #endsOf(channel) {
    const sorted = Float32Array.from(this.measured(this.of(-1, Infinity), channel), (event) =>
      this.value(event, channel),
    ).sort();
    if (!sorted.length) return [0, 1];
    const [low, high] = [0.0005, 0.9995].map((share) => sorted[Math.round(share * (sorted.length - 1))]);
    const room = high > low ? 0.06 * (high - low) : 1;
    return [low - room, high + room];
  }
};
