// Mixtures of Gaussians in two of their channels, and contours of densities.
"use strict";

Taproom.Gaussians = class {
  // `channels` are the places of its channels among those of the events.
  constructor(packed, channels) {
    this.weights = Taproom.numbers(packed.weights);
    this.means = Taproom.numbers(packed.means);
    this.covariances = Taproom.numbers(packed.covariances);
    this.channels = channels;
  }

  has(...channels) {
    return channels.every((channel) => this.channels.includes(channel));
  }

  // The marginal distribution in two channels: of means these two, of covariances the 2 x 2 block.
  marginal(xChannel, yChannel) {
    const [x, y, size] = [this.channels.indexOf(xChannel), this.channels.indexOf(yChannel), this.channels.length];
    return Array.from(this.weights, (weight, component) => {
      const covariance = (row, column) => this.covariances[(component * size + row) * size + column];
      return new Taproom.Gaussian(
        weight,
        [this.means[component * size + x], this.means[component * size + y]],
        [covariance(x, x), covariance(x, y), covariance(y, y)],
      );
    });
  }
};

Taproom.Gaussian = class {
  // `covariance` is [variance of x, covariance, variance of y].
  constructor(weight, mean, [xx, xy, yy]) {
    Object.assign(this, { weight, mean, covariance: [xx, xy, yy] });
    const determinant = xx * yy - xy * xy;
    this.precision = [yy / determinant, -xy / determinant, xx / determinant];
    this.logScale = Math.log(weight) - Math.log(2 * Math.PI) - Math.log(determinant) / 2;
  }

  // log(weight * N(x, y; mean, covariance))
  logDensity(x, y) {
    const [dx, dy] = [x - this.mean[0], y - this.mean[1]];
    const [xx, xy, yy] = this.precision;
    return this.logScale - (xx * dx * dx + 2 * xy * dx * dy + yy * dy * dy) / 2;
  }

  // Points of the ellipse at a distance of some standard deviations, by the Cholesky factor of the covariance.
  ellipse(deviations, points = 64) {
    const [xx, xy, yy] = this.covariance;
    const first = Math.sqrt(xx);
    const below = xy / first;
    const second = Math.sqrt(Math.max(yy - below * below, 0));
    return Array.from({ length: points + 1 }, (_, place) => {
      const angle = (2 * Math.PI * place) / points;
      const [u, v] = [deviations * Math.cos(angle), deviations * Math.sin(angle)];
      return [this.mean[0] + first * u, this.mean[1] + below * u + second * v];
    });
  }
};

// A grid of `points` in each direction over the ends of two axes; values are x by x.
Taproom.Grid = class {
  constructor(ends, points, values) {
    Object.assign(this, { ends, points, values });
  }

  at(axis, place) {
    const [low, high] = this.ends[axis];
    return low + ((high - low) * place) / (this.points[axis] - 1);
  }

  // For each point of a mixture's density the share of the probability where the density is higher.
  static enclosed(components, ends, size = 100) {
    const grid = new Taproom.Grid(ends, [size, size], new Float64Array(size * size));
    const density = grid.values.map((_, place) => {
      const [x, y] = [grid.at(0, Math.floor(place / size)), grid.at(1, place % size)];
      return components.reduce((sum, each) => sum + Math.exp(each.logDensity(x, y)), 0);
    });
    const total = density.reduce((sum, each) => sum + each, 0);
    let above = 0;
    for (const place of Uint32Array.from(density.keys()).sort((a, b) => density[b] - density[a])) {
      grid.values[place] = above / total;
      above += density[place];
    }
    return grid;
  }

  // Lines where the values cross a level, as [[x, y], [x, y]] for each cell that has one (marching squares).
  contour(level) {
    const found = [];
    const value = (column, row) => this.values[column * this.points[1] + row] - level;
    for (let column = 0; column + 1 < this.points[0]; column++) {
      for (let row = 0; row + 1 < this.points[1]; row++) {
        const corners = [
          [column, row],
          [column + 1, row],
          [column + 1, row + 1],
          [column, row + 1],
        ];
        const crossings = [];
        corners.forEach((from, place) => {
          const to = corners[(place + 1) % 4];
          const [a, b] = [value(...from), value(...to)];
          if (a < 0 === b < 0) return;
          const part = a / (a - b);
          crossings.push([0, 1].map((axis) => this.at(axis, from[axis] + part * (to[axis] - from[axis]))));
        });
        for (let place = 0; place + 1 < crossings.length; place += 2) found.push(crossings.slice(place, place + 2));
      }
    }
    return found;
  }
};
