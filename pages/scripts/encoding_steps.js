// The steps of the lecture's pipeline on one image: convolve, non-linearity, pool, flatten, scores.
"use strict";

Taproom.EncodingSteps = class {
  // `tile` gives a canvas of an image, `places` are those of the examples among all images of the page.
  constructor(data, { tile, chooser, list }) {
    Object.assign(this, { data, tile, chooser, list, steps: data.pipeline });
    const names = ["filters", "kernels", "responses", "encoded", "largest_responses", "largest_encoded", "features"];
    this.numbers = Object.fromEntries(names.map((name) => [name, Taproom.numbers(this.steps[name])]));
    this.scores = Taproom.numbers(data.scores);
    this.buttons = Array.from({ length: this.steps.images }, (_, image) => this.button(image));
    chooser.replaceChildren(...this.buttons);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.show(this.chosen));
    this.show(0);
  }

  name(place) {
    return this.data.names[place];
  }

  button(image) {
    const label = this.name(this.data.label[image]);
    const button = Taproom.element(
      "button",
      { type: "button" },
      this.tile(image, `Image ${this.data.image_ids[image]}`),
      Taproom.text(label),
    );
    button.addEventListener("click", () => this.show(image));
    return button;
  }

  // What is packed for each image, of one of them.
  part(name, image) {
    const length = this.numbers[name].length / this.steps.images;
    return this.numbers[name].subarray(image * length, (image + 1) * length);
  }

  show(image) {
    this.chosen = image;
    this.buttons.forEach((button, place) => button.setAttribute("aria-pressed", String(place === image)));
    this.list.replaceChildren(
      this.imageStep(image),
      this.filterStep(image),
      this.mapStep(image, "responses"),
      this.mapStep(image, "encoded"),
      this.poolStep(image),
      this.vectorStep(image),
      this.scoreStep(image),
    );
  }

  step(title, words, ...parts) {
    return Taproom.element(
      "li",
      {},
      Taproom.element("h3", {}, title),
      Taproom.element("p", { className: "quiet" }, ...words),
      ...parts,
    );
  }

  imageStep(image) {
    const { image_shape: shape } = this.steps;
    const label = this.name(this.data.label[image]);
    const words = [
      Taproom.text(this.data.image_ids[image]),
      `: ${shape.join(" x ")} numbers; class `,
      Taproom.text(label),
    ];
    return this.step("Image", words, this.tile(image, `Image ${this.data.image_ids[image]}`));
  }

  filterStep(image) {
    const size = this.steps.patch_size;
    const kernels = this.part("kernels", image);
    const pictures = this.row(image, (place, filter) => {
      const canvas = Taproom.pixels.canvas(size, size, `Filter ${filter}`);
      const start = place * size * size * 3;
      return Taproom.pixels.paint(canvas, (pixel) => kernels.subarray(start + 3 * pixel, start + 3 * pixel + 3));
    });
    const words = `${pictures.childElementCount} of ${Taproom.number(this.steps.filter_count, 9)} filters of
      ${size} x ${size} pixels`;
    return this.step("Filters", [words], pictures);
  }

  mapStep(image, name) {
    const [height, width] = this.steps.map_shape;
    const levels = this.part(name, image);
    const colourOf = Taproom.pixels.signed();
    const pictureOf = (place, filter) => {
      const canvas = Taproom.pixels.canvas(width, height, `${name} of filter ${filter}`);
      const start = place * width * height;
      return Taproom.pixels.paint(canvas, (position) => colourOf(levels[start + position]));
    };
    const largest = this.part(`largest_${name}`, image);
    const pictures = this.row(image, pictureOf, (place) => Taproom.number(largest[place], 2));
    const scale = "Orange is above 0, blue below; below each picture is the absolute value of its strongest colour.";
    if (name === "encoded") return this.step(...this.nonlinearity(), pictures);
    const [rows, columns] = this.steps.shape;
    const kept = rows === height && columns === width ? "" : `, of which ${height} x ${width} are drawn`;
    const words = `The response of each filter to the standardized and whitened patch at each of ${rows} x ${columns}
      positions${kept}. ${scale}`;
    return this.step("Convolve", [words], pictures);
  }

  nonlinearity() {
    const { encoding, offset } = this.steps;
    const less = offset ? ` - ${Taproom.number(offset)}` : "";
    return {
      relu: ["ReLU", [`max(0, response${less}).`]],
      "two signs": ["ReLU of both signs", [`max(0, response${less}) in orange, max(0, -response${less}) in blue.`]],
      triangle: ["Triangle", ["max(0, mean distance to all filters - distance to this filter)."]],
    }[encoding];
  }

  poolStep(image) {
    const { pools, signs, filter_count: count, largest_feature: largest } = this.steps;
    const features = this.part("features", image);
    const [paper, ...shades] = ["--paper", "--colour-1", "--colour-0"].map(Taproom.colour);
    const pictures = this.row(image, (_, filter) => {
      const pair = Taproom.element("span", { className: "signs" });
      for (let sign = 0; sign < signs; sign++) {
        const words = signs === 1 ? "" : sign ? " below 0" : " above 0";
        const canvas = Taproom.pixels.canvas(pools, pools, `Pooled responses${words} of filter ${filter}`);
        const level = (window) => features[(window * signs + sign) * count + filter];
        pair.append(
          Taproom.pixels.paint(canvas, (window) => Taproom.pixels.mixed(paper, shades[sign], level(window) / 255)),
        );
      }
      return pair;
    });
    const root = this.steps.power === 1 ? "" : `, raised to the power ${Taproom.number(this.steps.power)}`;
    const mirrored = this.steps.mirrored ? " of the image and its mirror image" : "";
    const words = `Means${mirrored} over ${pools} x ${pools} windows, which overlap by about half${root}: a high value says
      that the filter had a high response in this region. The strongest colour is ${Taproom.number(largest)}.`;
    return this.step("Pool", [words], pictures);
  }

  vectorStep(image) {
    const features = this.part("features", image);
    const count = this.steps.filter_count;
    const lines = features.length / count;
    const canvas = Taproom.pixels.canvas(count, lines, `${features.length} features`);
    canvas.classList.add("vector");
    const [paper, ink] = ["--paper", "--ink"].map(Taproom.colour);
    Taproom.pixels.paint(canvas, (place) => Taproom.pixels.mixed(paper, ink, features[place] / 255));
    const sign = this.steps.signs === 1 ? "window" : "window and sign";
    const words = `All filters' pooled responses in one vector of ${Taproom.number(features.length, 9)} numbers; a line of
      the picture is a ${sign}, a column a filter. Paper is 0, ink is ${Taproom.number(this.steps.largest_feature)}.`;
    return this.step("Flatten", [words], canvas);
  }

  scoreStep(image) {
    const { classes, label, predicted } = this.data;
    const scores = this.scores.subarray(image * classes.length, (image + 1) * classes.length);
    const order = [...scores.keys()].sort((one, other) => scores[other] - scores[one]).slice(0, 20);
    const rows = order.map((place) => ({
      name: this.name(classes[place]),
      note: [classes[place] === predicted[image] && "predicted", classes[place] === label[image] && "true class"]
        .filter(Boolean)
        .join(", "),
      value: scores[place],
      colour: classes[place] === predicted[image] ? "--colour-1" : "--colour-0",
      numbers: [Taproom.score(scores[place])],
    }));
    const isRight = label[image] === predicted[image];
    const words = [
      "A weighted sum of the vector for each class; the highest is the prediction, ",
      Taproom.text(this.name(predicted[image])),
      isRight ? ", which is right." : ", which is wrong: it is a ",
      ...(isRight ? [] : [Taproom.text(this.name(label[image])), "."]),
    ];
    const table = Taproom.intervalTable({
      caption: "Scores of the classes",
      heading: "Class",
      rows,
      columns: ["Score"],
      format: Taproom.number,
      zero: 0,
    });
    return this.step("Classify", words, table);
  }

  // The pictures of an image's filters in a row, by default with the filters' numbers.
  row(image, pictureOf, captionOf = (_, filter) => `filter ${filter}`) {
    const filters = [...this.part("filters", image)];
    const pictures = filters.map((filter, place) =>
      Taproom.element(
        "figure",
        {},
        pictureOf(place, filter),
        Taproom.element("figcaption", { className: "quiet" }, captionOf(place, filter)),
      ),
    );
    return Taproom.element("div", { className: "maps" }, ...pictures);
  }
};
