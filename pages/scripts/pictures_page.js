// The page of pictures: filters, steps, confusion matrix, surest errors, and methods compared.
"use strict";

(() => {
  const { filters, hand_made: handMade, predictions, street_fight: fight, baselines } = Taproom.data.pictures;
  const byId = (id) => document.getElementById(id);
  const percent = (value, digits = 1) => `${(100 * value).toFixed(digits)} %`;

  const page = {};
  if (filters) page.filters = showFilters();
  if (handMade) Taproom.handMadeFilters(handMade, byId("hand-made-table"));
  if (predictions) Object.assign(page, showPredictions());
  if (baselines) byId("baseline-table").append(baselineTable(baselines.rows));
  if (fight) byId("street-fight-tables").append(...fightTables(fight.rows));
  Taproom.page = page;

  function showFilters() {
    const part = (id) => byId(`filter-${id}`);
    return new Taproom.FilterGallery(filters, {
      canvas: part("gallery"),
      view: part("view"),
      number: part("number"),
      card: part("card"),
      note: part("note"),
    });
  }

  function showPredictions() {
    const tile = Taproom.pixels.tiles(predictions.sprite);
    const scores = Taproom.numbers(predictions.scores);
    const count = predictions.classes.length;
    const name = (place) => predictions.names[place];
    const steps = new Taproom.EncodingSteps(predictions, { tile, chooser: byId("examples"), list: byId("pipeline") });

    // An image with its classes and how sure the prediction is.
    function thumbnail(image) {
      const [label, predicted] = [name(predictions.label[image]), name(predictions.predicted[image])];
      const own = scores.subarray(image * count, (image + 1) * count);
      const [highest, next] = [...own].sort((one, other) => other - one);
      const ofLabel = own[predictions.classes.indexOf(predictions.label[image])];
      const isRight = predictions.label[image] === predictions.predicted[image];
      const words = isRight
        ? [Taproom.text(label), ", right"]
        : [Taproom.text(label), " predicted as ", Taproom.text(predicted)];
      const numbers = [
        `margin ${Taproom.score(highest - (next ?? 0))}`,
        `score ${Taproom.score(highest)}`,
        ...(isRight || ofLabel === undefined ? [] : [`of the true class ${Taproom.score(ofLabel)}`]),
      ];
      return Taproom.element(
        "li",
        {},
        tile(image, `Image ${predictions.image_ids[image]}`),
        Taproom.element("strong", {}, ...words),
        Taproom.element("span", { className: "quiet" }, numbers.join(", ")),
      );
    }

    function openCell(cell) {
      const [row, column] = [Math.floor(cell / matrix.side), cell % matrix.side].map((place) => matrix.name(place));
      const [images, total] = [matrix.counts[cell], matrix.totals[Math.floor(cell / matrix.side)]];
      const shown = predictions.cells[cell];
      const few = shown.length < images ? ` The ${shown.length} with the largest margin are shown.` : "";
      const share = total ? ` (${percent(images / total)})` : "";
      byId("cell").replaceChildren(
        Taproom.element("h3", {}, Taproom.text(row), " predicted as ", Taproom.text(column)),
        Taproom.element("p", {}, `${Taproom.number(images, 9)} of ${Taproom.number(total, 9)} images${share}.${few}`),
        Taproom.element("ol", { className: "thumbnails" }, ...shown.map(thumbnail)),
      );
    }

    const matrix = new Taproom.ConfusionMatrix(predictions, byId("matrix"), openCell);
    matrix.choose(matrix.worst());
    byId("error-list").append(...predictions.errors.map(thumbnail));
    return { steps, matrix };
  }

  function baselineTable(rows) {
    const names = {
      pixels: "plain pixels",
      hog: "HoG",
      sift: "dense SIFT, bag of words",
      textons: "textons, bag of words",
    };
    const [{ training_images: training, test_images: test } = {}] = rows;
    return Taproom.intervalTable({
      caption: `${Taproom.number(training, 9)} training images, ${Taproom.number(test, 9)} test images`,
      heading: "Features",
      rows: [...rows]
        .sort((one, other) => other.accuracy - one.accuracy)
        .map((row) => ({
          name: names[row.features] ?? row.features,
          note: `${Taproom.number(row.dimensions, 9)} numbers`,
          value: row.accuracy,
          low: row.low,
          high: row.high,
          numbers: [percent(row.accuracy), `${percent(row.low)} to ${percent(row.high)}`],
        })),
      columns: ["Accuracy", "95 % interval"],
      format: (value) => percent(value, 0),
    });
  }

  // A table for each experiment and number of training images, whose rows are settings, in the order of the table.
  function fightTables(rows) {
    const groups = Map.groupBy(rows, ({ experiment, images }) => JSON.stringify([experiment, images]));
    return [...groups].map(([key, group]) => {
      const [experiment, images] = JSON.parse(key);
      const [conditions, measures, settings] = ["condition", "measure", "setting"].map((name) => [
        ...new Set(group.map((row) => row[name])),
      ]);
      const varies = measures.length > 1 ? "measure" : conditions.length > 1 ? "condition" : null;
      const series = { measure: measures, condition: settings }[varies] ?? settings.slice(0, 1);
      const place = (row) => (varies === null ? 0 : series.indexOf(varies === "measure" ? row.measure : row.setting));
      const table = Taproom.intervalTable({
        caption: `${experiment}: ${varies === "measure" ? conditions.join(", ") : measures.join(", ")}, ${Taproom.number(images, 9)} training images`,
        heading: "Setting",
        rows: group.map((row) => ({
          name: row.setting,
          note: varies === null ? null : row[varies],
          value: row.value,
          low: row.low,
          high: row.high,
          isBase: row.base === null,
          colour: place(row) < 8 ? `--colour-${place(row)}` : "--other",
          numbers: [percent(row.value), difference(row)],
        })),
        columns: ["Mean", "Difference"],
        format: (value) => percent(value, 0),
      });
      if (varies !== null) table.classList.add("wide");
      return table;
    });
  }

  // The difference to the base in percentage points, with half the width of its interval.
  function difference({ difference: mean, difference_low: low, difference_high: high }) {
    if (mean === null) return "base";
    const sign = mean > 0 ? "+" : "";
    if (low === null) return Taproom.minus(`${sign}${(100 * mean).toFixed(1)}`);
    const text = `${Taproom.minus(`${sign}${(100 * mean).toFixed(1)}`)} \u00b1 ${(50 * (high - low)).toFixed(1)}`;
    return { text, isBold: low > 0 || high < 0 };
  }
})();
