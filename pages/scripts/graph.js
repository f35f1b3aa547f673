// Graphs of tables: of the one that is pointed at or has the focus, all that it is made from and all that is made from it
// stand out.
"use strict";

for (const graph of document.querySelectorAll("svg.graph")) {
  const lines = [...graph.querySelectorAll("path")];
  const boxes = [...graph.querySelectorAll("a")];

  // The tables that lines lead to from `table`, itself first; `from` and `to` are the names of the lines' ends.
  const reached = (table, from, to) => {
    const found = new Set([table]);
    for (const name of found) {
      for (const { dataset } of lines) if (dataset[from] === name) found.add(dataset[to]);
    }
    return found;
  };

  const trace = (table) => {
    const before = reached(table, "end", "start");
    const after = reached(table, "start", "end");
    const isRelated = (start, end) => (before.has(start) && before.has(end)) || (after.has(start) && after.has(end));
    graph.classList.add("traced");
    for (const box of boxes) box.classList.toggle("related", isRelated(box.dataset.table, box.dataset.table));
    for (const line of lines) line.classList.toggle("related", isRelated(line.dataset.start, line.dataset.end));
  };

  for (const box of boxes) {
    for (const event of ["pointerenter", "focus"]) box.addEventListener(event, () => trace(box.dataset.table));
    for (const event of ["pointerleave", "blur"]) box.addEventListener(event, () => graph.classList.remove("traced"));
  }
}
