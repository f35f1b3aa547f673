// The map of words: search, the words nearest to one, and analogies.
"use strict";

(() => {
  const data = Taproom.data.words.map;
  const counts = Taproom.numbers(data.counts);
  const nearest = Taproom.indices(data.nearest);
  const similarities = Taproom.numbers(data.similarities);
  const onMap = data.words.slice(0, counts.length);
  const places = new Map(onMap.map((word, index) => [word, index]));
  const perWord = nearest.length / counts.length;
  const card = document.getElementById("card");
  const flat = Taproom.numbers(data.flat);
  const inPlane = new Float32Array(3 * counts.length);
  for (let index = 0; index < counts.length; index++) inPlane.set(flat.subarray(2 * index, 2 * index + 2), 3 * index);
  const mostOften = counts.reduce((most, each) => Math.max(most, each), 1);

  const map = new Taproom.PointMap(document.getElementById("map"), {
    positions: { 2: inPlane },
    names: onMap,
    radii: Float32Array.from(counts, (each) => 1.5 + 5 * Math.sqrt(each / mostOften)),
    choose: (index) => select(index, false),
    moved: () => link.note(),
  });
  const search = new Taproom.SearchBox(document.getElementById("search"), {
    label: "Find a word",
    texts: onMap,
    choose: (index) => select(index, true),
  });
  const link = new Taproom.MapLink(map, { name: "word", ids: onMap, select: (index, fly) => select(index, fly) });

  function paint() {
    const shade = [...Taproom.colour("--colour-0"), 190];
    map.setColours(Uint8Array.from({ length: 4 * counts.length }, (_, place) => shade[place % 4]));
  }

  function select(index, fly) {
    if (index < 0) {
      map.select(-1);
      return;
    }
    const ranks = Array.from({ length: perWord }, (_, rank) => index * perWord + rank);
    const near = ranks.filter((place) => nearest[place] >= 0);
    map.select(
      index,
      near.map((place) => nearest[place]).filter((each) => each < onMap.length),
    );
    card.replaceChildren(
      Taproom.element("h2", {}, Taproom.text(onMap[index])),
      Taproom.element("p", { className: "quiet" }, `${Taproom.number(counts[index], 9)} times in the texts`),
      Taproom.element("h3", {}, "Nearest words, by cosine similarity"),
      Taproom.element(
        "ol",
        { className: "nearest" },
        ...near.map((place) => entry(data.words[nearest[place]], similarities[place])),
      ),
    );
    if (fly) map.flyTo(index);
    link.note();
  }

  // A word in a list; one that is not on the map cannot be gone to.
  function entry(word, similarity) {
    const value = Taproom.element("span", { className: "value" }, similarity.toFixed(3));
    if (!places.has(word)) return Taproom.element("li", {}, Taproom.text(word), " ", value);
    const button = Taproom.element("button", { type: "button" }, Taproom.text(word));
    button.addEventListener("click", () => select(places.get(word), true));
    return Taproom.element("li", {}, button, " ", value);
  }

  Taproom.addAnalogies(document.getElementById("analogies"), entry);

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
  paint();
  link.follow();
  Taproom.page = { map, search, link };
})();
