// How sure calls are: how many events have which largest posterior, from all events.
"use strict";

Taproom.CellCalls = class {
  constructor(container, data) {
    Object.assign(this, { container, calls: data.calls });
  }

  // Sums over the wells, or a well's own.
  #of(counts, well) {
    return well < 0 ? counts.reduce((sum, each) => sum + each, 0) : counts[well];
  }

  draw(well) {
    const { histogram, ambiguous_below: threshold, counts } = this.calls;
    const bins = histogram[0].map((_, bin) =>
      this.#of(
        histogram.map((row) => row[bin]),
        well,
      ),
    );
    const highest = Math.max(1, ...bins);
    const chart = new Taproom.Chart(this.container, {
      label: "Number of events by their largest posterior",
      x: { ends: [0, 1], title: "largest posterior", format: Taproom.number },
      y: { ends: [0, 1.05 * highest], title: "events", format: (value) => Taproom.number(value, 9) },
      height: 230,
      left: 70,
    });
    bins.forEach((count, bin) => {
      const [left, right] = [chart.x(bin / bins.length), chart.x((bin + 1) / bins.length)];
      const [top, bottom] = [chart.y(count), chart.y(0)];
      chart.add("rect", { x: left + 0.5, y: top, width: right - left - 1, height: bottom - top, class: "bar" });
    });
    chart.line(
      [
        [threshold, 0],
        [threshold, 1.05 * highest],
      ],
      "threshold",
    );
    const side = threshold < 0.5 ? { x: chart.x(threshold) + 5 } : { x: chart.x(threshold) - 5, "text-anchor": "end" };
    chart.add("text", { ...side, y: 14, class: "note" }, `ambiguous below ${Taproom.number(threshold)}`);
    const [all, ambiguous, anomalous] = ["events", "ambiguous", "anomalous"].map((name) =>
      this.#of(counts[name], well),
    );
    if (!all) return "There are no calls of this well's events.";
    return (
      `Of ${Taproom.number(all, 9)} calls ${Taproom.percent(ambiguous / all)} are ambiguous: the largest posterior is ` +
      `below ${Taproom.number(threshold)}. ${Taproom.percent(anomalous / all)} of the events are anomalous: unlike the ` +
      "events of any class."
    );
  }
};
