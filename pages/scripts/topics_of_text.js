// "The topics of a text" on the page of words.
"use strict";

(() => {
  const UNKNOWN = 30;
  const weighting = document.getElementById("mixture-weighting");
  const topics = new Map(Taproom.data.words.topics.map((each) => [`${each.weighting} ${each.topic}`, each]));

  function entry({ topic, share }) {
    const words = topics.get(`${weighting.value} ${topic}`).words.slice(0, 10).join(" ");
    const meter = Taproom.element("meter", { min: 0, max: 1, value: share, ariaLabel: `Share of topic ${topic + 1}` });
    const value = Taproom.element("span", { className: "share" }, `${(100 * share).toFixed(1)} %`);
    return Taproom.element("li", { value: topic + 1 }, meter, " ", value, " ", Taproom.text(words));
  }

  function answer(text, model) {
    const { shares, known, unknown } = model.mixture(text, weighting.value);
    const more = unknown.length - UNKNOWN;
    const listed = unknown.slice(0, UNKNOWN).flatMap((word, place) => [place ? ", " : "", Taproom.text(word)]);
    return [
      Taproom.element("h3", {}, "Its topics, the largest share first"),
      Taproom.element("ol", { className: "topic-list" }, ...shares.map(entry)),
      Taproom.element(
        "p",
        { className: "quiet" },
        `${known.length} of its words are terms of the topics; ${unknown.length} are not`,
        ...(listed.length ? [": ", ...listed] : []),
        more > 0 ? ` and ${more} more.` : ".",
      ),
    ];
  }

  Taproom.mixture = new Taproom.QuestionForm(document.getElementById("mixture"), {
    name: "topic_terms",
    prepare: (data) => new Taproom.TopicModel(data),
    answer,
  });
})();
