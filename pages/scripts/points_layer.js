// Points as discs, drawn by deck.gl as WebGL points. Its own ScatterplotLayer draws each one as an instance of a
// square: without a graphics card, a hundred thousand of these take two seconds a frame.
"use strict";

Taproom.PointsLayer = class extends deck.Layer {
  static layerName = "PointsLayer";

  static VERTEX_SHADER = `#version 300 es
    in vec3 positions;
    in float radii; // pixels
    in vec4 colours;
    out vec4 colour;
    out float size;
    void main() {
      geometry.worldPosition = positions;
      gl_Position = project_position_to_clipspace(positions, vec3(0.0), vec3(0.0), geometry.position);
      size = 2.0 * radii * project.devicePixelRatio + 1.0;
      gl_PointSize = size;
      colour = colours;
    }`;

  static FRAGMENT_SHADER = `#version 300 es
    precision highp float;
    in vec4 colour;
    in float size;
    out vec4 fragColor;
    void main() {
      float inside = size * (0.5 - length(gl_PointCoord - 0.5)); // pixels from the disc's edge
      if (inside <= 0.0) discard;
      fragColor = vec4(colour.rgb, colour.a * min(inside, 1.0));
    }`;

  getShaders() {
    const { VERTEX_SHADER: vs, FRAGMENT_SHADER: fs } = Taproom.PointsLayer;
    return super.getShaders({ vs, fs, modules: [deck.project32] });
  }

  initializeState() {
    const attributes = this.getAttributeManager();
    attributes.add({
      positions: { size: 3, accessor: "getPosition" },
      radii: { size: 1, accessor: "getRadius" },
      colours: { size: 4, type: "unorm8", accessor: "getColour" },
    });
    this.state.model = new luma.Model(this.context.device, {
      ...this.getShaders(),
      id: this.props.id,
      topology: "point-list",
      bufferLayout: attributes.getBufferLayouts(),
      isInstanced: false,
    });
  }

  draw() {
    const { model } = this.state;
    model.setVertexCount(this.props.data.length);
    model.setInstanceCount(0);
    model.draw(this.context.renderPass);
  }
};
