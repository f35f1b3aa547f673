// Data that a page loads only when somebody wants what needs them. Browsers fetch nothing from file://, so they come in
// a script, as all data do.
"use strict";

// A promise of Taproom.data[name].
Taproom.dataOnDemand = (name) => {
  Taproom.promised ??= new Map();
  if (!Taproom.promised.has(name)) {
    const loading = new Promise((resolve, reject) => {
      const script = Taproom.element("script", { src: `data/${name}.js` });
      script.addEventListener("load", () => resolve(Taproom.data[name]));
      script.addEventListener("error", () => reject(new Error(`The file data/${name}.js is missing.`)));
      document.head.append(script);
    });
    Taproom.promised.set(name, loading);
  }
  return Taproom.promised.get(name);
};

// The numbers that taproom.pages.scripts.packed_varints has packed.
Taproom.varints = (base64) => {
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
};
