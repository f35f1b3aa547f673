// Parallel coordinates (Inselberg, 1985): an axis for each parameter and one for the score, a line for each trial. On a
// narrow screen the axes lie below each other.
"use strict";

Taproom.ParallelCoordinates = class {
  static NARROW = 560;
  static GAP = 78; // between axes on a narrow screen
  static ENDS = { narrow: 34, wide: 70 };

  // `axes` have a name, values (of each line; null: not set) and maybe isLog. `lines` have a class and a strength from
  // 0 (worst) to 1 (best), and are drawn in their order.
  constructor(container, { label, axes, lines }) {
    Object.assign(this, { container, label, axes: axes.map(Taproom.ParallelCoordinates.prepared), lines });
    Taproom.onWidth(container, (width) => this.draw(width));
  }

  // An axis with the place of each value, from 0 to 1; of texts, one for each; null lies below the numbers.
  static prepared({ name, values, isLog }) {
    const known = values.filter((value) => value !== null && value !== undefined);
    const isNumeric = known.every((value) => typeof value === "number");
    const hasNull = values.includes(null);
    const base = hasNull && known.length ? 0.14 : 0;
    const nothing = hasNull ? [{ place: 0, text: "not set" }] : [];
    if (isNumeric) {
      const scale = Taproom.scale(known, { isLog, count: 6 });
      const placeOf = (value) => base + (1 - base) * scale.share(value);
      const isWhole = known.every(Number.isInteger);
      const marked = known.length ? scale.ticks.filter((value) => !isWhole || Number.isInteger(value)) : [];
      const ticks = marked.map((value) => ({ place: placeOf(value), text: Taproom.compact(value) }));
      return {
        name,
        values,
        isLog,
        ticks: [...nothing, ...ticks],
        placeOf: (value) => (value === null ? 0 : placeOf(value)),
      };
    }
    const texts = [...new Set(known.map(String))].sort();
    const placeOf = (text) =>
      base + (1 - base) * (texts.length > 1 ? texts.indexOf(String(text)) / (texts.length - 1) : 0.5);
    const ticks = texts.map((text) => ({ place: placeOf(text), text }));
    return { name, values, ticks: [...nothing, ...ticks], placeOf: (value) => (value === null ? 0 : placeOf(value)) };
  }

  // The marks that are at least so far from the one before.
  static apart(ticks, least) {
    const kept = [];
    for (const tick of ticks) if (!kept.length || tick.place - kept.at(-1).place >= least) kept.push(tick);
    return kept;
  }

  draw(width) {
    const { svg } = Taproom;
    const { NARROW, GAP, ENDS } = Taproom.ParallelCoordinates;
    const isNarrow = width < NARROW;
    const count = this.axes.length;
    const length = isNarrow ? width - 2 * ENDS.narrow : 220;
    const height = isNarrow ? GAP * count : length + 60;
    const gap = isNarrow ? GAP : (width - 2 * ENDS.wide) / Math.max(1, count - 1);
    // Where a place on an axis is on the screen.
    const at = (axis, place) =>
      isNarrow ? [ENDS.narrow + length * place, 36 + gap * axis] : [ENDS.wide + gap * axis, 20 + length * (1 - place)];
    const drawing = svg("svg", { width, height, role: "img", "aria-label": this.label, class: "chart coordinates" });
    for (const [place, { className, strength }] of this.lines.entries()) {
      const corners = this.axes
        .map(({ values, placeOf }, axis) => (values[place] === undefined ? null : at(axis, placeOf(values[place]))))
        .filter(Boolean);
      const path = svg("path", {
        class: className,
        d: corners.map((corner, number) => `${number ? "L" : "M"}${corner.join(" ")}`).join(""),
      });
      if (strength !== undefined) path.style.setProperty("--strength", `${Math.round(100 * strength)}%`);
      drawing.append(path);
    }
    for (const [axis, { name, ticks, isLog }] of this.axes.entries()) {
      const [[x1, y1], [x2, y2]] = [at(axis, 0), at(axis, 1)];
      drawing.append(svg("line", { class: "axis-line", x1, y1, x2, y2 }));
      for (const { place, text } of Taproom.ParallelCoordinates.apart(ticks, (isNarrow ? 44 : 15) / length)) {
        const [x, y] = at(axis, place);
        const shown = text.length > 12 ? `${text.slice(0, 11)}\u2026` : text;
        drawing.append(
          isNarrow
            ? svg("text", { class: "tick", x, y: y + 16, "text-anchor": "middle" }, shown)
            : svg("text", { class: "tick", x: x + 5, y: y + 4 }, shown),
        );
      }
      const title = name.length > 24 ? `${name.slice(0, 23)}\u2026` : name;
      const [x, y] = isNarrow ? [ENDS.narrow, y1 - 9] : [x1, height - 18];
      const anchor = isNarrow ? "start" : "middle";
      drawing.append(
        svg("text", { class: "axis", x, y, "text-anchor": anchor }, isLog && isNarrow ? `${title} (log)` : title),
      );
      if (isLog && !isNarrow)
        drawing.append(svg("text", { class: "tick", x, y: height - 4, "text-anchor": anchor }, "log"));
    }
    this.container.replaceChildren(drawing);
  }
};
