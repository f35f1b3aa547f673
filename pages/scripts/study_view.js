// A study: its champion and why it is that, and its challenges.
"use strict";

// A section with a heading.
Taproom.section = (title, className, ...children) =>
  Taproom.element("section", { className }, Taproom.element("h3", {}, title), ...children);

// A parameter's value; null is left to the product.
Taproom.parameter = (value) => {
  if (value === null || value === undefined) return "not set";
  return typeof value === "number" ? Taproom.compact(value) : String(value);
};

Taproom.StudyView = class {
  constructor(container) {
    this.container = container;
  }

  show(study, search) {
    Object.assign(this, { study, search });
    this.container.replaceChildren(this.about(), ...[this.champion(), this.challenges()].filter(Boolean));
  }

  about() {
    const { score, unit, higher_is_better: isHigher, trial_count: count } = this.study;
    const shown = this.search ? this.search.trials.length : 0;
    const all = count > shown ? ` of ${Taproom.number(count, 9)} trials of the study` : " trials";
    const words = [`Score: ${score}; ${isHigher ? "higher" : "lower"} is better. Budget: ${unit}.`];
    words.push(this.search ? ` ${Taproom.number(shown, 9)}${all}, chosen by ${this.search.method}.` : " No trials.");
    return Taproom.element("p", { className: "wide" }, ...words);
  }

  champion() {
    const { champion } = this.study;
    if (!champion) return Taproom.section("Champion", "", Taproom.element("p", {}, "There is none yet."));
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
    return Taproom.section("Champion", "", card);
  }

  interval(value, low, high) {
    const [mean, from, to] = [value, low, high].map((each) => (each === null ? "" : Taproom.number(each, 4)));
    return low === null ? mean : `${mean} (${from} to ${to})`;
  }

  setting(parameters) {
    const entries = Object.entries(parameters).flatMap(([name, value]) => [
      Taproom.element("dt", {}, Taproom.text(name)),
      Taproom.element("dd", {}, Taproom.text(Taproom.parameter(value))),
    ]);
    return Taproom.element("dl", { className: "setting" }, ...entries);
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
      numbers: [row.difference === null ? "" : Taproom.minus(Taproom.number(row.difference, 3))],
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
    return Taproom.section("Challenges", "", Taproom.element("p", { className: "quiet" }, few, words), table);
  }
};
