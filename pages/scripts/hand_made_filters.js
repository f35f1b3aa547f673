// The lecture's table of hand-made filters: their weights, and what they make of some images.
"use strict";

Taproom.handMadeFilters = ({ labels, filters, images, responses }, table) => {
  const { element, text } = Taproom;
  const [image, response] = [images, responses].map(Taproom.pixels.tiles);
  const head = element(
    "tr",
    {},
    element("th", { scope: "col" }, "Filter"),
    ...labels.map((label, place) => element("th", { scope: "col" }, image(place, `Image: ${label}`), text(label))),
  );
  const rows = filters.map((filter, row) =>
    element(
      "tr",
      {},
      element("th", { scope: "row" }, filter.name, weights(filter)),
      ...labels.map((label, column) =>
        element("td", {}, response(row * labels.length + column, `${filter.name}: ${label}`)),
      ),
    ),
  );
  table.append(element("thead", {}, head), element("tbody", {}, ...rows));

  // Weights as whole numbers, and the fraction that they are multiplied by.
  function weights({ kernel, size }) {
    const smallest = Math.min(...kernel.map(Math.abs).filter((weight) => weight > 0));
    const parts = Math.round(1 / smallest);
    const factor = parts > 1 ? `1/${parts} ` : "";
    const lines = Array.from({ length: kernel.length / size }, (_, line) =>
      kernel.slice(line * size, (line + 1) * size).map((weight) => Math.round(weight * parts)),
    );
    const numbers = element(
      "span",
      { className: "weights-of-filter" },
      ...lines.flat().map((number) => element("span", {}, Taproom.minus(String(number)))),
    );
    numbers.style.gridTemplateColumns = `repeat(${size}, 1.9em)`;
    return element("span", { className: "quiet kernel" }, factor, numbers);
  }
};
