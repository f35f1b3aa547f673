// The confusion matrix: a grid of buttons that open the images of a cell. Arrows move between the cells.
"use strict";

Taproom.ConfusionMatrix = class {
  static BLACK = [0, 0, 0];
  static WHITE = [255, 255, 255];

  // `open` is called with the places of the true and the predicted class among those shown.
  constructor(data, table, open) {
    Object.assign(this, { data, table, open });
    const counts = Taproom.numbers(data.counts);
    const all = data.names.length;
    this.side = data.shown.length;
    this.totals = data.shown.map((row) =>
      counts.subarray(row * all, (row + 1) * all).reduce((sum, each) => sum + each),
    );
    this.counts = data.shown.flatMap((row) => data.shown.map((column) => counts[row * all + column]));
    this.buttons = this.counts.map((_, cell) => this.button(cell));
    table.replaceChildren(this.head(), this.body());
    table.addEventListener("keydown", (event) => this.move(event));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.paint());
    this.paint();
    this.reach(0);
  }

  name(place) {
    return this.data.names[this.data.shown[place]];
  }

  share(cell) {
    return this.counts[cell] / Math.max(1, this.totals[Math.floor(cell / this.side)]);
  }

  button(cell) {
    const [row, column] = [Math.floor(cell / this.side), cell % this.side];
    const percent = 100 * this.share(cell);
    const shown = this.counts[cell] && percent < 0.5 ? "<1" : String(Math.round(percent));
    const label = `${this.name(row)} predicted as ${this.name(column)}: ${shown} %, ${this.counts[cell]} images`;
    const button = Taproom.element("button", { type: "button", tabIndex: -1, "aria-label": label }, shown);
    button.addEventListener("click", () => this.choose(cell));
    return button;
  }

  head() {
    const names = this.data.shown.map((_, place) =>
      Taproom.element("th", { scope: "col" }, Taproom.element("span", {}, Taproom.text(this.name(place)))),
    );
    const corner = Taproom.element("td", { className: "corner quiet" }, "true \u2193 predicted \u2192");
    return Taproom.element("thead", {}, Taproom.element("tr", {}, corner, ...names));
  }

  body() {
    const rows = this.data.shown.map((_, row) => {
      const cells = this.buttons.slice(row * this.side, (row + 1) * this.side);
      const name = Taproom.element("th", { scope: "row" }, Taproom.element("span", {}, Taproom.text(this.name(row))));
      return Taproom.element("tr", {}, name, ...cells.map((button) => Taproom.element("td", {}, button)));
    });
    return Taproom.element("tbody", {}, ...rows);
  }

  // Right in blue, wrong in orange; the root of the share makes small ones visible. Text is black or white, whichever
  // has the higher contrast.
  paint() {
    const [paper, right, wrong] = ["--paper", "--colour-0", "--colour-1"].map(Taproom.colour);
    this.buttons.forEach((button, cell) => {
      const isRight = Math.floor(cell / this.side) === cell % this.side;
      const shade = Taproom.pixels.mixed(paper, isRight ? right : wrong, Math.sqrt(this.share(cell)));
      button.style.backgroundColor = `rgb(${shade})`;
      const { BLACK, WHITE } = Taproom.ConfusionMatrix;
      button.style.color = `rgb(${Taproom.luminance(shade) > 0.179 ? BLACK : WHITE})`;
    });
  }

  // One cell is reached with the tab key, the others with arrows.
  reach(cell) {
    this.buttons.forEach((button, place) => (button.tabIndex = place === cell ? 0 : -1));
  }

  move(event) {
    const cell = this.buttons.indexOf(event.target);
    const [row, column] = [Math.floor(cell / this.side), cell % this.side];
    const last = this.side - 1;
    const moved = {
      ArrowUp: [row - 1, column],
      ArrowDown: [row + 1, column],
      ArrowLeft: [row, column - 1],
      ArrowRight: [row, column + 1],
      Home: [row, 0],
      End: [row, last],
    }[event.key];
    if (cell < 0 || !moved) return;
    event.preventDefault();
    const [toRow, toColumn] = moved.map((place) => Math.min(last, Math.max(0, place)));
    const to = toRow * this.side + toColumn;
    this.reach(to);
    this.buttons[to].focus();
  }

  choose(cell) {
    this.reach(cell);
    this.buttons.forEach((button, place) => button.setAttribute("aria-pressed", String(place === cell)));
    this.open(cell);
  }

  // The cell with the most errors.
  worst() {
    const errors = this.counts.map((count, cell) => (Math.floor(cell / this.side) === cell % this.side ? -1 : count));
    return errors.indexOf(Math.max(...errors));
  }
};

// The relative luminance of a colour, as WCAG defines it.
Taproom.luminance = (colour) => {
  const [red, green, blue] = colour.map((level) => {
    const share = level / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
};
