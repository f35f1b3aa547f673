// Small pictures on canvases: tiles of a sprite, filters, and maps of numbers. They are enlarged without smoothing.
"use strict";

Taproom.pixels = {
  // A canvas of a size in pixels of its picture, with a description.
  canvas(width, height, label) {
    return Taproom.element("canvas", { className: "pixels", width, height, role: "img", "aria-label": label });
  },

  // Paint a canvas pixel by pixel: `colourOf` gives [red, green, blue] of each place, row by row, or null for none.
  paint(canvas, colourOf) {
    const context = canvas.getContext("2d");
    const picture = context.createImageData(canvas.width, canvas.height);
    for (let place = 0; place < canvas.width * canvas.height; place++) {
      const colour = colourOf(place);
      if (colour) picture.data.set([...colour, 255], 4 * place);
    }
    context.putImageData(picture, 0, 0);
    return canvas;
  },

  // Colours of levels as taproom.pages.pictures_data packs them: 128 is 0, 255 the largest above it, 1 the largest below.
  signed() {
    const [paper, above, below] = ["--paper", "--colour-1", "--colour-0"].map(Taproom.colour);
    return (level) => Taproom.pixels.mixed(paper, level > 128 ? above : below, Math.abs(level - 128) / 127);
  },

  mixed(from, to, share) {
    return from.map((each, channel) => Math.round(each + share * (to[channel] - each)));
  },

  // The tiles of a sprite: a function that gives a canvas with one of them. The sprite is decoded once.
  tiles({ address, width, height, columns }) {
    const image = new Image();
    image.src = address;
    const isReady = image.decode();
    return (place, label) => {
      const made = Taproom.pixels.canvas(width, height, label);
      const [left, top] = [width * (place % columns), height * Math.floor(place / columns)];
      isReady.then(() => made.getContext("2d").drawImage(image, left, top, width, height, 0, 0, width, height));
      return made;
    };
  },
};
