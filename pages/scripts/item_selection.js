// Some items of the map, chosen by a person: how many, the words that set them apart, a list, and a file of them.
"use strict";

Taproom.ItemSelection = class {
  static LISTED = 50;
  static WORDS = 12;

  // `map` is that of the points, `card` has the buttons of items, `changed` is called with the items, or null for none.
  constructor(container, items, card, changed) {
    Object.assign(this, { container, items, card, changed });
  }

  show(chosen) {
    const { items } = this;
    const clear = Taproom.element("button", { type: "button" }, "Show all items again");
    clear.addEventListener("click", () => this.clear());
    const title = Taproom.element(
      "h2",
      { tabIndex: -1 },
      chosen.length === 1 ? "1 item" : `${chosen.length.toLocaleString("en")} items`,
    );
    this.container.hidden = false;
    this.container.replaceChildren(title, ...(chosen.length ? this.about(chosen) : []), clear);
    this.changed(chosen.length && chosen.length < items.count ? chosen : null);
    title.focus();
  }

  clear() {
    this.container.hidden = true;
    this.container.replaceChildren();
    this.changed(null);
  }

  about(chosen) {
    const save = Taproom.element("button", { type: "button" }, "Download as CSV");
    save.addEventListener("click", () => Taproom.download("items.csv", this.csv(chosen)));
    const words = this.wordsApart(chosen);
    const more = chosen.length - Taproom.ItemSelection.LISTED;
    const listed = chosen.slice(0, Taproom.ItemSelection.LISTED);
    return [
      save,
      Taproom.element("h3", {}, "Words that set them apart"),
      words.length ? this.listOfWords(words, chosen.length) : Taproom.element("p", { className: "quiet" }, "None."),
      Taproom.element("h3", {}, "Items"),
      Taproom.element(
        "ul",
        { className: "nearest" },
        ...listed.map((index) => Taproom.element("li", {}, this.card.button(index))),
      ),
      ...(more > 0 ? [Taproom.element("p", { className: "quiet" }, `and ${more.toLocaleString("en")} more`)] : []),
    ];
  }

  listOfWords(words, chosen) {
    const others = this.items.count - chosen;
    const rows = words.map(({ word, inside, outside }) =>
      Taproom.element(
        "tr",
        {},
        Taproom.element("th", { scope: "row" }, Taproom.text(word)),
        ...[inside / chosen, outside / others].map((share) =>
          Taproom.element("td", { className: "number" }, `${(100 * share).toFixed(1)} %`),
        ),
      ),
    );
    const heads = ["word", "chosen", "others"].map((name, column) =>
      Taproom.element("th", { scope: "col", className: column ? "number" : "" }, name),
    );
    return Taproom.element(
      "div",
      {},
      Taproom.element(
        "p",
        { className: "quiet" },
        "Share of items that have the word among their most weighted ones; sorted by log-odds ratio.",
      ),
      Taproom.element(
        "table",
        { className: "apart" },
        Taproom.element("thead", {}, Taproom.element("tr", {}, ...heads)),
        Taproom.element("tbody", {}, ...rows),
      ),
    );
  }

  // The words that more of the chosen items than of the others have among their most weighted ones, by the log-odds
  // ratio of the two shares in units of its standard error. With n items, a of which have the word, the log-odds are
  // log((a + p) / (n - a + q)), where p is the share of all items that have the word, and q = 1 - p: a prior of one item
  // (Monroe, Colaresi and Quinn, Fightin' Words, 2008, equations 15 to 22).
  wordsApart(chosen) {
    const { items } = this;
    const [inside, all] = [new Uint32Array(items.vocabulary.length), new Uint32Array(items.vocabulary.length)];
    items.words.forEach((word) => word >= 0 && all[word]++);
    for (const index of chosen) items.wordsOf(index).forEach(({ id }) => inside[id]++);
    const [n, m] = [chosen.length, items.count - chosen.length];
    if (!n || !m) return [];
    return items.vocabulary
      .map((word, id) => {
        const [a, b, p] = [inside[id], all[id] - inside[id], all[id] / items.count];
        const ratio = Math.log((a + p) / (n - a + 1 - p)) - Math.log((b + p) / (m - b + 1 - p));
        return { word, inside: a, outside: b, z: ratio / Math.sqrt(1 / (a + p) + 1 / (b + p)) };
      })
      .filter(({ inside: a, z }) => a > 0 && z > 1)
      .sort((one, other) => other.z - one.z)
      .slice(0, Taproom.ItemSelection.WORDS);
  }

  csv(chosen) {
    const { items } = this;
    const at = (index, axis) => items.positions[2][3 * index + axis];
    const rows = chosen.map((index) => [
      ...[items.ids[index], items.names[index], items.category(index)].map(Taproom.csvText),
      items.reviews[index],
      Number.isFinite(items.scores[index]) ? Number(items.scores[index].toPrecision(7)) : "",
      at(index, 0),
      at(index, 1),
    ]);
    return [["item_id", "name", "category", "reviews", "score", "x", "y"], ...rows]
      .map((row) => `${row.join(",")}\r\n`)
      .join("");
  }
};

// A text as a field of CSV (RFC 4180). A quote is put before what a spreadsheet would take for a formula.
Taproom.csvText = (text) => {
  const harmless = /^[=+\-@\t\r]/.test(text ?? "") ? `'${text}` : (text ?? "");
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
};

// Give the person a file. It begins with a byte order mark, without which spreadsheets take UTF-8 for something else.
Taproom.download = (name, text) => {
  const address = URL.createObjectURL(new Blob(["\ufeff", text], { type: "text/csv" }));
  Taproom.element("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
};
