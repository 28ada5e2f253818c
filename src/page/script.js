(() => {
  "use strict";
  const every = 15000;
  const one = (selector, root = document) => root.querySelector(selector);
  const button = one("#refresh");
  const filter = one("#q");
  let paused = false;
  let timer = 0;
  let asked = 0;

  // some browsers forget that a table is one where it is laid out as cards
  const roles = () => {
    const give = (selector, role) => document.querySelectorAll(selector).forEach((e) => e.setAttribute("role", role));
    give("table", "table");
    give("thead,tbody", "rowgroup");
    give("tr", "row");
    give("td", "cell");
    give("th[scope=col]", "columnheader");
    give("th[scope=row]", "rowheader");
  };

  const sift = () => {
    if (!filter) return;
    const wanted = filter.value.trim().toLowerCase();
    const rows = document.querySelectorAll(".tables tbody tr");
    let shown = 0;
    rows.forEach((row) => {
      const name = one("th", row).textContent.toLowerCase();
      const state = one(".s", row).textContent;
      row.hidden = !(name.includes(wanted) || state.includes(wanted));
      if (!row.hidden) shown += 1;
    });
    const all = rows.length === 1 ? "1 table" : `${rows.length.toLocaleString("en")} tables`;
    const said = wanted ? `${shown} of ${all}` : all;
    if (one("#shown").textContent !== said) one("#shown").textContent = said;
  };

  const address = (q) => {
    const url = new URL(location.href);
    if (q) url.searchParams.set("q", q);
    else url.searchParams.delete("q");
    return url;
  };

  // where the focus is, so that it is there again
  const place = () => {
    const at = document.activeElement;
    if (!at || !at.closest("[data-live]")) return () => {};
    const found = () => {
      if (at.id) return document.getElementById(at.id);
      const href = at.getAttribute("href");
      return [...document.querySelectorAll("[data-live] a")].find((a) => a.getAttribute("href") === href);
    };
    return () => {
      const again = found();
      if (again) again.focus({ preventScroll: true });
    };
  };

  const refresh = async (say) => {
    const mine = (asked += 1);
    const url = address("");
    url.hash = "";
    try {
      const answer = await fetch(url, { cache: "no-store", redirect: "error" });
      if (!answer.ok) throw new Error(`the answer is ${answer.status}`);
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (mine !== asked) return;
      const back = place();
      document.querySelectorAll("[data-live]").forEach((old) => {
        const live = one(`[data-live="${old.dataset.live}"]`, fresh);
        if (live && live.innerHTML !== old.innerHTML) old.replaceChildren(...live.childNodes);
      });
      document.title = fresh.title;
      roles();
      sift();
      back();
    } catch (error) {
      const seen = one('[data-live="seen"]');
      const told = one("b", seen) || seen.appendChild(document.createElement("b"));
      told.textContent = `not refreshed: ${error.message}`;
    }
    if (say) plan();
  };

  const plan = () => {
    clearTimeout(timer);
    if (!paused && !document.hidden) timer = setTimeout(() => refresh(true), every);
  };

  roles();
  document.querySelectorAll("[data-plain]").forEach((e) => (e.hidden = true));
  button.hidden = false;
  button.title = "The page is read again every 15 seconds";
  button.addEventListener("click", () => {
    paused = !paused;
    button.textContent = paused ? "Resume" : "Pause";
    if (paused) plan();
    else refresh(true);
  });
  document.addEventListener("visibilitychange", () => (document.hidden || paused ? plan() : refresh(true)));

  if (filter) {
    filter.addEventListener("input", () => {
      sift();
      history.replaceState(null, "", address(filter.value.trim()));
    });
    filter.form.addEventListener("submit", (event) => event.preventDefault());
    // the server has left out what does not match
    if (filter.value) refresh(false);
  }
  document.addEventListener("click", (event) => {
    const link = event.target.closest("thead a");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const url = new URL(link.href);
    url.hash = "";
    history.replaceState(null, "", url);
    if (filter) history.replaceState(null, "", address(filter.value.trim()));
    refresh(true);
  });
  plan();
})();
