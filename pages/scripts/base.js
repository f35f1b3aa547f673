// What the scripts of all pages share: data, elements and numbers. Browsers load no module from file://, so scripts are
// plain ones that add to this object.
"use strict";

// biome-ignore lint/correctness/noUnusedVariables: the other scripts use it
const Taproom = {
  data: {}, // each file of data/ adds its own

  // The typed array that taproom.pages.scripts.packed has packed; numbers with a `scale` become floats.
  numbers(packed) {
    const letters = atob(packed.base64);
    const bytes = new Uint8Array(letters.length);
    for (let place = 0; place < bytes.length; place++) bytes[place] = letters.charCodeAt(place);
    const kinds = {
      int8: Int8Array,
      uint8: Uint8Array,
      uint16: Uint16Array,
      uint32: Uint32Array,
      float32: Float32Array,
    };
    const values = new kinds[packed.type](bytes.buffer);
    return packed.scale ? new Float32Array(values).map((value) => value * packed.scale) : values;
  },

  // Indices as taproom.pages.scripts.packed_indices has packed them; -1 is none.
  indices(packed) {
    const values = Taproom.numbers(packed);
    const none = 2 ** (8 * values.BYTES_PER_ELEMENT) - 1;
    return new Int32Array(values).map((value, place) => (values[place] === none ? -1 : value));
  },

  // Whole numbers as taproom.pages.scripts.packed_varints has packed them.
  varints(base64) {
    const letters = atob(base64);
    const numbers = new Uint32Array(letters.length); // no fewer bytes than numbers
    let [count, number, shift] = [0, 0, 0];
    for (let place = 0; place < letters.length; place++) {
      const byte = letters.charCodeAt(place);
      number += (byte & 127) << shift;
      shift += 7;
      if (byte < 128) {
        numbers[count++] = number;
        [number, shift] = [0, 0];
      }
    }
    return numbers.subarray(0, count);
  },

  // An element. Text is only ever added as text, so nothing in a table is read as HTML.
  element(tag, properties = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name in made) made[name] = value;
      else made.setAttribute(name, value);
    }
    made.append(...children);
    return made;
  },

  // A text of a table, kept from reordering what is around it where it is written from right to left.
  text(text) {
    return Taproom.element("bdi", {}, text);
  },

  number(value, digits = 3) {
    return new Intl.NumberFormat("en", { maximumSignificantDigits: digits }).format(value);
  },

  // The twin of taproom.words.normal_form; the characters that are removed are not seen.
  normalForm(text) {
    const seen = text.replace(/[\u00AD\u061C\u180E\u200B-\u200F\u202A-\u202E\u2060-\u2064\uFEFF]/g, "");
    return seen.normalize("NFKC").toLowerCase().replaceAll("i\u0307", "i").normalize("NFKC");
  },

  // The normal form without accents, as people type it.
  folded(text) {
    return Taproom.normalForm(text).normalize("NFKD").replace(/\p{M}/gu, "");
  },

  // The colour [red, green, blue] of a custom property of the style sheet, such as --other.
  colour(property) {
    const hex = getComputedStyle(document.documentElement).getPropertyValue(property).trim();
    return [1, 3, 5].map((place) => parseInt(hex.slice(place, place + 2), 16));
  },
};
