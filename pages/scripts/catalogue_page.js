// Search over tables and columns.
"use strict";

(() => {
  const [find, found, results, all] = ["find", "found", "results", "all"].map((id) => document.getElementById(id));
  const entries = Taproom.data.catalogue.tables
    .flatMap(({ table, grain, columns }) => [
      { table, column: "", text: grain },
      ...columns.map(([column, text]) => ({ table, column, text })),
    ])
    .map((entry, id) => ({ id, ...entry }));
  const index = new MiniSearch({
    fields: ["table", "column", "text"],
    tokenize: (text) => text.split(/[^\p{L}\p{N}]+/u), // names are words joined by underscores
    processTerm: (term) => Taproom.folded(term) || null,
    searchOptions: {
      prefix: true,
      fuzzy: (term) => (term.length > 3 ? 0.2 : false),
      combineWith: "AND",
      boost: { table: 3, column: 2 },
      boostDocument: (id) => (entries[id].column ? 1 : 2),
    },
  });
  index.addAll(entries);

  find.addEventListener("input", () => {
    const query = find.value.trim();
    const matches = query
      ? index
          .search(query)
          .slice(0, 30)
          .map(({ id }) => entries[id])
      : [];
    all.hidden = Boolean(query);
    found.textContent = query ? `${matches.length === 30 ? "The best 30" : matches.length} found` : "";
    results.replaceChildren(
      ...matches.map(({ table, column, text }) =>
        Taproom.element(
          "li",
          {},
          Taproom.element(
            "a",
            { href: `tables/${table}.html${column && `#${column}`}` },
            Taproom.element("code", {}, column ? `${table}.${column}` : table),
          ),
          ` ${text}`,
        ),
      ),
    );
  });
})();
