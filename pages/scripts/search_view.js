// The trials of a search: over time, learning curves, parallel coordinates, and a table to choose one from.
"use strict";

Taproom.SearchView = class {
  static BEST_SHARE = 0.1;

  constructor(container) {
    this.container = container;
  }

  // Show a search of a study, or nothing.
  show(study, search) {
    Object.assign(this, { study, trials: search?.trials ?? [], chosen: null, isBestOnly: false });
    this.judged = this.trials.filter(({ values, state }) => values.length && state !== "failed");
    this.fullBudget = Math.max(...this.judged.map(({ budgets }) => budgets.at(-1)));
    this.full = this.judged.filter(({ budgets }) => budgets.at(-1) === this.fullBudget);
    this.ordered = [...this.full].sort((one, other) => this.better(one.value, other.value));
    this.best = this.ordered[0];
    this.draw();
  }

  draw() {
    const parts = this.trials.length ? [this.overTime(), this.learningCurves(), this.coordinates(), this.table()] : [];
    this.container.replaceChildren(...parts.filter(Boolean));
  }

  // Draw again, with the focus where it was.
  redraw(selector) {
    this.draw();
    this.container.querySelector(selector).focus();
  }

  // Below 0 if a score is better than another.
  better(one, other) {
    return this.study.higher_is_better ? other - one : one - other;
  }

  legend(...entries) {
    return Taproom.element(
      "ul",
      { className: "legend" },
      ...entries.map(([className, words]) =>
        Taproom.element("li", {}, Taproom.element("span", { className }), Taproom.element("span", {}, words)),
      ),
    );
  }

  classOf(trial) {
    const names = [trial.budgets.at(-1) === this.fullBudget ? "complete" : "stopped"];
    if (trial === this.best) names.push("best");
    if (trial === this.chosen) names.push("chosen");
    return names.join(" ");
  }

  // A chart of series, drawn once it is in the page.
  chart(options) {
    const container = Taproom.element("div");
    new Taproom.LineChart(container, options);
    return container;
  }

  overTime() {
    const bestSoFar = [];
    for (const { number, value } of this.full) {
      const before = bestSoFar.at(-1)?.[1];
      bestSoFar.push([number, before === undefined || this.better(value, before) < 0 ? value : before]);
    }
    if (bestSoFar.length) bestSoFar.push([this.trials.at(-1).number, bestSoFar.at(-1)[1]]);
    const failed = this.trials.length - this.judged.length;
    const chart = this.chart({
      label: `Scores of ${this.judged.length} trials by their number`,
      x: { label: "trial", isWhole: true },
      y: { label: "score" },
      series: [
        { points: bestSoFar, lineClass: "best", isStep: true },
        {
          points: this.judged.map(({ number, value }) => [number, value]),
          pointClass: (place) => this.classOf(this.judged[place]),
        },
      ],
    });
    const found = this.best
      ? `The best is trial ${this.best.number}, with ${Taproom.number(this.best.value, 4)} at the full budget.`
      : "No trial has a score.";
    return Taproom.section(
      "Trials",
      "",
      Taproom.element("p", { className: "quiet" }, found, failed ? ` ${failed} failed.` : ""),
      chart,
      this.legend(
        ["mark", "full budget"],
        ["mark hollow shade-other", "stopped earlier"],
        ["sample", "best so far, at the full budget"],
      ),
    );
  }

  learningCurves() {
    const budgets = new Set(this.judged.flatMap((trial) => trial.budgets));
    if (budgets.size < 2) return null;
    const curves = this.judged.map((trial) => ({
      points: trial.budgets.map((budget, rung) => [budget, trial.values[rung]]),
      lineClass: trial === this.chosen ? "chosen" : trial === this.best ? "best" : "curve",
      pointClass: this.classOf(trial),
    }));
    const chart = this.chart({
      label: `Scores of ${this.judged.length} trials by their budgets`,
      x: { label: this.study.unit, isLog: true },
      y: { label: "score" },
      series: curves,
    });
    const words = "Score of each trial at the budgets that it reached; the best trial is outlined.";
    return Taproom.section("Learning curves", "", Taproom.element("p", { className: "quiet" }, words), chart);
  }

  isChampion(trial) {
    const champion = this.study.champion?.parameters;
    return champion && JSON.stringify(trial.parameters) === JSON.stringify(champion);
  }

  coordinates() {
    if (!this.judged.length) return null;
    const { champion } = this.study;
    const names = [...new Set(this.judged.flatMap(({ parameters }) => Object.keys(parameters)))];
    const top = new Set(this.ordered.slice(0, Math.ceil(Taproom.SearchView.BEST_SHARE * this.ordered.length)));
    const scale = Taproom.scale(this.judged.map(({ value }) => value));
    // The worst first, so that the best are on top; then the champion, then the chosen trial.
    const drawn = [...this.judged].sort((one, other) => this.better(other.value, one.value));
    const lines = drawn.map((trial) => ({
      parameters: trial.parameters,
      value: trial.value,
      className: [this.classOf(trial), this.isBestOnly && !top.has(trial) ? "faint" : ""].join(" "),
      strength: this.study.higher_is_better ? scale.share(trial.value) : 1 - scale.share(trial.value),
    }));
    if (champion) {
      const value = drawn.findLast((trial) => this.isChampion(trial))?.value; // its line ends where it has no score here
      lines.push({ parameters: champion.parameters, value, className: "champion" });
    }
    if (this.chosen) lines.push({ ...this.chosen, className: "chosen" });
    const axes = names.map((name) => ({
      name,
      values: lines.map(({ parameters }) => parameters[name]),
      isLog: this.study.log.includes(name),
    }));
    axes.push({ name: "score", values: lines.map(({ value }) => value) });
    const container = Taproom.element("div");
    new Taproom.ParallelCoordinates(container, {
      label: `${this.judged.length} settings, with a line each, over the axes ${names.join(", ")} and score`,
      axes,
      lines,
    });
    const box = Taproom.element("input", { type: "checkbox", checked: this.isBestOnly });
    box.addEventListener("change", () => {
      this.isBestOnly = box.checked;
      this.redraw(".coordinates-part input");
    });
    return Taproom.section(
      "Parameters",
      "wide coordinates-part",
      Taproom.element(
        "p",
        { className: "quiet" },
        "A line for each trial; dashed: stopped before the full budget, so that its score is of another budget.",
      ),
      container,
      this.legend(
        ["strengths", "worst to best score"],
        ["sample shade-1", "champion"],
        ...(this.chosen ? [["sample shade-2", `trial ${this.chosen.number}`]] : []),
      ),
      Taproom.element("label", {}, box, " Only the best tenth of the trials with the full budget"),
    );
  }

  table() {
    const names = [...new Set(this.trials.flatMap(({ parameters }) => Object.keys(parameters)))];
    const { element, text } = Taproom;
    const head = ["Trial", ...names, "Budgets", "Score", "State"];
    const rows = this.trials.map((trial) => {
      const isChosen = trial === this.chosen;
      const button = element("button", { type: "button", "aria-pressed": String(isChosen) }, `Trial ${trial.number}`);
      button.dataset.number = trial.number;
      button.addEventListener("click", () => {
        this.chosen = isChosen ? null : trial;
        this.redraw(`.trials [data-number="${trial.number}"]`);
      });
      const cells = [
        ...names.map((name) => text(Taproom.parameter(trial.parameters[name]))),
        trial.budgets.map((budget) => Taproom.number(budget, 9)).join(" \u2192 "),
        trial.value === null ? "" : Taproom.number(trial.value, 4),
        element(
          "span",
          {},
          trial.state,
          ...(trial.reason ? [": ", text(trial.reason)] : []),
          ...(trial === this.best ? [", best"] : []),
        ),
      ];
      return element("tr", {}, element("td", {}, button), ...cells.map((cell) => element("td", {}, cell)));
    });
    const table = element(
      "table",
      { className: "trials" },
      element("thead", {}, element("tr", {}, ...head.map((name) => element("th", { scope: "col" }, text(name))))),
      element("tbody", {}, ...rows),
    );
    const scroll = element(
      "div",
      { className: "scroll", tabIndex: 0, role: "region", "aria-label": "Table of trials" },
      table,
    );
    const words = "Choose a trial to see it in the charts.";
    return Taproom.section("All trials", "wide", element("p", { className: "quiet" }, words), scroll);
  }
};
