// The card of an item, and what cards share: words sized by weight, and a list of the nearest items.
"use strict";

Taproom.ItemCard = class {
  // `select` is called with the index of an item that is clicked in a list.
  constructor(container, items, select) {
    Object.assign(this, { container, items, select });
  }

  show(index) {
    const { items } = this;
    const reviews = items.reviews[index];
    const about = [
      items.category(index),
      `${Taproom.number(reviews, 9)} review${reviews === 1 ? "" : "s"}`,
      Number.isFinite(items.scores[index]) ? `mean score ${Taproom.number(items.scores[index])}` : null,
    ].filter((each) => each !== null);
    const listed = about.flatMap((each, place) => [place ? ", " : "", Taproom.text(each)]);
    this.container.replaceChildren(
      Taproom.element("h2", {}, Taproom.text(items.names[index])),
      Taproom.element("p", { className: "quiet" }, ...listed),
      ...this.move(index),
      Taproom.element("h3", {}, "Most weighted words"),
      Taproom.ItemCard.bag(items.wordsOf(index)),
      Taproom.element("h3", {}, "Nearest items, by cosine distance"),
      this.list(items.nearestOf(index)),
    );
  }

  // How far the item moved since the map before.
  move(index) {
    if (!this.items.before) return [];
    const moved = this.items.moved(index);
    const said =
      moved === null
        ? "New: it was not on the map before."
        : `Has moved by ${Taproom.number(moved, 2)} since the map before, where the map's radius is 1; in two ` +
          "dimensions a thick line leads to where it was.";
    return [Taproom.element("p", { className: "quiet" }, said)];
  }

  // Words of { word, weight, share }, in the size of their shares.
  static bag(words) {
    const entries = words.map(({ word, weight, share }) => {
      const entry = Taproom.element("li", { title: `weight ${Taproom.number(weight, 2)}` }, Taproom.text(word));
      entry.style.fontSize = `${0.8 + 1.2 * share}em`;
      return entry;
    });
    return Taproom.element("ul", { className: "bag" }, ...entries);
  }

  // Items of { index, distance }, to click.
  list(near) {
    const entries = near.map(({ index, distance }) => {
      const value = Taproom.element("span", { className: "value" }, distance.toFixed(3));
      return Taproom.element("li", {}, this.button(index), " ", value);
    });
    return Taproom.element("ol", { className: "nearest" }, ...entries);
  }

  button(index) {
    const button = Taproom.element("button", { type: "button" }, Taproom.text(this.items.names[index]));
    button.addEventListener("click", () => this.select(index, true));
    return button;
  }
};
