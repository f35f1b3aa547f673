// The page of searches: a study and a search are chosen, and search methods compared. The address says which study.
"use strict";

(() => {
  const { studies, comparison, digits } = Taproom.data.searches;
  const byId = (id) => document.getElementById(id);
  if (studies.length) showStudies();
  if (comparison) {
    const [chart, legend, table] = ["comparison", "method-legend", "comparison-table"].map(byId);
    Taproom.searchComparison(comparison, { chart, legend, table });
  }
  if (digits) {
    const tile = Taproom.pixels.tiles(digits.sprite);
    byId("digits").append(...digits.labels.map((label, place) => tile(place, `A digit ${label}`)));
  }

  function showStudies() {
    const views = [new Taproom.StudyView(byId("study-view")), new Taproom.SearchView(byId("search-view"))];
    const [study, search] = ["study", "search"].map(byId);

    // A study with its newest search.
    function open(place) {
      study.value = place;
      const { searches } = studies[place];
      search.replaceChildren(
        ...searches.map(({ name, trials }, number) =>
          Taproom.element("option", { value: number }, `${name} (${trials.length} trials)`),
        ),
      );
      search.value = searches.length - 1;
      search.parentElement.hidden = searches.length < 2;
      for (const view of views) view.show(studies[place], searches.at(-1));
    }

    function follow() {
      const name = new URLSearchParams(location.hash.slice(1)).get("study");
      open(
        Math.max(
          0,
          studies.findIndex((each) => each.name === name),
        ),
      );
    }

    study.addEventListener("change", () => {
      open(Number(study.value));
      history.replaceState(null, "", `#${new URLSearchParams({ study: studies[study.value].name })}`);
    });
    search.addEventListener("change", () => {
      const chosen = studies[study.value];
      for (const view of views) view.show(chosen, chosen.searches[search.value]);
    });
    addEventListener("hashchange", follow);
    follow();
  }
})();
