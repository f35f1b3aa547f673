// The map of items: colours, legend, search, and the card of an item.
"use strict";

(() => {
  const data = Taproom.data.map;
  const count = data.item_ids.length;
  const names = data.names.map((name, index) => name.trim() || data.item_ids[index]);
  const reviews = Taproom.numbers(data.reviews);
  const scores = Taproom.numbers(data.score);
  const categories = Taproom.indices(data.category);
  const nearest = Taproom.indices(data.nearest);
  const distances = Taproom.numbers(data.distances);
  const words = Taproom.indices(data.words);
  const weights = Taproom.numbers(data.weights);
  const largestWeights = Taproom.numbers(data.largest_weight);
  const [perItem, wordsPerItem] = [nearest.length / count, words.length / count];
  const [colour, dimension, legend, card] = ["colour", "dimension", "legend", "card"].map((id) =>
    document.getElementById(id),
  );
  const OWN_COLOURS = 8;
  const STEPS = 6;
  const FAINT = 25;
  let chosenGroup = null; // the entry of the legend whose items stand out

  const flat = Taproom.numbers(data.flat);
  const inPlane = new Float32Array(3 * count);
  for (let index = 0; index < count; index++) inPlane.set(flat.subarray(2 * index, 2 * index + 2), 3 * index);
  const mostReviews = reviews.reduce((most, each) => Math.max(most, each), 1);

  const map = new Taproom.PointMap(document.getElementById("map"), {
    positions: { 2: inPlane, 3: Taproom.numbers(data.space) },
    names,
    radii: Float32Array.from(reviews, (each) => (count > 20000 ? 1.5 : 2) + 5 * Math.sqrt(each / mostReviews)),
    choose: (index) => select(index, false),
    moved: () => link.note(),
  });
  const search = new Taproom.SearchBox(document.getElementById("search"), {
    label: "Find an item",
    texts: names,
    choose: (index) => select(index, true),
  });
  const link = new Taproom.MapLink(map, {
    name: "item",
    ids: data.item_ids,
    select: (index, fly) => select(index, fly),
    read(values) {
      if ([...colour.options].some((option) => option.value === values.get("colour")))
        colour.value = values.get("colour");
      dimension.value = values.get("dimension") === "3" ? "3" : "2";
      map.setDimension(Number(dimension.value));
      paint();
    },
    write: () => ({ colour: colour.value, dimension: dimension.value }),
  });

  // The groups that items are coloured by: their names and colours, and the group of each item.
  function groups() {
    if (colour.value === "category") {
      const own = data.categories.slice(0, OWN_COLOURS).map((name, place) => ({ name, property: `--colour-${place}` }));
      const hasOther = categories.some((category) => category < 0 || category >= OWN_COLOURS);
      const other = hasOther ? [{ name: own.length ? "other" : "items", property: "--other" }] : [];
      return {
        groups: [...own, ...other],
        of: (index) => (categories[index] < 0 ? own.length : Math.min(categories[index], own.length)),
      };
    }
    const values = colour.value === "score" ? scores : reviews;
    const sorted = Float64Array.from(values).filter(Number.isFinite).sort();
    const quantiles = Array.from(
      { length: STEPS - 1 },
      (_, step) => sorted[Math.floor(((step + 1) * sorted.length) / STEPS)],
    );
    const limits = [...new Set(quantiles)].filter((limit) => limit !== undefined && limit > sorted[0]);
    const ends = [sorted[0], ...limits, sorted[sorted.length - 1]];
    const isWhole = colour.value === "reviews"; // a step then ends before the next one begins
    const lastOf = (step) => ends[step + 1] - (isWhole && step < limits.length ? 1 : 0);
    const steps = sorted.length
      ? [...limits, null].map((_, step) => ({
          name:
            lastOf(step) > ends[step]
              ? `${Taproom.number(ends[step])} to ${Taproom.number(lastOf(step))}`
              : Taproom.number(ends[step]),
          property: `--step-${Math.round((step * (STEPS - 1)) / Math.max(1, limits.length))}`,
        }))
      : [];
    const hasUnknown = sorted.length < count;
    return {
      groups: [...steps, ...(hasUnknown ? [{ name: "unknown", property: "--other" }] : [])],
      of: (index) =>
        Number.isFinite(values[index]) ? limits.filter((limit) => values[index] >= limit).length : steps.length,
    };
  }

  function paint() {
    const { groups: entries, of } = groups();
    const shades = entries.map(({ property }) => Taproom.colour(property));
    const colours = new Uint8Array(4 * count);
    for (let index = 0; index < count; index++) {
      const group = of(index);
      colours.set([...shades[group], chosenGroup === null || chosenGroup === group ? 215 : FAINT], 4 * index);
    }
    map.setColours(colours);
    legend.replaceChildren(
      ...entries.map(({ name, property }, group) => {
        const swatch = Taproom.element("span", { className: "swatch" });
        swatch.style.background = `var(${property})`;
        const button = Taproom.element(
          "button",
          { type: "button", "aria-pressed": String(chosenGroup === group) },
          swatch,
          Taproom.text(name),
        );
        button.addEventListener("click", () => {
          chosenGroup = chosenGroup === group ? null : group;
          paint();
          legend.children[group].firstChild.focus();
        });
        return Taproom.element("li", {}, button);
      }),
    );
  }

  // The places of an item's nearest ones that are on the page, with their distances.
  function nearestOf(index) {
    const row = Array.from({ length: perItem }, (_, rank) => index * perItem + rank);
    return row.filter((place) => nearest[place] >= 0).map((place) => [nearest[place], distances[place]]);
  }

  function select(index, fly) {
    if (index < 0) {
      map.select(-1);
      return;
    }
    const near = nearestOf(index);
    map.select(
      index,
      near.map(([each]) => each),
    );
    card.replaceChildren(...cardOf(index, near));
    if (fly) map.flyTo(index);
    link.note();
  }

  function cardOf(index, near) {
    const about = [
      categories[index] >= 0 ? data.categories[categories[index]] : null,
      `${Taproom.number(reviews[index], 9)} review${reviews[index] === 1 ? "" : "s"}`,
      Number.isFinite(scores[index]) ? `mean score ${Taproom.number(scores[index])}` : null,
    ].filter((each) => each !== null);
    return [
      Taproom.element("h2", {}, Taproom.text(names[index])),
      Taproom.element(
        "p",
        { className: "quiet" },
        ...about.flatMap((each, place) => [place ? ", " : "", Taproom.text(each)]),
      ),
      Taproom.element("h3", {}, "Most weighted words"),
      Taproom.element("ul", { className: "bag" }, ...bagOf(index)),
      Taproom.element("h3", {}, "Nearest items, by cosine distance"),
      Taproom.element(
        "ol",
        { className: "nearest" },
        ...near.map(([each, distance]) => {
          const button = Taproom.element("button", { type: "button" }, Taproom.text(names[each]));
          button.addEventListener("click", () => select(each, true));
          return Taproom.element(
            "li",
            {},
            button,
            " ",
            Taproom.element("span", { className: "value" }, distance.toFixed(3)),
          );
        }),
      ),
    ];
  }

  function bagOf(index) {
    const places = Array.from({ length: wordsPerItem }, (_, rank) => index * wordsPerItem + rank);
    return places
      .filter((place) => words[place] >= 0)
      .map((place) => {
        const share = weights[place] / 255;
        const weight = Taproom.number(share * largestWeights[index], 2);
        const word = Taproom.element("li", { title: `weight ${weight}` }, Taproom.text(data.vocabulary[words[place]]));
        word.style.fontSize = `${0.8 + 1.2 * share}em`;
        return word;
      });
  }

  if (!scores.some(Number.isFinite)) colour.querySelector("[value=score]").disabled = true;
  if (!data.categories.length) colour.querySelector("[value=category]").disabled = true;
  colour.addEventListener("change", () => {
    chosenGroup = null;
    paint();
    link.note();
  });
  dimension.addEventListener("change", () => {
    map.setDimension(Number(dimension.value));
    link.note();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
  link.follow();
  Taproom.page = { map, search, link };
})();
