// Shares of classes (with intervals) or populations in each well: a line of dots for each well.
"use strict";

Taproom.ShareChart = class {
  static #ROW = 22; // pixels

  constructor(container, data) {
    Object.assign(this, { container, data });
  }

  kinds() {
    const found = [];
    if (this.data.shares) found.push(["classes", "classes, by EM over the class priors"]);
    if (this.data.populations) found.push(["populations", "populations, by the most likely one of each event"]);
    return found;
  }

  names(kind) {
    if (kind === "classes") return this.data.shares.classes;
    return this.data.populations.counts[0].map((_, code) => `population ${code}`);
  }

  // The shares of a well; null where there are none.
  of(kind, well) {
    if (kind === "classes") return this.data.shares.share[well];
    const counts = this.data.populations.counts[well];
    const sum = counts.reduce((total, each) => total + each, 0);
    return counts.map((count) => (sum ? count / sum : null));
  }

  draw(kind, chosen) {
    const { wells, shares } = this.data;
    const row = this.constructor.#ROW;
    const height = wells.length * row;
    const chart = new Taproom.Chart(this.container, {
      label: `Shares of ${kind} in each well`,
      x: { ends: [-0.02, 1.02], title: "share", format: Taproom.number },
      y: { ends: [0, wells.length], title: "" },
      height: height + 52,
      left: Math.min(130, this.container.clientWidth / 3),
    });
    wells.forEach((well, place) => {
      const middle = (place + 0.5) * row;
      const whole = `${well.plate} ${well.well}`;
      const name = Taproom.isolated(whole.length > 18 ? `…${whole.slice(-17)}` : whole);
      const text = { x: chart.margin.left - 8, y: chart.margin.top + middle + 4, "text-anchor": "end" };
      if (place) chart.add("path", { d: `M0 ${place * row}H${chart.inner.width}`, class: "grid" });
      if (place === chosen) {
        chart.add("rect", { x: 0, y: place * row, width: chart.inner.width, height: row, class: "chosen" });
      }
      chart.root.append(Taproom.svg("text", { ...text, class: place === chosen ? "title" : "" }, name));
      this.of(kind, place).forEach((share, code, all) => {
        if (share === null) return;
        // Dots of a row are a little apart, because many are at 0.
        const y = middle + (code - (all.length - 1) / 2) * Math.min(5, (row - 8) / all.length);
        const colour = Taproom.colourClass(code);
        const [low, high] = kind === "classes" ? [shares.low[place][code], shares.high[place][code]] : [null, null];
        if (low !== null)
          chart.add("path", { d: `M${chart.x(low)} ${y}H${chart.x(high)}`, class: `interval ${colour}` });
        if (kind === "classes" && shares.known_share[place][code] === 1) {
          chart.add("circle", { cx: chart.x(1), cy: y, r: 7, class: `known ${colour}` });
        }
        const dot = chart.add("circle", { cx: chart.x(share), cy: y, r: 4, class: `share-dot ${colour}` });
        Object.assign(dot.dataset, { well: place, code, share });
      });
    });
  }
};
