// A box that finds texts by their words, also with typing errors: an ARIA combobox with the matches below it.
"use strict";

Taproom.SearchBox = class {
  static MOST = 10;

  // `texts` are searched, the first ones preferred; `choose` is called with the index of the one chosen.
  constructor(container, { label, texts, choose }) {
    this.texts = texts;
    this.choose = choose;
    this.found = [];
    this.active = -1;
    this.index = new Taproom.TextIndex(texts);
    this.indexed = this.index.filled;
    this.input = Taproom.element("input", {
      type: "search",
      id: "search-input",
      autocomplete: "off",
      spellcheck: false,
      role: "combobox",
      "aria-expanded": "false",
      "aria-controls": "search-matches",
      "aria-autocomplete": "list",
    });
    this.list = Taproom.element("ul", { id: "search-matches", role: "listbox", hidden: true, "aria-label": "Matches" });
    this.status = Taproom.element("p", { role: "status", className: "quiet" });
    container.append(Taproom.element("label", { htmlFor: "search-input" }, label), this.input, this.list, this.status);
    this.input.addEventListener("input", () => this.update());
    this.input.addEventListener("keydown", (event) => this.onKey(event));
    this.input.addEventListener("blur", () => this.close());
  }

  // Indices of the texts that match best: all words, then any word; with parts of words for scripts without blanks.
  find(query) {
    const folded = Taproom.folded(query.trim());
    if (!folded) return [];
    const found = new Set(this.index.find(query, Taproom.SearchBox.MOST));
    for (let id = 0; id < this.texts.length && found.size < Taproom.SearchBox.MOST; id++) {
      if (this.index.folded[id].includes(folded)) found.add(id);
    }
    return found.size ? [...found] : this.index.find(query, Taproom.SearchBox.MOST, false);
  }

  async update() {
    await this.indexed;
    const query = this.input.value;
    this.found = this.find(query);
    this.active = this.found.length ? 0 : -1;
    this.list.replaceChildren(
      ...this.found.map((id, place) => {
        const option = Taproom.element("li", { id: `match-${place}`, role: "option" }, Taproom.text(this.texts[id]));
        option.addEventListener("pointerdown", (event) => {
          event.preventDefault(); // the box would lose the focus, and close the list before the click
          this.accept(place);
        });
        return option;
      }),
    );
    this.status.textContent = query.trim() && !this.found.length ? "Nothing found." : "";
    this.show();
  }

  show() {
    const isOpen = this.found.length > 0;
    this.list.hidden = !isOpen;
    this.input.setAttribute("aria-expanded", String(isOpen));
    [...this.list.children].forEach((option, place) => option.setAttribute("aria-selected", place === this.active));
    if (isOpen) this.input.setAttribute("aria-activedescendant", `match-${this.active}`);
    else this.input.removeAttribute("aria-activedescendant");
  }

  close() {
    this.found = [];
    this.show();
  }

  onKey(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && this.found.length) {
      event.preventDefault();
      this.active = (this.active + step + this.found.length) % this.found.length;
      this.show();
    } else if (event.key === "Enter" && this.found.length) {
      event.preventDefault();
      this.accept(this.active);
    } else if (event.key === "Escape") {
      this.close();
    }
  }

  accept(place) {
    const id = this.found[place];
    this.input.value = this.texts[id];
    this.close();
    this.choose(id);
  }
};
