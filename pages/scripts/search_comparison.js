// Search methods compared: the best loss by epochs spent, and what each method ended with.
"use strict";

Taproom.searchComparison = (rows, { chart, legend, table }) => {
  const NAMES = {
    grid: "grid search",
    random: "random search",
    tpe: "Bayesian: TPE",
    "gaussian process": "Bayesian: Gaussian process",
    hyperband: "Hyperband",
  };
  const methods = [...Map.groupBy(rows, ({ method }) => method)].map(([method, all], place) => ({
    name: NAMES[method] ?? method,
    rows: all.filter(({ median }) => median !== null).sort((one, other) => one.epochs - other.epochs),
    shade: place < 8 ? `${place}` : "other",
  }));
  legend.append(
    ...methods.map(({ name, shade }) =>
      Taproom.element("li", {}, Taproom.element("span", { className: `sample shade-${shade}` }), Taproom.text(name)),
    ),
  );
  new Taproom.LineChart(chart, {
    label: `Best loss of ${methods.length} search methods by the epochs spent`,
    x: { label: "epochs spent, of all networks together" },
    y: { label: "best loss so far (nats)", isLog: true },
    series: methods.map(({ rows: own, shade }) => ({
      points: own.map(({ epochs, median }) => [epochs, median]),
      band: own.map(({ epochs, low, high }) => [epochs, low, high]),
      lineClass: `shade-${shade}`,
      bandClass: `shade-${shade}`,
      isStep: true,
    })),
  });
  const last = methods
    .filter((method) => method.rows.length)
    .map(({ rows: own, ...method }) => ({ ...method, ...own.at(-1) }));
  table.append(
    Taproom.intervalTable({
      caption: "Best loss at the end: median and quartiles over the seeds",
      heading: "Method",
      rows: last
        .sort((one, other) => one.median - other.median)
        .map(({ name, shade, epochs, median, low, high }) => ({
          name,
          note: `${Taproom.number(epochs, 9)} epochs`,
          value: median,
          low,
          high,
          colour: shade === "other" ? "--other" : `--colour-${shade}`,
          numbers: [median.toFixed(4), `${low.toFixed(4)} to ${high.toFixed(4)}`],
        })),
      columns: ["Median", "Quartiles"],
      format: (value) => Taproom.number(value),
    }),
  );
};
