// A part of a page that opens, loads the data that it needs, and answers what somebody types into it.
"use strict";

// A sentence for the person who typed something that has no answer.
Taproom.Problem = class extends Error {};

Taproom.QuestionForm = class {
  // `details` is the <details> element, with a form that has a field, a button and an element of the class "answer".
  // `name` is that of the data; `prepare` makes of them what `answer` is called with, beside what was typed. `answer`
  // gives the elements to show.
  constructor(details, { name, prepare, answer }) {
    Object.assign(this, { details, name, prepare, answer });
    this.form = details.querySelector("form");
    this.field = this.form.querySelector("textarea, input");
    this.output = details.querySelector(".answer");
    details.addEventListener("toggle", () => {
      if (details.open) this.ready();
    });
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    if (this.field.tagName === "TEXTAREA") {
      this.field.addEventListener("keydown", (event) => {
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.form.requestSubmit();
      });
    }
  }

  // Load the data once; a promise of what `prepare` made of them, or of null where that is not possible.
  ready() {
    this.prepared ??= this.load();
    return this.prepared;
  }

  async load() {
    this.say("Loading ...");
    try {
      const data = await Taproom.dataOnDemand(this.name);
      if (data.unavailable) throw new Taproom.Problem(data.unavailable);
      const prepared = this.prepare(data);
      this.output.replaceChildren();
      return prepared;
    } catch (error) {
      this.say(error.message);
      return null;
    }
  }

  async submit() {
    const prepared = await this.ready();
    if (!prepared) return;
    try {
      this.output.replaceChildren(...this.answer(this.field.value, prepared));
    } catch (error) {
      if (!(error instanceof Taproom.Problem)) throw error;
      this.say(error.message);
    }
  }

  say(message) {
    this.output.replaceChildren(Taproom.element("p", { className: "notice" }, Taproom.text(message)));
  }
};

// How often each word of a text occurs: a map in the order of first occurrence.
Taproom.wordCounts = (text, pattern) => {
  const words = Taproom.words(text, pattern);
  if (words === null) throw new Taproom.Problem(`Words here are ${pattern}, which a browser cannot find.`);
  if (!words.length) throw new Taproom.Problem("Type a text: there is no word in this one.");
  const counts = new Map();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  return counts;
};
