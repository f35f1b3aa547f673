// The learned filters side by side on one canvas, and the chosen one enlarged.
"use strict";

Taproom.FilterGallery = class {
  static CHANNELS = 3;

  constructor(data, { canvas, view, number, card, note }) {
    Object.assign(this, { data, canvas, view, number, card, note });
    this.of = Taproom.numbers(data.of_patches);
    this.levels = Object.fromEntries(
      ["on_whitened", "on_pixels", "patches"].map((name) => [name, Taproom.numbers(data[name])]),
    );
    number.max = this.of.length - 1;
    view.addEventListener("change", () => this.show());
    number.addEventListener("input", () => this.choose(Number(number.value)));
    canvas.addEventListener("click", (event) => this.choose(this.under(event)));
    this.chosen = 0;
    this.show();
  }

  get perTile() {
    return this.data.size ** 2 * Taproom.FilterGallery.CHANNELS;
  }

  get isOfFilters() {
    return this.view.value !== "patches";
  }

  choose(filter) {
    if (!this.isOfFilters || !Number.isInteger(filter) || filter < 0 || filter >= this.of.length) return;
    this.chosen = filter;
    this.number.value = filter;
    this.show();
  }

  under(event) {
    const { left, top, width, height } = this.canvas.getBoundingClientRect();
    const column = Math.floor(((event.clientX - left) / width) * this.columns);
    const line = Math.floor(((event.clientY - top) / height) * this.lines);
    return line * this.columns + column;
  }

  // Tiles have a border of one pixel, which is where the chosen one is marked.
  show() {
    const { size } = this.data;
    const levels = this.levels[this.view.value];
    const count = levels.length / this.perTile;
    this.columns = Math.ceil(Math.sqrt(2 * count));
    this.lines = Math.ceil(count / this.columns);
    const step = size + 2;
    Object.assign(this.canvas, { width: step * this.columns, height: step * this.lines });
    const mark = Taproom.colour("--colour-1");
    Taproom.pixels.paint(this.canvas, (place) => {
      const [x, y] = [place % this.canvas.width, Math.floor(place / this.canvas.width)];
      const tile = Math.floor(y / step) * this.columns + Math.floor(x / step);
      const [column, row] = [(x % step) - 1, (y % step) - 1];
      if (tile >= count) return null;
      if (column < 0 || row < 0 || column >= size || row >= size)
        return this.isOfFilters && tile === this.chosen ? mark : null;
      return this.colourAt(levels, tile, row * size + column);
    });
    this.number.disabled = !this.isOfFilters;
    this.card.hidden = !this.isOfFilters;
    const [shown, all] = [count, this.isOfFilters ? this.data.count : this.data.patch_count];
    const [one, which] = this.isOfFilters ? ["filters", "those with the most patches"] : ["patches", "evenly spread"];
    this.note.textContent =
      shown < all ? `${Taproom.number(shown, 9)} of ${Taproom.number(all, 9)} ${one} are shown, ${which}.` : "";
    this.canvas.setAttribute("aria-label", `${Taproom.number(shown, 9)} ${one} as small pictures`);
    if (this.isOfFilters) this.fillCard();
  }

  colourAt(levels, tile, pixel) {
    const start = tile * this.perTile + pixel * Taproom.FilterGallery.CHANNELS;
    return levels.subarray(start, start + Taproom.FilterGallery.CHANNELS);
  }

  fillCard() {
    const { size } = this.data;
    const pictures = [
      ["on_whitened", "weights of whitened patches"],
      ["on_pixels", "weights of pixels"],
    ].map(([name, words]) => {
      const canvas = Taproom.pixels.canvas(size, size, `Filter ${this.chosen}: ${words}`);
      Taproom.pixels.paint(canvas, (pixel) => this.colourAt(this.levels[name], this.chosen, pixel));
      return Taproom.element("figure", {}, canvas, Taproom.element("figcaption", {}, words));
    });
    this.card.replaceChildren(
      Taproom.element("h3", {}, `Filter ${this.chosen}`),
      Taproom.element("p", {}, `${Taproom.number(this.of[this.chosen], 9)} patches are in its cluster.`),
      Taproom.element("div", { className: "pair" }, ...pictures),
    );
  }
};
