// What is seen on a map, in the address: a link shows the same point, dimension and view.
"use strict";

Taproom.MapLink = class {
  static DELAY_MS = 250;

  // `name` is what a point is called in the address, `ids` are the points' ids there. `select` is called with the index
  // of the point in the address, or -1; `read` and `write` take and give what else is there.
  constructor(map, { name, ids, select, read = () => {}, write = () => ({}) }) {
    Object.assign(this, { map, name, ids, select, read, write });
    this.places = new Map(ids.map((id, index) => [id, index]));
    addEventListener("hashchange", () => this.follow());
  }

  // Show what the address says.
  follow() {
    const values = new URLSearchParams(location.hash.slice(1));
    this.read(values);
    const index = this.places.get(values.get(this.name)) ?? -1;
    const number = (key) =>
      values.has(key) && Number.isFinite(Number(values.get(key))) ? Number(values.get(key)) : null;
    const camera = {
      target: ["x", "y", "z"].map((key) => number(key) ?? 0),
      zoom: number("zoom"),
      rotationX: number("tilt"),
      rotationOrbit: number("turn"),
    };
    const known = Object.fromEntries(Object.entries(camera).filter(([, value]) => value !== null));
    const hasPlace = values.has("x") && values.has("y");
    this.select(index, index >= 0 && !hasPlace);
    if (hasPlace) this.map.look(known);
    else if (index < 0 && known.zoom) this.map.look({ zoom: known.zoom });
  }

  // Note what is seen, once it stays the same for a moment.
  note() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.writeNow(), Taproom.MapLink.DELAY_MS);
  }

  writeNow() {
    const { map } = this;
    const values = new URLSearchParams();
    if (map.selected in this.ids) values.set(this.name, this.ids[map.selected]);
    for (const [key, value] of Object.entries(this.write())) values.set(key, value);
    if (map.camera) {
      const { target, zoom, rotationX, rotationOrbit } = map.camera;
      const seen = { x: target[0], y: target[1], zoom };
      if (map.dimension === 3) Object.assign(seen, { z: target[2] ?? 0, tilt: rotationX, turn: rotationOrbit });
      for (const [key, value] of Object.entries(seen)) values.set(key, Number(value.toFixed(3)));
    }
    history.replaceState(null, "", `#${values}`);
  }
};
