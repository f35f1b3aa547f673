// The colours of the items on the map, by category, score, number of reviews or an attribute, and their legend.
"use strict";

Taproom.ItemColours = class {
  static OWN_COLOURS = 8;
  static STEPS = 6;
  static OPAQUE = 215;
  static FAINT = 25;

  // `choice` is the <select> of what items are coloured by, `legend` the list of its entries.
  constructor(map, items, choice, legend) {
    Object.assign(this, { map, items, choice, legend });
    this.group = null; // the entry of the legend whose items stand out
    this.chosen = null; // a set of items that stand out
    if (!items.scores.some(Number.isFinite)) choice.querySelector("[value=score]").disabled = true;
    if (!items.categoryNames.length) choice.querySelector("[value=category]").disabled = true;
    items.attributes.forEach(({ name }, place) => {
      choice.append(Taproom.element("option", { value: `attribute ${place}` }, name));
    });
    choice.addEventListener("change", () => {
      this.group = null;
      this.paint();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.paint());
  }

  // The entries of the legend, each with a name and the property of its colour, and the entry of each item.
  entries() {
    const { items, choice } = this;
    if (choice.value === "category") return Taproom.ItemColours.ofGroups(items.categoryNames, items.categories);
    if (choice.value === "score") return Taproom.ItemColours.ofNumbers(items.scores, false);
    if (choice.value === "reviews") return Taproom.ItemColours.ofNumbers(items.reviews, true);
    const { names, ends, groups } = items.attributes[Number(choice.value.split(" ")[1])];
    if (ends) return Taproom.ItemColours.ofSteps(ends, false, (index) => groups[index], groups.includes(-1));
    return Taproom.ItemColours.ofGroups(names, groups);
  }

  // The first groups have a colour each, the others are grey.
  static ofGroups(names, groups) {
    const own = names
      .slice(0, Taproom.ItemColours.OWN_COLOURS)
      .map((name, place) => ({ name, property: `--colour-${place}` }));
    const hasOther = groups.some((group) => group < 0 || group >= own.length);
    const other = hasOther ? [{ name: own.length ? "other" : "items", property: "--other" }] : [];
    return {
      entries: [...own, ...other],
      of: (index) => (groups[index] < 0 ? own.length : Math.min(groups[index], own.length)),
    };
  }

  // Numbers in steps that have equally many items.
  static ofNumbers(values, isWhole) {
    const { STEPS } = Taproom.ItemColours;
    const sorted = Float64Array.from(values).filter(Number.isFinite).sort();
    const quantiles = Array.from(
      { length: STEPS - 1 },
      (_, step) => sorted[Math.floor(((step + 1) * sorted.length) / STEPS)],
    );
    const limits = [...new Set(quantiles)].filter((limit) => limit !== undefined && limit > sorted[0]);
    const ends = sorted.length ? [sorted[0], ...limits, sorted[sorted.length - 1]] : [];
    const stepOf = (index) =>
      Number.isFinite(values[index]) ? limits.filter((limit) => values[index] >= limit).length : -1;
    return Taproom.ItemColours.ofSteps(ends, isWhole, stepOf, sorted.length < values.length);
  }

  // Steps from one of `ends` to the next one; of whole numbers, a step ends before the next one begins.
  static ofSteps(ends, isWhole, stepOf, hasUnknown) {
    const count = Math.max(0, ends.length - 1);
    const steps = Array.from({ length: count }, (_, step) => {
      const [first, last] = [ends[step], ends[step + 1] - (isWhole && step < count - 1 ? 1 : 0)];
      return {
        name: last > first ? `${Taproom.number(first)} to ${Taproom.number(last)}` : Taproom.number(first),
        property: `--step-${Math.round((step * (Taproom.ItemColours.STEPS - 1)) / Math.max(1, count - 1))}`,
      };
    });
    return {
      entries: [...steps, ...(hasUnknown ? [{ name: "unknown", property: "--other" }] : [])],
      of: (index) => (stepOf(index) < 0 ? count : stepOf(index)),
    };
  }

  paint() {
    const { entries, of } = this.entries();
    const shades = entries.map(({ property }) => Taproom.colour(property));
    const colours = new Uint8Array(4 * this.items.count);
    for (let index = 0; index < this.items.count; index++) {
      const group = of(index);
      const standsOut = (this.group === null || this.group === group) && (!this.chosen || this.chosen.has(index));
      const { OPAQUE, FAINT } = Taproom.ItemColours;
      colours.set([...shades[group], standsOut ? OPAQUE : FAINT], 4 * index);
    }
    this.map.setColours(colours);
    this.legend.replaceChildren(...entries.map((entry, group) => this.entry(entry, group)));
  }

  entry({ name, property }, group) {
    const swatch = Taproom.element("span", { className: "swatch" });
    swatch.style.background = `var(${property})`;
    const isPressed = String(this.group === group);
    const button = Taproom.element("button", { type: "button", "aria-pressed": isPressed }, swatch, Taproom.text(name));
    button.addEventListener("click", () => {
      this.group = this.group === group ? null : group;
      this.paint();
      this.legend.children[group].firstChild.focus();
    });
    return Taproom.element("li", {}, button);
  }

  // Let some items stand out; null: all.
  choose(chosen) {
    this.chosen = chosen && new Set(chosen);
    this.map.labelOnly(this.chosen);
    this.paint();
  }
};
