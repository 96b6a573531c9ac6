"use strict";
// Sorts, filters and hides what is on the page. Without it everything is there, in the order of the records' ranking.
(() => {
  const all = (selector, below = document) => [...below.querySelectorAll(selector)];
  const element = (name, properties = {}) => Object.assign(document.createElement(name), properties);
  const COLORS = 8;

  // Sorting: the exact values stand in data-value; a third press restores the order of the page.
  const keyOf = (row, place) => {
    const cell = row.cells[place];
    if (!cell) return null;
    if (cell.dataset.value !== undefined) return Number(cell.dataset.value);
    const text = cell.textContent.trim();
    if (!cell.classList.contains("number")) return text === "–" ? null : text.toLowerCase();
    const number = parseFloat(text.replace(/,/g, "").replace("−", "-").replace(/^[^\d.+-]*/, ""));
    return Number.isNaN(number) ? null : number;
  };
  const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b
    : String(a).localeCompare(String(b), undefined, { numeric: true }));
  const fold = (table) => {
    const limit = Number(table.dataset.shown);
    if (limit) [...table.tBodies[0].rows].forEach((row, at) => row.classList.toggle("rest", at >= limit && !row.dataset.kept));
  };
  const makeSortable = (table) => {
    const body = table.tBodies[0];
    const given = [...body.rows];
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, place) => {
      if (!head.textContent.trim()) return;
      const button = element("button", { type: "button", className: "sort" });
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const first = head.classList.contains("number") ? "descending" : "ascending";
        const second = first === "descending" ? "ascending" : "descending";
        const now = head.getAttribute("aria-sort");
        const next = now === first ? second : now === second ? null : first;
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        let rows = given;
        if (next) {
          head.setAttribute("aria-sort", next);
          const keyed = given.map((row) => [keyOf(row, place), row]);
          const known = keyed.filter(([key]) => key !== null && !Number.isNaN(key));
          known.sort(([a], [b]) => (next === "ascending" ? compare(a, b) : compare(b, a)));
          rows = [...known, ...keyed.filter((item) => !known.includes(item))].map(([, row]) => row);
        }
        body.append(...rows);
        fold(table);
      });
    });
  };
  all("table.sortable").forEach(makeSortable);

  // Choosing groups: a choice has a colour of its own; the filter hides every group that lacks one of its words.
  const tools = document.getElementById("tools");
  if (tools) {
    const choices = all("[data-choice]", tools).map((item) => ({
      place: item.dataset.choice, slot: item.dataset.slot, item, box: item.querySelector("input"),
      words: item.textContent.toLowerCase() + " " + item.title.toLowerCase(),
      color: item.dataset.color === undefined ? null : Number(item.dataset.color),
    }));
    const filter = tools.querySelector("input[type=search]");
    const onlyChosen = document.getElementById("only-chosen");
    const status = tools.querySelector("[role=status]");
    const sheet = document.head.appendChild(element("style"));
    const start = choices.map(({ color }) => color);
    const apply = () => {
      const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      const rules = [];
      let shown = 0;
      for (const choice of choices) {
        const { place, slot, box, color } = choice;
        const found = words.every((word) => choice.words.includes(word));
        const visible = found && (box.checked || !onlyChosen.checked);
        shown += visible;
        choice.item.hidden = !found;
        rules.push(`[data-group="${place}"]{--g${slot}:var(${color === null ? "--other" : `--c${color}`})}`);
        if (!visible) rules.push(`:is(tr,g,figure,div,.legend span)[data-group="${place}"]{display:none}`);
      }
      sheet.textContent = rules.join("\n");
      document.body.classList.toggle("filtered", words.length > 0 || onlyChosen.checked);
      const chosen = choices.filter(({ box }) => box.checked).length;
      status.textContent = `${shown} of ${choices.length} groups shown, ${chosen} coloured`;
    };
    const free = () => {
      const used = new Set(choices.map(({ color }) => color));
      return [...Array(COLORS).keys()].find((color) => !used.has(color)) ?? null;
    };
    choices.forEach((choice) => choice.box.addEventListener("change", () => {
      choice.color = choice.box.checked ? free() ?? Number(choice.slot) : null;
      apply();
    }));
    const setAll = (color) => {
      choices.forEach((choice, at) => {
        choice.color = color(choice, at);
        choice.box.checked = choice.color !== null;
      });
      apply();
    };
    filter.addEventListener("input", apply);
    onlyChosen.addEventListener("change", apply);
    document.getElementById("choose-none").addEventListener("click", () => setAll(() => null));
    document.getElementById("choose-best").addEventListener("click", () => {
      filter.value = "";
      onlyChosen.checked = false;
      setAll((_, at) => start[at]);
    });
    choices.forEach((choice, at) => { choice.box.checked = start[at] !== null; });
    filter.value = "";
    onlyChosen.checked = false;
    apply();
    tools.hidden = false;
    document.body.classList.add("has-tools");
  }

  // Pointing at a group in a figure lets the others step back; what its title says is shown by the browser.
  const pointed = document.head.appendChild(element("style"));
  document.addEventListener("pointerover", (event) => {
    const place = event.target.closest?.("figure svg [data-group]")?.dataset.group;
    const rule = place === undefined ? "" : `figure svg g[data-group]:not([data-group="${place}"]){opacity:.15}`;
    if (pointed.textContent !== rule) pointed.textContent = rule;
  });

  // Finding rows in a long table.
  all(".find").forEach((find) => {
    const box = find.querySelector("input");
    const status = find.querySelector("[role=status]");
    const table = document.getElementById(box.dataset.table);
    const rows = [...table.tBodies[0].rows].map((row) => [row, `${row.textContent} ${row.title}`.toLowerCase()]);
    box.value = "";
    box.addEventListener("input", () => {
      const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const [row, text] of rows) {
        const found = words.every((word) => text.includes(word));
        shown += found;
        row.classList.toggle("lacking", !found);
      }
      table.classList.toggle("searched", words.length > 0);
      status.textContent = words.length ? `${shown} of ${rows.length} found` : "";
    });
    find.hidden = false;
  });

  // A job's panel: closed by Escape, and the focus returns to where it was opened.
  let opener = null;
  const unfold = () => {  // a target inside a closed part, where the browser does not open it by itself
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const part = target?.closest("details");
    if (part && !part.open) part.open = true;
    part?.scrollIntoView();
    return Boolean(part);
  };
  unfold();
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.('a[href^="#job-"]');
    if (link) opener = link;
  });
  const panel = () => document.querySelector(".job:target");
  addEventListener("hashchange", () => {
    if (panel()) panel().focus();
    else if (unfold()) opener = null;
    else if (opener) { opener.focus(); opener = null; }
  });
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && panel()) panel().querySelector("a.close").click();
  });
})();
