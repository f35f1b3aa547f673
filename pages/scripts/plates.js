// Plates as tables of wells: each well with events is a button that chooses it.
"use strict";

Taproom.Plates = class {
  constructor(container, wells, choose) {
    this.buttons = new Map();
    const plates = Map.groupBy(wells.keys(), (place) => wells[place].plate);
    for (const [plate, places] of plates) container.append(this.#plate(plate, places, wells, choose));
  }

  // Colour the wells by `of` (well -> number from 0 to `highest`, or null) and describe them by `text` (well -> text).
  paint(of, highest, text) {
    for (const [well, button] of this.buttons) {
      const value = of(well);
      button.className = value === null ? "well" : `well step-${Taproom.step(value, highest)}`;
      button.setAttribute("aria-label", text(well));
    }
  }

  select(chosen) {
    for (const [well, button] of this.buttons) button.setAttribute("aria-pressed", well === chosen);
  }

  #button(well, text, choose) {
    const button = Taproom.element("button", { type: "button" }, text);
    button.addEventListener("click", () => choose(well));
    this.buttons.set(well, button);
    return button;
  }

  // A plate has 8 x 12 wells, or 16 x 24 if a well needs them. Wells with other names are listed below it.
  #plate(plate, places, wells, choose) {
    const positions = new Map();
    const others = [];
    for (const place of places) {
      const [, letter, digits] = /^([A-P])0?([1-9]\d?)$/i.exec(wells[place].well) ?? [];
      const [row, column] = [(letter ?? "").toUpperCase().charCodeAt(0) - 65, Number(digits) - 1];
      const name = `${row} ${column}`;
      if (column < 24 && !positions.has(name)) positions.set(name, { place, row, column });
      else others.push(place);
    }
    const isLarge = [...positions.values()].some(({ row, column }) => row > 7 || column > 11);
    const made = Taproom.element("div", { className: "plate" }, Taproom.element("h3", {}, Taproom.text(plate)));
    if (positions.size) made.append(this.#grid(plate, positions, isLarge ? [16, 24] : [8, 12], choose));
    else
      made.append(
        Taproom.element("p", { className: "quiet" }, "The names of these wells are not positions on a plate."),
      );
    const list = others.map((place) =>
      Taproom.element("li", {}, this.#button(place, Taproom.text(wells[place].well), choose)),
    );
    if (list.length) made.append(Taproom.element("ul", { className: "other-wells" }, ...list));
    return made;
  }

  #grid(plate, positions, [rows, columns], choose) {
    const head = Array.from({ length: columns }, (_, column) =>
      Taproom.element("th", { scope: "col" }, `${column + 1}`),
    );
    const body = Array.from({ length: rows }, (_, row) => {
      const cells = Array.from({ length: columns }, (_, column) => {
        const well = positions.get(`${row} ${column}`);
        return well ? Taproom.element("td", {}, this.#button(well.place, "", choose)) : Taproom.element("td", {});
      });
      const letter = String.fromCharCode(65 + row);
      return Taproom.element("tr", {}, Taproom.element("th", { scope: "row" }, letter), ...cells);
    });
    const table = Taproom.element(
      "table",
      { className: columns > 12 ? "large" : "" },
      Taproom.element("thead", {}, Taproom.element("tr", {}, Taproom.element("td", {}), ...head)),
      Taproom.element("tbody", {}, ...body),
    );
    table.setAttribute("aria-label", `Wells of ${Taproom.isolated(plate)}`);
    const scroll = Taproom.element("div", { className: "scroll" }, table);
    scroll.tabIndex = 0;
    scroll.setAttribute("role", "region");
    scroll.setAttribute("aria-label", `Plate ${Taproom.isolated(plate)}`);
    return scroll;
  }
};
