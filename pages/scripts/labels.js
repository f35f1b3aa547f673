// Names beside the points of a map, as elements over it. A name is shown where it covers no other one, so more of them
// appear as the view zooms in. (deck.gl's own labels are hidden on first paint since its version 9.2.)
"use strict";

Taproom.Labels = class {
  static HEIGHT = 17;
  static WIDEST = 190;
  static PIXELS_EACH = 14000; // of the map's area for each label, before zooming in

  // `ownName` is that of a point after all others, which is labelled only if it is among the first.
  constructor(container, names, ownName) {
    this.container = container;
    this.count = names.length;
    this.names = [...names, ownName];
    this.labelled = null; // a set of points, if only those are labelled
    this.shown = new Map(); // index -> element
    this.widths = new Map();
    this.overlay = Taproom.element("div", { className: "labels", "aria-hidden": "true" });
    container.append(this.overlay);
    this.pen = document.createElement("canvas").getContext("2d");
    this.pen.font = getComputedStyle(this.overlay).font;
  }

  // `positions` has three coordinates a point; `first` are labelled before the others, which are labelled in order;
  // `zoomedIn` is how far the view has zoomed in, as a power of two.
  draw(viewport, positions, first, zoomedIn) {
    const { width, height } = viewport;
    const isFirst = new Set(first);
    const most =
      first.length + Math.ceil(((width * height) / Taproom.Labels.PIXELS_EACH) * (1 + Math.max(0, zoomedIn)));
    const margin = Taproom.Labels.HEIGHT / 2;
    const boxes = [];
    const buttons = this.boxOfButtons();
    const place = (index) => {
      if (boxes.length >= most || index < 0) return;
      const [x, y] = Taproom.Labels.project(viewport, positions, index);
      if (!(x > 0 && x < width && y > margin && y < height - margin)) return;
      const box = {
        index,
        left: x + 7,
        top: y - Taproom.Labels.HEIGHT / 2,
        width: this.widthOf(index, isFirst.has(index)),
      };
      if (box.left + box.width > width) box.left = x - 7 - box.width;
      if (box.left < 0 || [buttons, ...boxes].some((other) => Taproom.Labels.overlap(box, other))) return;
      boxes.push(box);
    };
    isFirst.forEach(place);
    for (let index = 0; index < this.count && boxes.length < most; index++) {
      if (!isFirst.has(index) && (!this.labelled || this.labelled.has(index))) place(index);
    }
    this.show(boxes, isFirst);
  }

  static project(viewport, positions, index) {
    const [x, y, z] = [positions[3 * index], positions[3 * index + 1], positions[3 * index + 2]];
    const m = viewport.pixelProjectionMatrix;
    const w = m[3] * x + m[7] * y + m[11] * z + m[15];
    if (w <= 0) return [-1, -1]; // behind the camera
    return [(m[0] * x + m[4] * y + m[8] * z + m[12]) / w, (m[1] * x + m[5] * y + m[9] * z + m[13]) / w];
  }

  static overlap(box, other) {
    const { HEIGHT } = Taproom.Labels;
    return (
      box.left < other.left + other.width &&
      other.left < box.left + box.width &&
      box.top < other.top + (other.height ?? HEIGHT) &&
      other.top < box.top + HEIGHT
    );
  }

  // Where the map's buttons are; no label goes there.
  boxOfButtons() {
    const { offsetLeft, offsetTop, offsetWidth, offsetHeight } = this.container.querySelector(".map-buttons");
    return { left: offsetLeft, top: offsetTop, width: offsetWidth, height: offsetHeight };
  }

  widthOf(index, isBold) {
    if (!this.widths.has(index)) this.widths.set(index, this.pen.measureText(this.names[index]).width + 6);
    return Math.min(this.widths.get(index) * (isBold ? 1.12 : 1), Taproom.Labels.WIDEST);
  }

  show(boxes, isFirst) {
    const wanted = new Set(boxes.map(({ index }) => index));
    for (const [index, label] of this.shown) {
      if (!wanted.has(index)) {
        label.remove();
        this.shown.delete(index);
      }
    }
    for (const { index, left, top } of boxes) {
      if (!this.shown.has(index)) {
        this.shown.set(index, Taproom.element("span", { dir: "auto" }, this.names[index]));
        this.overlay.append(this.shown.get(index));
      }
      const label = this.shown.get(index);
      label.classList.toggle("first", isFirst.has(index));
      label.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
    }
  }
};
