// A table whose rows are estimates with their intervals: a name, the dot and its interval on a common axis, numbers.
"use strict";

// `rows` have a name, a value, and maybe low, high, a colour (a custom property), isBase (a hollow dot), and numbers:
// texts of further columns, or objects of a text and isBold. `columns` are the headings of these. `format` writes a value of
// the axis, which spans all intervals and `zero`, if that is given and marked.
Taproom.intervalTable = ({ caption, heading, rows, columns, format, zero }) => {
  const { element, text } = Taproom;
  const ends = rows.flatMap(({ value, low, high }) => [value, low ?? value, high ?? value]);
  const { share, ticks: marks } = Taproom.scale([...ends, zero], { count: 4 });
  const across = (value) => `${100 * share(value)}%`;

  function placed(className, left, width) {
    const made = element("span", { className });
    made.style.left = left;
    if (width) made.style.width = width;
    return made;
  }

  function plot({ value, low, high, colour = "--colour-0", isBase }) {
    const track = element("div", { className: "track" }, ...marks.map((mark) => placed("grid", across(mark))));
    if (zero !== undefined) track.append(placed("zero", across(zero)));
    track.style.setProperty("--shade", `var(${colour})`);
    if (value === null) return track;
    if (low !== null && low !== undefined) {
      track.append(placed("whisker", across(low), `${100 * (share(high) - share(low))}%`));
    }
    track.append(placed(isBase ? "dot hollow" : "dot", across(value)));
    return track;
  }

  const axis = element("div", { className: "track" });
  for (const mark of marks) {
    const label = placed("tick", across(mark));
    label.textContent = format(mark);
    axis.append(label);
  }
  return element(
    "table",
    { className: "intervals" },
    element("caption", {}, caption),
    element(
      "thead",
      {},
      element(
        "tr",
        {},
        element("th", { scope: "col" }, heading),
        element("td", { className: "plot", "aria-hidden": "true" }, axis),
        ...columns.map((name) => element("th", { scope: "col", className: "number" }, name)),
      ),
    ),
    element(
      "tbody",
      {},
      ...rows.map((row) => {
        const name = element("th", { scope: "row" }, text(row.name));
        if (row.note) name.append(element("span", { className: "quiet note" }, text(row.note)));
        return element(
          "tr",
          {},
          name,
          element("td", { className: "plot", "aria-hidden": "true" }, plot(row)),
          ...row.numbers.map((number) =>
            element("td", { className: number.isBold ? "number bold" : "number" }, number.text ?? number),
          ),
        );
      }),
    ),
  );
};
