// The map of items: a search, colours, the card of an item, chosen items, and texts that are placed.
"use strict";

(() => {
  const items = new Taproom.MapItems(Taproom.data.map);
  const [colour, dimension, legend, whole] = ["colour", "dimension", "legend", "in-view"].map((id) =>
    document.getElementById(id),
  );
  const mostReviews = items.reviews.reduce((most, each) => Math.max(most, each), 1);
  const smallest = items.count > 20000 ? 1.5 : 2;

  const map = new Taproom.PointMap(document.getElementById("map"), {
    positions: items.positions,
    names: items.names,
    radii: Float32Array.from(items.reviews, (each) => smallest + 5 * Math.sqrt(each / mostReviews)),
    choose: (index) => select(index, false),
    moved: () => link.note(),
  });
  const search = new Taproom.SearchBox(document.getElementById("search"), {
    label: "Find an item",
    texts: items.names,
    choose: (index) => select(index, true),
  });
  const card = new Taproom.ItemCard(document.getElementById("card"), items, (index) => select(index, true));
  const colours = new Taproom.ItemColours(map, items, colour, legend);
  const chosen = new Taproom.ItemSelection(document.getElementById("chosen"), items, card, (each) =>
    colours.choose(each),
  );
  const link = new Taproom.MapLink(map, {
    name: "item",
    ids: items.ids,
    select: (index, fly) => select(index, fly),
    read(values) {
      if ([...colour.options].some((option) => option.value === values.get("colour")))
        colour.value = values.get("colour");
      dimension.value = values.get("dimension") === "3" ? "3" : "2";
      map.setDimension(Number(dimension.value));
      colours.paint();
    },
    write: () => ({ colour: colour.value, dimension: dimension.value }),
  });
  Taproom.addTextPlacing(document.getElementById("place"), map, items, card);

  function select(index, fly) {
    if (index < 0) {
      map.select(-1);
      return;
    }
    const near = items.nearestOf(index).map((each) => each.index);
    map.select(index, near, { 2: items.placeBefore(index) });
    card.show(index);
    if (fly) map.flyTo(index);
    link.note();
  }

  if (map.deck) new Taproom.Lasso(map, document.getElementById("lasso"), (each) => chosen.show(each));
  else document.getElementById("choosing").hidden = true;
  whole.addEventListener("click", () => chosen.show(map.pointsWhere(() => true)));
  colour.addEventListener("change", () => link.note());
  dimension.addEventListener("change", () => {
    map.setDimension(Number(dimension.value));
    link.note();
  });
  link.follow();
  Taproom.page = { map, search, link };
})();
