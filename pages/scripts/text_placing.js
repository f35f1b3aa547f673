// "Place a text": a text that somebody types is put on the map, with lines to its nearest items.
"use strict";

Taproom.addTextPlacing = (details, map, items, card) => {
  const NEAREST = 10;
  const WORDS = 12;
  const UNKNOWN = 30;

  function answer(text, placer) {
    const placed = placer.place(text);
    const near = placed.neighbors.slice(0, NEAREST);
    map.place(
      placed.positions,
      near.map(({ index }) => index),
    );
    const words = placed.words
      .slice(0, WORDS)
      .map((each) => ({ ...each, share: each.weight / placed.words[0].weight }));
    const more = placed.unknown.length - UNKNOWN;
    const unknown = placed.unknown.slice(0, UNKNOWN).flatMap((word, place) => [place ? ", " : "", Taproom.text(word)]);
    return [
      Taproom.element("h3", {}, "Nearest items, by cosine distance"),
      card.list(near),
      Taproom.element("h3", {}, "Its most weighted words"),
      Taproom.ItemCard.bag(words),
      Taproom.element("h3", {}, `Words that the map does not have: ${placed.unknown.length || "none"}`),
      Taproom.element("p", { className: "quiet unknown" }, ...unknown, more > 0 ? ` and ${more} more` : ""),
    ];
  }

  Taproom.placing = new Taproom.QuestionForm(details, {
    name: "map_bags",
    prepare: (bags) => new Taproom.TextPlacer(bags, items.positions),
    answer,
  });
};
