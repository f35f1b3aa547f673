// Lines and points over two axes, as SVG that is drawn again when its width changes.
"use strict";

// An element of SVG.
Taproom.svg = (tag, attributes = {}, ...children) => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
};

// Call `draw` with the width of an element, now and whenever it changes.
Taproom.onWidth = (element, draw) => {
  let width = 0;
  new ResizeObserver(([{ contentRect }]) => {
    if (Math.round(contentRect.width) === width) return;
    width = Math.round(contentRect.width);
    if (width) draw(width);
  }).observe(element);
};

Taproom.LineChart = class {
  static HEIGHT = 260;
  static MARGIN = { top: 12, right: 14, bottom: 42, left: 58 };

  // `x` and `y` have a label and maybe isLog and isWhole (whole numbers are marked). A series has points [x, y] and
  // classes of the style sheet: of its line (null: none), of its points (null: none; of each a class of its own by a
  // function). A `band` has points [x, low, high]. With isStep, a value holds until the next one.
  constructor(container, { label, x, y, series }) {
    Object.assign(this, { container, label, x, y, series });
    Taproom.onWidth(container, (width) => this.draw(width));
  }

  draw(width) {
    const { svg } = Taproom;
    const { HEIGHT, MARGIN } = Taproom.LineChart;
    const all = this.series.flatMap(({ points = [], band = [] }) => [
      ...points,
      ...band.flatMap(([at, low, high]) => [
        [at, low],
        [at, high],
      ]),
    ]);
    const [across, up] = [this.x, this.y].map(({ isLog, isWhole }, axis) => {
      const scale = Taproom.scale(
        all.map((point) => point[axis]),
        { isLog, count: axis ? 5 : Math.min(8, width / 60) },
      );
      return { ...scale, ticks: isWhole ? scale.ticks.filter(Number.isInteger) : scale.ticks };
    });
    const inner = { width: width - MARGIN.left - MARGIN.right, height: HEIGHT - MARGIN.top - MARGIN.bottom };
    const left = (value) => MARGIN.left + 6 + (inner.width - 12) * across.share(value);
    const top = (value) => MARGIN.top + 6 + (inner.height - 12) * (1 - up.share(value));
    const stepped = (points) =>
      points.flatMap((point, place) => (place ? [[point[0], ...points[place - 1].slice(1)], point] : [point]));
    const path = (points) =>
      points.map(([at, value], place) => `${place ? "L" : "M"}${left(at)} ${top(value)}`).join("");
    const drawing = svg("svg", { width, height: HEIGHT, role: "img", "aria-label": this.label, class: "chart" });
    const bottom = HEIGHT - MARGIN.bottom;
    for (const value of up.ticks) {
      drawing.append(
        svg("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: top(value), y2: top(value) }),
        svg("text", { x: MARGIN.left - 6, y: top(value) + 4, "text-anchor": "end" }, Taproom.compact(value)),
      );
    }
    for (const value of across.ticks) {
      drawing.append(
        svg("line", { class: "grid", x1: left(value), x2: left(value), y1: MARGIN.top, y2: bottom }),
        svg("text", { x: left(value), y: bottom + 16, "text-anchor": "middle" }, Taproom.number(value, 6)),
      );
    }
    drawing.append(
      svg("text", { class: "axis", x: width - MARGIN.right, y: HEIGHT - 6, "text-anchor": "end" }, this.x.label),
      svg(
        "text",
        { class: "axis", transform: `translate(12 ${MARGIN.top}) rotate(-90)`, "text-anchor": "end" },
        this.y.label,
      ),
    );
    for (const { band, bandClass, isStep } of this.series) {
      if (!band?.length) continue;
      const ends = isStep ? stepped(band) : band;
      const around = [...ends.map(([at, , high]) => [at, high]), ...ends.toReversed().map(([at, low]) => [at, low])];
      drawing.append(svg("path", { class: `band ${bandClass}`, d: `${path(around)}Z` }));
    }
    for (const { points, lineClass, isStep } of this.series) {
      if (!lineClass || points.length < 2) continue;
      drawing.append(svg("path", { class: `line ${lineClass}`, d: path(isStep ? stepped(points) : points) }));
    }
    for (const { points, pointClass } of this.series) {
      if (!pointClass) continue;
      for (const [place, [at, value]] of points.entries()) {
        const name = typeof pointClass === "function" ? pointClass(place) : pointClass;
        drawing.append(svg("circle", { class: `point ${name}`, cx: left(at), cy: top(value), r: 4.5 }));
      }
    }
    this.container.replaceChildren(drawing);
  }
};
