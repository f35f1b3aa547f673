// Choosing points of a map by drawing around them.
"use strict";

Taproom.Lasso = class {
  static STEP = 4; // pixels from a corner of the line to the next one

  // `chosen` is called with the indices of the points that the line surrounds. With `button` pressed every drag draws;
  // without, one with the shift key does, in two dimensions.
  constructor(map, button, chosen) {
    Object.assign(this, { map, button, chosen });
    this.line = document.createElementNS("http://www.w3.org/2000/svg", "polygon");
    const drawing = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    drawing.setAttribute("class", "lasso");
    drawing.setAttribute("aria-hidden", "true");
    drawing.append(this.line);
    map.container.append(drawing);
    button.addEventListener("click", () => this.setMode(!this.isOn));
    // Before deck.gl, which would move the map.
    map.container.addEventListener("pointerdown", (event) => this.begin(event), { capture: true });
    map.container.addEventListener("pointermove", (event) => this.draw(event), { capture: true });
    for (const end of ["pointerup", "pointercancel"]) {
      map.container.addEventListener(end, (event) => this.end(event), { capture: true });
    }
  }

  get isOn() {
    return this.button.getAttribute("aria-pressed") === "true";
  }

  setMode(isOn) {
    this.button.setAttribute("aria-pressed", String(isOn));
    this.map.container.classList.toggle("lassoing", isOn);
  }

  begin(event) {
    const isWanted = this.isOn || (event.shiftKey && this.map.dimension === 2);
    if (!isWanted || event.button !== 0 || event.target.closest("button")) return;
    event.stopPropagation();
    event.preventDefault();
    this.map.container.setPointerCapture(event.pointerId);
    this.corners = [];
    this.draw(event);
  }

  draw(event) {
    if (!this.corners) return;
    event.stopPropagation();
    const { left, top } = this.map.container.getBoundingClientRect();
    const [x, y] = [event.clientX - left, event.clientY - top];
    const last = this.corners.at(-1);
    if (last && Math.hypot(x - last[0], y - last[1]) < Taproom.Lasso.STEP) return;
    this.corners.push([x, y]);
    this.line.setAttribute("points", this.corners.map((corner) => corner.join()).join(" "));
  }

  end(event) {
    if (!this.corners) return;
    event.stopPropagation();
    const corners = this.corners;
    this.corners = null;
    this.line.setAttribute("points", "");
    this.setMode(false);
    if (event.type === "pointerup" && corners.length > 2) {
      this.chosen(this.map.pointsWhere(Taproom.Lasso.surrounds(corners)));
    }
  }

  // Whether a polygon surrounds a place: a ray from there crosses its sides an odd number of times.
  static surrounds(corners) {
    const [xs, ys] = [0, 1].map((axis) => corners.map((corner) => corner[axis]));
    const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    return (x, y) => {
      if (x < left || x > right || y < top || y > bottom) return false;
      let isInside = false;
      for (let place = 0, last = corners.length - 1; place < corners.length; last = place++) {
        const isCrossed = ys[place] > y !== ys[last] > y;
        if (isCrossed && x < xs[place] + ((xs[last] - xs[place]) * (y - ys[place])) / (ys[last] - ys[place])) {
          isInside = !isInside;
        }
      }
      return isInside;
    };
  }
};
