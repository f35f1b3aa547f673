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
