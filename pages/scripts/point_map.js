// A map of points in two or three dimensions, drawn by deck.gl, with labels, buttons and a selected point whose lines
// lead to its nearest ones. Without WebGL it is a picture.
"use strict";

Taproom.PointMap = class {
  static FLIGHT_MS = 700;
  static CLOSE = 2; // how far a flight zooms in, as a power of two

  // `positions` has, by dimension, three coordinates a point; `radii` are in pixels; `choose` is called with the index of
  // a point that was clicked, `moved` when the view has changed.
  constructor(container, { positions, names, radii, choose, moved }) {
    Object.assign(this, { container, positions, radii, choose, moved });
    this.dimension = 2;
    this.selected = -1;
    this.nearest = [];
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
      pickingRadius: 6,
      layers: [],
      getCursor: ({ isDragging, isHovering }) => (isDragging ? "grabbing" : isHovering ? "pointer" : "grab"),
      getTooltip: ({ index, layer }) => (layer && index >= 0 ? { text: names[index] } : null),
      onClick: ({ index, layer }) => layer && index >= 0 && this.choose(index),
      onViewStateChange: ({ viewState }) => this.onCamera(viewState),
      onResize: () => this.onCamera(this.camera),
      onLoad: () => this.onLoad(),
    });
    this.labels = new Taproom.Labels(container, names);
    this.addButtons();
  }

  static hasWebGL() {
    return Boolean(document.createElement("canvas").getContext("webgl2"));
  }

  showPicture() {
    this.container.classList.add("without-webgl");
    this.container.append(
      Taproom.element("p", { className: "notice", role: "status" },
        "This browser has no WebGL, so the map cannot be moved. Search works, and this is a picture of the map:"),
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
    const extent = this.positions[this.dimension].reduce((most, each) => Math.max(most, Math.abs(each)), 1e-6);
    const zoom = Math.log2(Math.max(1, Math.min(clientWidth, clientHeight)) / (2.1 * extent));
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

  // Select a point and those that lines lead to; -1 selects none.
  select(index, nearest = []) {
    this.selected = index;
    this.nearest = nearest;
    this.draw();
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
      initialViewState: { ...camera, looks: this.looks, ...(isFlight ? { transitionDuration, transitionInterpolator } : {}) },
    });
    if (!isFlight) this.onCamera(camera);
  }

  point(index) {
    return this.positions[this.dimension].subarray(3 * index, 3 * index + 3);
  }

  draw() {
    if (!this.isLoaded) return;
    const ink = Taproom.colour("--ink");
    const selected = this.selected < 0 ? [] : [this.selected, ...this.nearest];
    this.deck.setProps({
      layers: [
        new deck.LineLayer({
          id: "lines",
          data: this.selected < 0 ? [] : this.nearest,
          getSourcePosition: () => this.point(this.selected),
          getTargetPosition: (index) => this.point(index),
          getColor: [...ink, 140],
          getWidth: 1.5,
        }),
        new deck.ScatterplotLayer({
          id: `points-${this.dimension}`,
          data: {
            length: this.radii.length,
            attributes: {
              getPosition: { value: this.positions[this.dimension], size: 3 },
              getFillColor: { value: this.colours, size: 4, normalized: true },
              getRadius: { value: this.radii, size: 1 },
            },
          },
          radiusUnits: "pixels",
          billboard: true,
          pickable: true,
          autoHighlight: true,
          highlightColor: [...ink, 160],
        }),
        new deck.ScatterplotLayer({
          id: "selected",
          data: selected,
          parameters: { depthCompare: "always" }, // in front of all points, also in three dimensions
          getPosition: (index) => this.point(index),
          getRadius: (index) => this.radii[index] + (index === this.selected ? 4 : 2),
          getLineColor: [...ink, 255],
          filled: false,
          stroked: true,
          billboard: true,
          radiusUnits: "pixels",
          lineWidthUnits: "pixels",
          getLineWidth: (index) => (index === this.selected ? 2.5 : 1.2),
          updateTriggers: { getRadius: this.selected, getLineWidth: this.selected },
        }),
      ],
    });
    this.drawLabels();
  }

  drawLabels() {
    const [viewport] = this.isLoaded ? this.deck.getViewports() : [];
    if (!viewport) return;
    const first = this.selected < 0 ? [] : [this.selected, ...this.nearest];
    this.labels.draw(viewport, this.positions[this.dimension], first, this.camera.zoom - this.wholeMap().zoom);
  }
};
