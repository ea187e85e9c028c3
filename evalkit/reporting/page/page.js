"use strict";
// Tables that sort and filter, the outcome and the worth that a reader asks about. Without it every word is there.
(function () {
  const make = (name, words, about) => Object.assign(document.createElement(name), { textContent: words }, about);
  const numeric = (words) => {
    const plain = words.replace(/\u2212/g, "-").replace(/,/g, "");
    const found = /^[^\d-]*(-?\d+(\.\d+)?)/.exec(plain);
    const times = /\d million/.test(plain) ? 1e6 : 1;
    return found && !/^[^\d-]*[A-Za-z]{2}/.test(plain) ? times * Number(found[1]) : NaN;
  };
  const before = (a, b) => {
    const x = numeric(a), y = numeric(b);
    if (isNaN(x) && isNaN(y)) return a.localeCompare(b, "en-GB");
    return isNaN(x) ? 1 : isNaN(y) ? -1 : x - y;
  };

  function asked(words, field, answer, part) {
    const whole = make("div", "", { className: "control" }), label = make("label", words);
    label.append(field);
    whole.append(label, " ", answer);
    part.before(whole);
  }

  function sortable(table) {
    const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = make("button", head.textContent, { type: "button", className: "sort" });
      head.textContent = "";
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const rows = [...body.rows].map((row) => [row.cells[column].textContent, row]);
        rows.sort((p, q) => (down ? -1 : 1) * before(p[0], q[0]));
        rows.forEach((pair) => body.append(pair[1]));
      });
    });
  }

  function filterable(table) {
    const field = make("input", "", { type: "search" });
    const count = make("output", "");
    asked("Show rows with ", field, count, table.closest(".scroll"));
    field.addEventListener("input", () => {
      const wanted = field.value.trim().toLowerCase(), rows = [...table.tBodies[0].rows];
      rows.forEach((row) => { row.hidden = !row.textContent.toLowerCase().includes(wanted); });
      const left = rows.filter((row) => !row.hidden).length;
      count.textContent = wanted ? left + " of " + rows.length + " rows" : "";
    });
  }

  function sliding(table) {
    const heads = [...table.tHead.rows[0].cells].slice(1).map((head) => head.textContent);
    const field = make("input", "", { type: "range", min: 0, max: heads.length - 1, step: 1 });
    const said = make("output", "");
    asked("If one more is worth ", field, said, table.closest(".scroll"));
    const show = () => {
      const at = Number(field.value);
      said.textContent = heads[at];
      field.setAttribute("aria-valuetext", heads[at]);
      [...table.rows].forEach((row) => [...row.cells].forEach((cell, k) => { cell.hidden = k > 0 && k !== at + 1; }));
    };
    field.value = Math.floor((heads.length - 1) / 2);
    field.addEventListener("input", show);
    show();
  }

  function choosing(parts) {
    const field = make("select", "");
    field.append(make("option", "All outcomes", { value: "-1" }));
    parts.forEach((part, k) => field.append(make("option", part.querySelector("h3").textContent, { value: String(k) })));
    asked("Outcome ", field, "", parts[0]);
    field.addEventListener("change", () => {
      const at = Number(field.value);
      parts.forEach((part, k) => { part.hidden = at >= 0 && k !== at; });
    });
  }

  function unfolding() {
    const folds = [...document.querySelectorAll("details.fold")];
    if (folds.length === 0) return;
    const button = make("button", "Open every section", { type: "button", className: "control" });
    folds[0].before(button);
    button.addEventListener("click", () => {
      const open = folds.some((fold) => !fold.open);
      folds.forEach((fold) => { fold.open = open; });
      button.textContent = open ? "Close every section" : "Open every section";
    });
  }

  const arrive = () => {
    let part = null;
    try { part = document.getElementById(decodeURIComponent(location.hash.slice(1))); } catch (_) { return; }
    for (let fold = part; fold; fold = fold.parentElement) { if (fold.tagName === "DETAILS") fold.open = true; }
    if (part && part.closest("details")) part.scrollIntoView();
  };
  [...document.querySelectorAll("table")].forEach((table) => {
    if (!table.tHead || !table.tBodies[0]) return;
    if (table.id === "worth-grid") { sliding(table); return; }
    const cards = table.classList.contains("cards") && matchMedia("(max-width: 640px)").matches;
    if (table.tBodies[0].rows.length > 2 && !cards) sortable(table);
    if (table.tBodies[0].rows.length > 9) filterable(table);
  });
  const sections = new Set([...document.querySelectorAll(".outcome")].map((part) => part.parentElement));
  sections.forEach((whole) => {
    const parts = [...whole.children].filter((part) => part.classList.contains("outcome"));
    if (parts.length > 1) choosing(parts);
  });
  unfolding();
  addEventListener("hashchange", arrive);
  arrive();
})();
