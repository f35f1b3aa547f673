// A chart in SVG with two linear axes: what is drawn gets its colours from the style sheet by class.
"use strict";

// An element of SVG; `text` is only ever added as text.
Taproom.svg = (tag, attributes = {}, text = "") => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text) made.textContent = text;
  return made;
};

// The class of the colour of a category; those after the eighth are grey.
Taproom.colourClass = (code) => (code >= 0 && code < 8 ? `colour-${code}` : "colour-other");

// A text of a table inside a sentence or a label, isolated so that its direction does not reorder what is around it.
Taproom.isolated = (text) => `\u2068${text}\u2069`;

// Which of the six steps of colour a number from 0 to `highest` has.
Taproom.step = (value, highest = 1) => Math.min(5, Math.floor((6 * value) / highest));

// The texts of the steps in a legend.
Taproom.steps = (highest, format) =>
  Array.from({ length: 6 }, (_, step) => `${format((step * highest) / 6)} to ${format(((step + 1) * highest) / 6)}`);

// A share as a percentage with one digit after the point.
Taproom.percent = (share) => `${(100 * share).toFixed(1)} %`;

// Round numbers between two ends, about as many as wanted.
Taproom.ticks = ([low, high], wanted) => {
  const rough = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  const first = Math.ceil(low / step - 1e-9);
  const count = Math.floor(high / step + 1e-9) - first + 1;
  return Array.from({ length: count }, (_, place) => Number(((first + place) * step).toPrecision(12)));
};

Taproom.Chart = class {
  // `x` and `y` have the ends of the axis, its title, and `format` for its numbers (none: no numbers).
  constructor(container, { label, x, y, height, left = 52 }) {
    this.width = Math.max(container.clientWidth, 240);
    this.height = height;
    this.margin = { left, right: 12, top: 8, bottom: 44 };
    this.inner = { width: this.width - left - 12, height: height - 52 };
    this.ends = { x: x.ends, y: y.ends };
    this.root = Taproom.svg("svg", { role: "img", "aria-label": label, width: this.width, height, class: "chart" });
    this.#axis(x, y);
    // An inner <svg> clips what lies outside of the axes.
    this.plot = Taproom.svg("svg", { x: left, y: 8, ...this.inner });
    this.root.append(this.plot);
    container.replaceChildren(this.root);
  }

  x(value) {
    return ((value - this.ends.x[0]) / (this.ends.x[1] - this.ends.x[0])) * this.inner.width;
  }

  y(value) {
    return (1 - (value - this.ends.y[0]) / (this.ends.y[1] - this.ends.y[0])) * this.inner.height;
  }

  add(tag, attributes, text) {
    const made = Taproom.svg(tag, attributes, text);
    this.plot.append(made);
    return made;
  }

  // Dots as one path of lines without a length: thousands of elements would be slow.
  points(places, classes) {
    const path = places.map(([x, y]) => `M${this.x(x).toFixed(1)} ${this.y(y).toFixed(1)}h0`).join("");
    return this.add("path", { d: path, class: `points ${classes}` });
  }

  line(places, classes) {
    const path = places.map(([x, y]) => `${this.x(x).toFixed(1)} ${this.y(y).toFixed(1)}`).join("L");
    return this.add("path", { d: `M${path}`, class: `line ${classes}` });
  }

  #axis(x, y) {
    const { left, top } = this.margin;
    const bottom = top + this.inner.height;
    const put = (tag, attributes, text) => this.root.append(Taproom.svg(tag, attributes, text));
    put("rect", { x: left, y: top, ...this.inner, class: "frame" });
    for (const value of x.format ? Taproom.ticks(x.ends, Math.max(3, this.inner.width / 90)) : []) {
      const at = left + this.x(value);
      put("path", { d: `M${at} ${top}V${bottom}`, class: "grid" });
      put("text", { x: at, y: bottom + 16, "text-anchor": "middle" }, x.format(value));
    }
    for (const value of y.format ? Taproom.ticks(y.ends, Math.max(3, this.inner.height / 70)) : []) {
      const at = top + this.y(value);
      put("path", { d: `M${left} ${at}H${left + this.inner.width}`, class: "grid" });
      put("text", { x: left - 6, y: at + 4, "text-anchor": "end" }, y.format(value));
    }
    put(
      "text",
      { x: left + this.inner.width / 2, y: this.height - 8, "text-anchor": "middle", class: "title" },
      x.title,
    );
    const turned = `translate(13 ${top + this.inner.height / 2}) rotate(-90)`;
    if (y.title) put("text", { transform: turned, "text-anchor": "middle", class: "title" }, y.title);
  }
};

// A legend of categories, each [text, class of its mark].
Taproom.legend = (entries) =>
  entries.map(([text, classes]) =>
    Taproom.element("li", {}, Taproom.element("span", { className: `mark-of ${classes}` }), Taproom.text(text)),
  );
