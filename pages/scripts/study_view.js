// A search of a study: its champion and challenges, its trials over time, learning curves, and parallel coordinates.
"use strict";

Taproom.StudyView = class {
  static BEST_SHARE = 0.1;

  constructor(container) {
    this.container = container;
  }

  show(study, search) {
    Object.assign(this, { study, search, chosen: null, isBestOnly: false });
    this.draw();
  }

  draw() {
    const { study, search } = this;
    const parts = [this.about(), this.champion(), this.challenges()];
    if (search) {
      this.trials = search.trials;
      this.judged = this.trials.filter(({ values, state }) => values.length && state !== "failed");
      this.fullBudget = Math.max(...this.judged.map(({ budgets }) => budgets.at(-1)));
      this.full = this.judged.filter(({ budgets }) => budgets.at(-1) === this.fullBudget);
      this.ordered = [...this.full].sort((one, other) => this.better(one.value, other.value));
      parts.push(this.overTime(), this.learningCurves(), this.coordinates(), this.table());
    } else if (!study.trial_count) {
      parts.push(Taproom.element("p", {}, "No search has been run yet."));
    }
    this.container.replaceChildren(...parts.filter(Boolean));
  }

  // Below 0 if a score is better than another.
  better(one, other) {
    return this.study.higher_is_better ? other - one : one - other;
  }

  get best() {
    return this.ordered[0];
  }

  part(title, className, ...children) {
    return Taproom.element("section", { className }, Taproom.element("h3", {}, title), ...children);
  }

  about() {
    const { score, unit, higher_is_better: isHigher, trial_count: count } = this.study;
    const shown = this.search ? this.search.trials.length : 0;
    const all = count > shown ? ` of ${Taproom.number(count, 9)} trials of the study` : " trials";
    const words = [`Score: ${score}; ${isHigher ? "higher" : "lower"} is better. Budget: ${unit}.`];
    if (this.search) words.push(` ${Taproom.number(shown, 9)}${all}, chosen by ${this.search.method}.`);
    return Taproom.element("p", { className: "wide" }, ...words);
  }

  champion() {
    const { champion } = this.study;
    if (!champion) return this.part("Champion", "", Taproom.element("p", {}, "There is none yet."));
    const { verdict, search, trial, value, value_low: low, value_high: high, why, decided_at: time } = champion;
    const from = {
      first: "Values set by hand.",
      pinned: "Pinned by a person.",
      released: "Released by a person.",
      crowned: `Found by trial ${trial} of the search `,
    }[verdict];
    const sentence = Taproom.element("p", {}, from);
    if (verdict === "crowned") sentence.append(Taproom.text(search), ".");
    const numbers =
      value === null || value === undefined
        ? []
        : [Taproom.element("p", {}, `Score on fresh data: ${this.interval(value, low, high)}.`)];
    const card = Taproom.element(
      "div",
      { className: "champion-card" },
      this.setting(champion.parameters),
      sentence,
      ...numbers,
      Taproom.element("p", {}, "Why: ", Taproom.text(why), "."),
      Taproom.element("p", { className: "quiet" }, `Decided ${time}.`),
    );
    return this.part("Champion", "", card);
  }

  interval(value, low, high) {
    const [mean, from, to] = [value, low, high].map((each) => (each === null ? "" : Taproom.number(each, 4)));
    return low === null ? mean : `${mean} (${from} to ${to})`;
  }

  setting(parameters) {
    const entries = Object.entries(parameters).flatMap(([name, value]) => [
      Taproom.element("dt", {}, Taproom.text(name)),
      Taproom.element("dd", {}, Taproom.text(this.shown(value))),
    ]);
    return Taproom.element("dl", { className: "setting" }, ...entries);
  }

  shown(value) {
    if (value === null || value === undefined) return "not set";
    return typeof value === "number" ? Taproom.compact(value) : String(value);
  }

  challenges() {
    const { challenges, challenge_count: count, higher_is_better: isHigher } = this.study;
    if (!challenges.length) return null;
    const rows = challenges.map((row) => ({
      name: `${row.number}: ${row.verdict}`,
      note: [row.trial === null ? null : `trial ${row.trial} of search ${row.search}`, row.why]
        .filter(Boolean)
        .join(": "),
      value: row.difference,
      low: row.difference_low,
      high: row.difference_high,
      colour: row.verdict === "crowned" ? "--colour-2" : "--colour-0",
      numbers: [row.difference === null ? "" : Taproom.number(row.difference, 3).replace("-", "\u2212")],
    }));
    const table = Taproom.intervalTable({
      caption: `Difference to the champion on fresh data; ${isHigher ? "above" : "below"} 0 is better`,
      heading: "Challenge",
      rows,
      columns: ["Difference"],
      format: (value) => Taproom.number(value),
      zero: 0,
    });
    const few = rows.length < count ? `The newest ${rows.length} of ${Taproom.number(count, 9)} challenges. ` : "";
    const words =
      "A challenger becomes champion if it is better and the 95 % interval of its difference does not contain 0.";
    return this.part("Challenges", "", Taproom.element("p", { className: "quiet" }, few, words), table);
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
    return this.part(
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
    return this.part("Learning curves", "", Taproom.element("p", { className: "quiet" }, words), chart);
  }

  isChampion(trial) {
    const champion = this.study.champion?.parameters;
    return champion && JSON.stringify(trial.parameters) === JSON.stringify(champion);
  }

  coordinates() {
    if (!this.judged.length) return null;
    const { champion } = this.study;
    const names = [...new Set(this.judged.flatMap(({ parameters }) => Object.keys(parameters)))];
    const top = new Set(this.ordered.slice(0, Math.ceil(Taproom.StudyView.BEST_SHARE * this.ordered.length)));
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
    return this.part(
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

  // Draw again, with the focus where it was.
  redraw(selector) {
    this.draw();
    this.container.querySelector(selector)?.focus();
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
        ...names.map((name) => text(this.shown(trial.parameters[name]))),
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
    return this.part("All trials", "wide", element("p", { className: "quiet" }, words), scroll);
  }
};
