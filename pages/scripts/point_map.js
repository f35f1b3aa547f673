// A map of points in two or three dimensions, drawn by deck.gl, with labels, buttons and a selected point whose lines
// lead to its nearest ones. One more point, a person's own, can be placed. Without WebGL it is a picture.
"use strict";

Taproom.PointMap = class {
  static FLIGHT_MS = 700;
  static CLOSE = 2; // how far a flight zooms in, as a power of two
  static MANY = 20000; // points; smoothing all edges then takes too long without a graphics card
  static OWN_NAME = "Your text";
  static OWN_RADIUS = 7; // pixels
  static NEAR = 6; // pixels from the edge of a point within which it is pointed at

  // `positions` has, by dimension, three coordinates a point; `radii` are in pixels; `choose` is called with the index
  // of a point that was clicked, `moved` when the view has changed.
  constructor(container, { positions, names, radii, choose, moved }) {
    Object.assign(this, { container, radii, choose, moved });
    this.own = radii.length; // the index of the own point, which is after the others
    this.positions = {};
    for (const [each, given] of Object.entries(positions)) {
      this.positions[each] = new Float32Array(given.length + 3);
      this.positions[each].set(given);
    }
    this.dimension = 2;
    this.selected = -1;
    this.pointed = -1;
    this.nearest = [];
    this.extents = {};
    this.colours = new Uint8Array(4 * names.length).fill(160);
    if (!Taproom.PointMap.hasWebGL()) {
      this.showPicture();
      return;
    }
    this.camera = this.wholeMap();
    this.deck = new deck.Deck({
      parent: container,
      views: this.view(),
      initialViewState: this.camera,
      controller: true,
      deviceProps: { type: "webgl", webgl: { antialias: names.length < Taproom.PointMap.MANY } },
      layers: [],
      getCursor: ({ isDragging }) => (isDragging ? "grabbing" : this.pointed >= 0 ? "pointer" : "grab"),
      onClick: ({ x, y }) => {
        const index = this.pointAt(x, y);
        if (index >= 0) this.choose(index);
      },
      onHover: ({ x, y }) => this.pointTo(x, y),
      onViewStateChange: ({ viewState }) => this.onCamera(viewState),
      onResize: () => this.onCamera(this.camera),
      onLoad: () => this.onLoad(),
    });
    this.labels = new Taproom.Labels(container, names, Taproom.PointMap.OWN_NAME);
    this.addButtons();
  }

  static hasWebGL() {
    return Boolean(document.createElement("canvas").getContext("webgl2"));
  }

  showPicture() {
    this.container.classList.add("without-webgl");
    this.container.append(
      Taproom.element(
        "p",
        { className: "notice", role: "status" },
        "This browser has no WebGL, so the map cannot be moved. Search works, and this is a picture of the map:",
      ),
    );
    const picture = this.container.dataset.picture;
    if (picture) this.container.append(Taproom.element("img", { src: picture, alt: "A picture of the map" }));
  }

  addButtons() {
    const buttons = [
      ["+", "Zoom in", () => this.fly({ zoom: this.camera.zoom + 1 })],
      ["−", "Zoom out", () => this.fly({ zoom: this.camera.zoom - 1 })],
      ["⤢", "Show the whole map", () => this.fly(this.wholeMap())],
    ].map(([sign, title, act]) => {
      const button = Taproom.element("button", { type: "button", title, "aria-label": title }, sign);
      button.addEventListener("click", act);
      return button;
    });
    this.container.append(Taproom.element("div", { className: "map-buttons" }, ...buttons));
  }

  view() {
    return this.dimension === 2
      ? new deck.OrthographicView({ id: "flat", flipY: false })
      : new deck.OrbitView({ id: "space", orbitAxis: "Y" });
  }

  // The camera that sees all points.
  wholeMap() {
    const { clientWidth, clientHeight } = this.container;
    this.extents[this.dimension] ??= this.positions[this.dimension].reduce(
      (most, each) => Math.max(most, Math.abs(each)),
      1e-6,
    );
    const zoom = Math.log2(Math.max(1, Math.min(clientWidth, clientHeight)) / (2.1 * this.extents[this.dimension]));
    const camera = { target: [0, 0, 0], zoom, minZoom: zoom - 2, maxZoom: zoom + 12 };
    return this.dimension === 2 ? camera : { ...camera, rotationX: 20, rotationOrbit: 30 };
  }

  onLoad() {
    const canvas = this.container.querySelector("canvas");
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-label", "Map. Arrows move it, + and - zoom; the search finds points by name.");
    this.isLoaded = true;
    this.draw();
  }

  onCamera(camera) {
    this.camera = camera;
    if (this.willDraw) return;
    this.willDraw = requestAnimationFrame(() => {
      this.willDraw = null;
      this.drawLabels();
      this.moved();
    });
  }

  setDimension(dimension) {
    if (dimension === this.dimension || !this.deck) return;
    this.dimension = dimension;
    this.camera = this.wholeMap();
    this.deck.setProps({ views: this.view() });
    this.look(this.camera);
    this.draw();
  }

  setColours(colours) {
    this.colours = colours;
    this.draw();
  }

  // Label only some points, a set of indices; null: all.
  labelOnly(labelled) {
    if (!this.labels) return;
    this.labels.labelled = labelled;
    this.drawLabels();
  }

  // Select a point and those that lines lead to; -1 selects none. `before` has, by dimension, where the point was.
  select(index, nearest = [], before = {}) {
    this.selected = index;
    this.nearest = nearest;
    this.before = before;
    this.draw();
  }

  // Put the own point at a position, by dimension, select it and fly there.
  place(positions, nearest) {
    for (const [dimension, position] of Object.entries(positions)) {
      this.positions[dimension].set(position, 3 * this.own);
    }
    this.select(this.own, nearest);
    this.flyTo(this.own);
  }

  // Indices of the points in view whose place in pixels fulfils a condition.
  pointsWhere(isWanted) {
    const [viewport] = this.deck?.getViewports() ?? [];
    if (!viewport) return [];
    return Array.from(this.radii.keys()).filter((index) => {
      const [x, y] = Taproom.Labels.project(viewport, this.positions[this.dimension], index);
      return x >= 0 && y >= 0 && x <= viewport.width && y <= viewport.height && isWanted(x, y);
    });
  }

  flyTo(index) {
    if (!this.deck) return;
    const target = Array.from(this.point(index));
    this.fly({ target, zoom: Math.max(this.camera.zoom, this.wholeMap().zoom + Taproom.PointMap.CLOSE) });
  }

  fly(change) {
    const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.look({
      ...change,
      transitionDuration: isCalm ? 0 : Taproom.PointMap.FLIGHT_MS,
      transitionInterpolator: new deck.LinearInterpolator(["target", "zoom"]),
    });
  }

  // Move the camera at once, or as its transition says.
  look(change) {
    if (!this.deck) return;
    const { transitionDuration, transitionInterpolator, ...camera } = { ...this.camera, ...change };
    const isFlight = Boolean(change.transitionDuration);
    this.looks = (this.looks ?? 0) + 1; // deck.gl takes a state only if it differs from the one given before
    this.deck.setProps({
      initialViewState: {
        ...camera,
        looks: this.looks,
        ...(isFlight ? { transitionDuration, transitionInterpolator } : {}),
      },
    });
    if (!isFlight) this.onCamera(camera);
  }

  point(index) {
    return this.positions[this.dimension].subarray(3 * index, 3 * index + 3);
  }

  // The point at a place of the map, in pixels, or -1. It is found here, because deck.gl draws all points once more to
  // find it, which takes seconds without a graphics card.
  pointAt(x, y) {
    const [viewport] = this.deck.getViewports();
    let [found, least] = [-1, Infinity];
    for (let index = 0; index < this.radii.length; index++) {
      const [left, top] = Taproom.Labels.project(viewport, this.positions[this.dimension], index);
      const distance = Math.hypot(left - x, top - y) - this.radii[index];
      if (distance < least) [found, least] = [index, distance];
    }
    return least <= Taproom.PointMap.NEAR ? found : -1;
  }

  // Label the point that the pointer is on.
  pointTo(x, y) {
    const pointed = this.pointAt(x, y);
    if (pointed === this.pointed) return;
    this.pointed = pointed;
    this.drawLabels();
  }

  draw() {
    if (!this.isLoaded) return;
    const ink = Taproom.colour("--ink");
    const selected = this.selected < 0 ? [] : [...this.nearest, this.selected]; // itself last, over the others
    const before = (this.selected >= 0 && this.before?.[this.dimension]) || null;
    const isOwn = (index) => index === this.own;
    this.deck.setProps({
      layers: [
        new deck.LineLayer({
          id: `lines-${this.dimension}`,
          data: this.selected < 0 ? [] : this.nearest,
          getSourcePosition: () => this.point(this.selected),
          getTargetPosition: (index) => this.point(index),
          getColor: [...ink, 140],
          getWidth: 1.5,
        }),
        new deck.LineLayer({
          id: "move",
          data: before ? [before] : [],
          getSourcePosition: () => this.point(this.selected),
          getTargetPosition: (position) => position,
          getColor: [...Taproom.colour("--colour-1"), 255],
          getWidth: 4,
        }),
        new Taproom.PointsLayer({
          id: `points-${this.dimension}`,
          data: {
            length: this.radii.length,
            attributes: {
              getPosition: { value: this.positions[this.dimension], size: 3 },
              getColour: { value: this.colours, size: 4, normalized: true },
              getRadius: { value: this.radii, size: 1 },
            },
          },
        }),
        new deck.ScatterplotLayer({
          id: `selected-${this.dimension}`,
          data: selected,
          parameters: { depthCompare: "always" }, // in front of all points, also in three dimensions
          getPosition: (index) => this.point(index),
          getRadius: (index) => (this.radii[index] ?? Taproom.PointMap.OWN_RADIUS) + (index === this.selected ? 4 : 2),
          getLineColor: [...ink, 255],
          getFillColor: (index) => [...Taproom.colour("--paper"), isOwn(index) ? 255 : 0],
          stroked: true,
          billboard: true,
          radiusUnits: "pixels",
          lineWidthUnits: "pixels",
          getLineWidth: (index) => (isOwn(index) ? 6 : index === this.selected ? 2.5 : 1.2),
          updateTriggers: { getRadius: this.selected, getLineWidth: this.selected },
        }),
      ],
    });
    this.drawLabels();
  }

  drawLabels() {
    const [viewport] = this.isLoaded ? this.deck.getViewports() : [];
    if (!viewport) return;
    const first = [this.pointed, this.selected, ...(this.selected < 0 ? [] : this.nearest)].filter(
      (index) => index >= 0,
    );
    this.labels.draw(viewport, this.positions[this.dimension], first, this.camera.zoom - this.wholeMap().zoom);
  }
};
