// The page of cells: what is chosen, and the parts that show it.
"use strict";

(() => {
  const data = Taproom.data.cells;
  const events = new Taproom.CellEvents(data);
  const element = (id) => document.getElementById(id);
  const scatter = new Taproom.CellScatter(element("scatter"), data, events);
  const calls = data.calls && new Taproom.CellCalls(element("calls"), data);
  const shares = (data.shares || data.populations) && new Taproom.ShareChart(element("shares"), data);
  const parts = { picture: element("em"), likelihood: element("likelihood") };
  const em = element("em") && new Taproom.EmPlayer(parts, data, events);
  const plates = new Taproom.Plates(element("plates"), data.wells, choose);
  let well = -1;

  function options(select, entries) {
    select.replaceChildren(...entries.map(([value, text]) => Taproom.element("option", { value }, text)));
  }

  // A second click on a well shows all wells again.
  function choose(chosen) {
    well = chosen === well ? -1 : chosen;
    element("well").value = well;
    drawWell();
  }

  function drawWell() {
    plates.select(well);
    element("well-about").textContent = well < 0 ? "All wells. Choose one to see its events." : aboutWell(well);
    drawScatter();
    if (calls) element("calls-about").textContent = calls.draw(well);
    if (shares) drawShares();
  }

  // The two channels that are shown.
  function channels() {
    return [element("x-channel"), element("y-channel")].map((select) => Number(select.value));
  }

  function drawScatter() {
    const [x, y] = channels();
    const [colour, density] = [element("event-colour").value, element("density").value];
    const ellipses = element("ellipses").checked;
    element("scatter-about").textContent = scatter.draw({ well, x, y, colour, density, ellipses });
    element("event-key").replaceChildren(...Taproom.legend(scatter.key(colour, density)));
  }

  function drawShares() {
    const kind = element("share-kind").value;
    shares.draw(kind, well);
    const names = shares.names(kind).map((name, code) => [name, `dot ${Taproom.colourClass(code)}`]);
    element("share-key").replaceChildren(...Taproom.legend(names));
    element("share-about").textContent =
      kind === "classes"
        ? "A dot is the share, a line its bootstrap interval; a circle at 1 is the known class of a labelled well."
        : "A dot is the share of the well's events that most likely belong to the population.";
  }

  // What wells may be coloured by: `of` is a number from 0 to `highest`, null for none.
  const colourings = [
    ...(data.shares?.classes ?? []).map((name, code) =>
      colouring(`share of ${Taproom.isolated(name)}`, (each) => data.shares.share[each][code], Taproom.percent, 1),
    ),
    ...(data.calls ? ["ambiguous", "anomalous"] : []).map((name) =>
      colouring(`${name} events`, (each) => ratio(data.calls.counts[name][each], data.calls.counts.events[each])),
    ),
    colouring(
      "number of events",
      (each) => data.wells[each].events,
      (value) => Taproom.number(value),
    ),
  ];

  // Up to the largest number of all wells, unless `highest` is given.
  function colouring(text, of, format = Taproom.percent, highest = Math.max(...[...data.wells.keys()].map(of)) || 1) {
    return { text, of, format, highest };
  }

  function ratio(part, whole) {
    return whole ? part / whole : null;
  }

  function aboutWell(each) {
    const { text, of, format } = colourings[element("plate-colour").value];
    const value = of(each);
    const { plate, well: name, label, events: count } = data.wells[each];
    return (
      `${Taproom.isolated(name)} of ${Taproom.isolated(plate)}: ${Taproom.number(count, 9)} events, ` +
      `${label ? `label ${Taproom.isolated(label)}` : "no label"}; ${text}: ${value === null ? "none" : format(value)}`
    );
  }

  function paintPlates() {
    const { of, format, highest } = colourings[element("plate-colour").value];
    plates.paint(of, highest, aboutWell);
    const steps = Taproom.steps(highest, format).map((text, step) => [text, `square step-${step}`]);
    element("plate-key").replaceChildren(...Taproom.legend(steps));
    if (well >= 0) element("well-about").textContent = aboutWell(well);
  }

  function drawIteration() {
    const [fit, step] = [element("em-fit").value, Number(element("iteration").value)];
    element("em-about").textContent =
      em.draw(fit, step, channels()) +
      (fit === "mixture"
        ? " Events have the colour of the component that is most likely in these two channels, components that of their " +
          "population at the end; ellipses are at 1 and 2 standard deviations."
        : " Bars are the events, lines are both components and, thicker, their sum.");
    element("iteration-about").textContent = em.name(fit, step);
    element("iteration").setAttribute("aria-valuetext", em.name(fit, step));
  }

  function startEm() {
    options(element("em-fit"), em.fits());
    element("em-fit").addEventListener("change", () => rewind(0));
    element("iteration").addEventListener("input", drawIteration);
    element("play").addEventListener("click", play);
    rewind(0);
  }

  function rewind(step) {
    element("iteration").max = em.trace(element("em-fit").value).iterations.length - 1;
    element("iteration").value = step;
    drawIteration();
  }

  let timer = null;

  // Show one iteration a second, from the start if the last one is shown.
  function play() {
    const slider = element("iteration");
    if (timer === null && slider.value === slider.max) rewind(0);
    const wasPlaying = timer !== null;
    stop();
    if (wasPlaying) return;
    element("play").textContent = "Stop";
    timer = setInterval(() => {
      rewind(Number(slider.value) + 1);
      if (slider.value === slider.max) stop();
    }, 1000);
  }

  function stop() {
    clearInterval(timer);
    timer = null;
    element("play").textContent = "Play";
  }

  options(element("well"), [[-1, "all"], ...data.wells.map((each, place) => [place, `${each.plate} ${each.well}`])]);
  options(
    element("plate-colour"),
    colourings.map(({ text }, place) => [place, text]),
  );
  for (const [place, axis] of ["x-channel", "y-channel"].entries()) {
    options(
      element(axis),
      data.channels.map((name, channel) => [channel, name]),
    );
    element(axis).value = data.pair[place];
    element(axis).addEventListener("change", () => {
      drawScatter();
      if (em) drawIteration();
    });
  }
  options(element("event-colour"), scatter.colourings());
  options(element("density"), scatter.densities());
  for (const id of ["event-colour", "density", "ellipses"]) element(id).addEventListener("change", drawScatter);
  element("plate-colour").addEventListener("change", paintPlates);
  element("well").addEventListener("change", () => {
    well = Number(element("well").value);
    drawWell();
  });
  if (shares) {
    options(element("share-kind"), shares.kinds());
    element("share-kind").addEventListener("change", drawShares);
  }
  paintPlates();
  drawWell();
  if (em) startEm();
  // Charts are as wide as what is around them.
  let width = innerWidth;
  addEventListener("resize", () => {
    if (width === innerWidth) return;
    width = innerWidth;
    drawWell();
    if (em) drawIteration();
  });
  Taproom.page = { scatter, shares, em };
})();
