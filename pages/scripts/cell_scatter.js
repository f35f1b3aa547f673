// Events in two channels, with contours of a density and components of a mixture as ellipses.
"use strict";

Taproom.CellScatter = class {
  static SHARES = [0.5, 0.8, 0.95]; // of the probability, that contours enclose

  constructor(container, data, events) {
    Object.assign(this, { container, data, events });
    this.titles = data.channels.map((name, place) => `${Taproom.isolated(name)}, ${data.transforms[place]}`);
    this.mixture = data.mixture && new Taproom.Gaussians(data.mixture, data.mixture.channels);
    this.classes = data.class_mixtures && new Taproom.Gaussians(data.class_mixtures, data.class_mixtures.channels);
  }

  // Ways to colour events: [name, text].
  colourings() {
    const found = [];
    if (this.data.calls) found.push(["sure", "called class, ambiguous in grey"], ["call", "called class"]);
    if (this.data.populations) found.push(["population", "population of the mixture"]);
    if (this.data.calls) found.push(["largest", "largest posterior"]);
    return [...found, ["none", "nothing"]];
  }

  densities() {
    const found = [];
    if (this.mixture) found.push(["mixture", "mixture of all events"]);
    if (this.classes) found.push(["classes", "mixtures of the classes"]);
    if (this.data.kernel) found.push(["kernel", "kernel density"]);
    return [...found, ["none", "none"]];
  }

  // `well` is -1 for all; returns what the picture shows in a sentence.
  draw({ well, x, y, colour, density, ellipses }) {
    const shown = this.events.of(well);
    const measured = this.events.measured(shown, x, y);
    this.chart = new Taproom.Chart(this.container, {
      label: `Events in ${this.titles[x]} and ${this.titles[y]}`,
      x: { ends: this.events.ends(x), title: this.titles[x], format: Taproom.number },
      y: { ends: this.events.ends(y), title: this.titles[y], format: Taproom.number },
      height: Math.min(520, Math.max(300, this.container.clientWidth * 0.8)),
    });
    const colours = this.#colours(measured, colour);
    for (const [name, events] of colours) {
      this.chart.points(
        events.map((event) => [this.events.value(event, x), this.events.value(event, y)]),
        name,
      );
    }
    const note = this.#density(density, x, y);
    const components = ellipses ? this.#components(density, colour, x, y) : "";
    const count = well < 0 ? this.data.count : this.data.wells[well].events;
    const missing = shown.length - measured.length;
    return (
      `${Taproom.number(measured.length, 9)} of ${Taproom.number(count, 9)} events` +
      (missing ? ` (${Taproom.number(missing, 9)} more lack a value)` : "") +
      `. Axes are on the transformed scales and leave out the farthest 0.1 %.${note}${components}`
    );
  }

  // The legend of a colouring, and of contours that have another.
  key(colour, density) {
    const outlines = this.#isOfClasses(colour) || density !== "classes" ? [] : this.data.class_mixtures.names;
    const contours = outlines.map((name, code) => [`contours of ${name}`, Taproom.colourClass(code)]);
    return [...this.#dots(colour), ...contours];
  }

  #isOfClasses(colour) {
    return colour === "sure" || colour === "call";
  }

  #dots(colour) {
    const classes = (this.data.calls?.classes ?? []).map((name, code) => [name, `dot ${Taproom.colourClass(code)}`]);
    if (colour === "call") return classes;
    if (colour === "sure") return [...classes, ["ambiguous", "dot colour-other"]];
    if (colour === "population") {
      const count = this.data.populations.counts[0].length;
      return Array.from({ length: count }, (_, code) => [`population ${code}`, `dot ${Taproom.colourClass(code)}`]);
    }
    if (colour === "largest") return Taproom.steps(1, Taproom.number).map((text, step) => [text, `dot step-${step}`]);
    return [];
  }

  // The events of each colour, by the class of the style sheet; grey ones are drawn first.
  #colours(events, colour) {
    const of = {
      sure: (event) => Taproom.colourClass(this.events.ambiguous[event] ? -1 : this.events.called[event]),
      call: (event) => Taproom.colourClass(this.events.called[event]),
      population: (event) => Taproom.colourClass(this.events.population[event]),
      largest: (event) => `step-${Taproom.step(this.events.largest[event])}`,
      none: () => "colour-other",
    }[colour];
    const found = new Map([["colour-other", []]]);
    for (const event of events) {
      const name = of(event);
      if (!found.has(name)) found.set(name, []);
      found.get(name).push(event);
    }
    return found;
  }

  // Contours; returns what they are in a sentence.
  #density(density, x, y) {
    const ends = [this.chart.ends.x, this.chart.ends.y];
    const outlines = { mixture: this.mixture, classes: this.classes }[density];
    const enclose = (shares) =>
      `contours enclose ${shares.map((share) => 100 * share).join(", ")} % of the probability`;
    if (density === "kernel") {
      const [first, second] = this.data.kernel.channels;
      if ((first !== x || second !== y) && (first !== y || second !== x)) {
        const [one, other] = [first, second].map((place) => Taproom.isolated(this.data.channels[place] ?? "another"));
        return ` There is a kernel density of ${one} and ${other} only.`;
      }
      const { ends: own, points, enclosed } = this.data.kernel;
      this.#contours(
        new Taproom.Grid(own, points, Taproom.numbers(enclosed)),
        this.constructor.SHARES,
        "",
        first !== x,
      );
      return ` Kernel density of all events: ${enclose(this.constructor.SHARES)}.`;
    }
    if (!outlines) return "";
    if (!outlines.has(x, y)) return " The mixture was fitted to other channels.";
    const components = outlines.marginal(x, y);
    if (density === "mixture") {
      this.#contours(Taproom.Grid.enclosed(components, ends), this.constructor.SHARES, "", false);
      return ` Density of the mixture of all events: ${enclose(this.constructor.SHARES)}.`;
    }
    const groups = this.data.class_mixtures.groups;
    for (const code of new Set(groups)) {
      const grid = Taproom.Grid.enclosed(
        components.filter((_, place) => groups[place] === code),
        ends,
      );
      this.#contours(grid, [0.5, 0.95], Taproom.colourClass(code), false);
    }
    return ` Density of each class's mixture: ${enclose([0.5, 0.95])}.`;
  }

  #contours(grid, shares, classes, transposed) {
    for (const share of shares) {
      const path = grid
        .contour(share)
        .map((ends) => ends.map((point) => (transposed ? point.toReversed() : point)))
        .map(([from, to]) => `M${this.#at(from)}L${this.#at(to)}`)
        .join("");
      const drawn = this.chart.add("path", { d: path, class: `contour ${classes}` });
      drawn.dataset.share = share;
    }
  }

  // Ellipses of the classes' mixtures, or of the one of all events, in the colours of the events if these mean the same;
  // returns what they are in a sentence.
  #components(density, colour, x, y) {
    const isOfClasses = density === "classes";
    const mixture = isOfClasses ? this.classes : this.mixture;
    if (!mixture?.has(x, y)) return "";
    const groups = (isOfClasses ? this.data.class_mixtures : this.data.mixture).groups;
    // Components of a class are numbered within it.
    const number = (place) => (isOfClasses ? place - groups.indexOf(groups[place]) : place);
    const isColoured = isOfClasses || colour === "population";
    const colourOf = (place) => (isColoured ? Taproom.colourClass(groups[place]) : "");
    Taproom.drawComponents(this.chart, mixture.marginal(x, y), colourOf, number);
    return " Ellipses are components at 1 and 2 standard deviations.";
  }

  #at([x, y]) {
    return `${this.chart.x(x).toFixed(1)} ${this.chart.y(y).toFixed(1)}`;
  }
};

// Components as ellipses at one and two standard deviations, with their numbers at their means.
Taproom.drawComponents = (chart, components, colourOf, number = (place) => place) => {
  components.forEach((each, place) => {
    for (const deviations of [1, 2]) chart.line(each.ellipse(deviations), `ellipse ${colourOf(place)}`);
  });
  components.forEach((each, place) => {
    chart.add(
      "text",
      { x: chart.x(each.mean[0]), y: chart.y(each.mean[1]) + 4, class: "component" },
      String(number(place)),
    );
  });
};
