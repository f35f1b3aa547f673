// EM after some of its iterations: the mixture over events of all wells, or two components in one channel.
"use strict";

Taproom.EmPlayer = class {
  static #DOTS = 3000;
  static #BINS = 60;

  constructor({ picture, likelihood }, data, events) {
    Object.assign(this, { picture, likelihood, data, events });
    this.mixtures = data.trace?.mixtures.map((each) => new Taproom.Gaussians(each, data.mixture.channels));
  }

  fits() {
    const { trace, mixture, two_components: two } = this.data;
    const found = [];
    if (trace && mixture) found.push(["mixture", `mixture of ${mixture.groups.length} components, all channels`]);
    if (two) found.push(["two", `two components in ${two.name}`]);
    return found;
  }

  trace(fit) {
    return fit === "two" ? this.data.two_components : this.data.trace;
  }

  // The name of a picture: iterations are numbered, 0 is the start.
  name(fit, step) {
    const iteration = this.trace(fit).iterations[step];
    return iteration === 0 ? "start" : `iteration ${iteration}`;
  }

  draw(fit, step, channels) {
    const { iterations, log_likelihood: values } = this.trace(fit);
    this.#likelihood(values, iterations[step]);
    if (fit === "two") this.#two(step);
    else this.#mixture(step, channels);
    return `Log-likelihood of all events ${Taproom.number(values[iterations[step]], 8)} nats.`;
  }

  // Events by the component that is the most likely one in these two channels; colours are those of populations.
  #mixture(step, [x, y]) {
    const mixture = this.mixtures[step];
    const [xName, yName] = [x, y].map((channel) => Taproom.isolated(this.data.channels[channel]));
    this.chart = new Taproom.Chart(this.picture, {
      label: `Events in ${xName} and ${yName} with components, ${this.name("mixture", step)}`,
      x: { ends: this.events.ends(x), title: xName, format: Taproom.number },
      y: { ends: this.events.ends(y), title: yName, format: Taproom.number },
      height: Math.min(440, Math.max(280, this.picture.clientWidth * 0.8)),
    });
    if (!mixture.has(x, y)) return;
    const components = mixture.marginal(x, y);
    const colourOf = (place) => Taproom.colourClass(this.data.mixture.groups[place]);
    const found = Map.groupBy(
      this.events
        .measured(this.events.of(-1, this.constructor.#DOTS), x, y)
        .map((event) => [this.events.value(event, x), this.events.value(event, y)]),
      (point) => colourOf(Taproom.mostLikely(components, point)),
    );
    for (const [colour, points] of found) this.chart.points(points, colour);
    Taproom.drawComponents(this.chart, components, colourOf);
  }

  // A histogram of the shown events, with the density of both components and of their sum.
  #two(step) {
    const { channels, weight, mean, variance } = this.data.two_components;
    const [channel] = channels;
    const name = Taproom.isolated(this.data.two_components.name);
    const density = (place, value) =>
      (weight[step][place] * Math.exp(-((value - mean[step][place]) ** 2) / (2 * variance[step][place]))) /
      Math.sqrt(2 * Math.PI * variance[step][place]);
    const ends = channel < 0 ? this.#around(mean, variance) : this.events.ends(channel);
    const at = Array.from({ length: 200 }, (_, place) => ends[0] + ((ends[1] - ends[0]) * place) / 199);
    const bars = channel < 0 ? [] : this.#histogram(channel, ends);
    const curves = [0, 1].map((place) => at.map((value) => [value, density(place, value)]));
    const sum = at.map((value, place) => [value, curves[0][place][1] + curves[1][place][1]]);
    const highest = Math.max(...bars, ...sum.map(([, value]) => value));
    this.chart = new Taproom.Chart(this.picture, {
      label: `Events in ${name} with two components, ${this.name("two", step)}`,
      x: { ends, title: name, format: Taproom.number },
      y: { ends: [0, 1.08 * highest], title: "probability density", format: Taproom.number },
      height: Math.min(440, Math.max(280, this.picture.clientWidth * 0.8)),
    });
    const width = this.chart.inner.width / bars.length;
    bars.forEach((value, bin) => {
      const top = this.chart.y(value);
      this.chart.add("rect", { x: bin * width, y: top, width, height: this.chart.y(0) - top, class: "bar faint" });
    });
    this.chart.line(sum, "sum");
    curves.forEach((curve, place) => this.chart.line(curve, `ellipse ${Taproom.colourClass(place)}`));
    mean[step].forEach((value, place) => {
      const y = this.chart.y(density(place, value));
      this.chart.add("text", { x: this.chart.x(value), y: Math.max(14, y - 5), class: "component" }, String(place));
    });
  }

  // The ends of an axis around both components, where the wells no longer have the channel.
  #around(mean, variance) {
    const reach = variance
      .flat()
      .map(Math.sqrt)
      .map((deviation) => 3 * deviation);
    const means = mean.flat();
    return [Math.min(...means.map((each, i) => each - reach[i])), Math.max(...means.map((each, i) => each + reach[i]))];
  }

  // The density of the shown events in each of some bins.
  #histogram(channel, [low, high]) {
    const bins = new Array(this.constructor.#BINS).fill(0);
    const events = this.events.measured(this.events.of(-1, Infinity), channel);
    for (const event of events) {
      const bin = Math.floor(((this.events.value(event, channel) - low) / (high - low)) * bins.length);
      if (bin >= 0 && bin < bins.length) bins[bin] += 1;
    }
    return bins.map((count) => (count * bins.length) / (events.length * (high - low)));
  }

  #likelihood(values, iteration) {
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const room = 0.06 * (high - low || 1);
    const chart = new Taproom.Chart(this.likelihood, {
      label: `Log-likelihood after each iteration; marked: ${iteration}`,
      x: {
        ends: [-0.03 * values.length, 1.02 * Math.max(1, values.length - 1)],
        title: "iteration",
        format: Taproom.number,
      },
      y: {
        ends: [low - room, high + room],
        title: "log-likelihood, nats",
        format: (value) => Taproom.number(value, 9),
      },
      height: Math.min(440, Math.max(220, this.likelihood.clientWidth * 0.8)),
      left: 82,
    });
    chart.line(
      values.map((value, place) => [place, value]),
      "likelihood",
    );
    const mark = chart.add("circle", { cx: chart.x(iteration), cy: chart.y(values[iteration]), r: 6, class: "marked" });
    Object.assign(mark.dataset, { iteration, value: values[iteration] });
  }
};

// The component under which a point is most likely.
Taproom.mostLikely = (components, [x, y]) => {
  let [best, highest] = [0, -Infinity];
  components.forEach((each, place) => {
    const value = each.logDensity(x, y);
    if (value > highest) [best, highest] = [place, value];
  });
  return best;
};
