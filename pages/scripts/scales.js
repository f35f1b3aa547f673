// Scales of axes: where a value lies between the least and the most, round numbers to mark, and numbers as text.
"use strict";

// The scale of some values; what is no number is left out. `share` gives the place of a value, from 0 to 1.
Taproom.scale = (values, { isLog = false, count = 5 } = {}) => {
  const known = values.filter(Number.isFinite);
  const [least, most] = known.length ? [Math.min(...known), Math.max(...known)] : [0, 0];
  const along = isLog && least > 0 ? Math.log : (value) => value;
  const span = along(most) - along(least);
  return {
    share: (value) => (span > 0 ? (along(value) - along(least)) / span : 0.5),
    ticks: isLog && least > 0 ? Taproom.logTicks(least, most, count) : Taproom.ticks(least, most, count),
  };
};

// Round numbers between two, about as many as asked for.
Taproom.ticks = (least, most, count) => {
  const rough = (most - least) / count;
  if (!(rough > 0)) return [least];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((each) => each * power >= rough * 0.999);
  const first = Math.ceil(least / step - 1e-9);
  const last = Math.floor(most / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, place) => Number(((first + place) * step).toPrecision(12)));
};

// Powers of ten between two numbers above 0, with their multiples by 2 and 5 where few powers are there.
Taproom.logTicks = (least, most, count) => {
  const powers = [Math.floor(Math.log10(least)), Math.ceil(Math.log10(most))];
  for (const factors of [[1], [1, 3], [1, 2, 5]]) {
    const found = [];
    for (let power = powers[0]; power <= powers[1]; power++)
      found.push(...factors.map((factor) => Number((factor * 10 ** power).toPrecision(12))));
    const within = found.filter((value) => value >= least * 0.999 && value <= most * 1.001);
    const step = Math.ceil(within.length / (2 * count));
    if (within.length >= 3 || factors.length === 3) {
      return within.length >= 2 ? within.filter((_, place) => place % step === 0) : Taproom.ticks(least, most, count);
    }
  }
  return [];
};

// A number to read, small ones with a power of ten.
Taproom.compact = (value, digits = 4) =>
  value !== 0 && Math.abs(value) < 1e-3
    ? String(Number(value.toPrecision(digits - 1)).toExponential())
    : Taproom.number(value, digits);

// A number as text with a minus sign instead of a hyphen.
Taproom.minus = (text) => text.replace("-", "\u2212");

// The score of a classifier.
Taproom.score = (value) => Taproom.minus(value.toFixed(2));
