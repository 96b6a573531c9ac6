"use strict";
// Sorts, filters and hides what is on the page. Without it everything is there, in the order of the records' ranking.
(() => {
  const all = (selector, below = document) => [...below.querySelectorAll(selector)];
  const element = (name, properties = {}) => Object.assign(document.createElement(name), properties);
  const COLORS = 8;
  const jobsScript = document.getElementById("packed-jobs");

  // What a large page holds packed (gzip, base64); a browser that cannot unpack shows what is there without a script.
  const unpacked = async (script) => {
    const bytes = Uint8Array.from(atob(script.textContent), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  };
  const complete = async (table) => {  // the rows of a table that are packed beside it, once
    const script = table.parentElement.querySelector("script.packed");
    if (!script) return;
    script.remove();
    const rest = element("template", { innerHTML: await unpacked(script) });
    table.tBodies[0].append(rest.content);
  };

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
    let given = null;
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, place) => {
      if (!head.textContent.trim()) return;
      const button = element("button", { type: "button", className: "sort" });
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", async () => {
        await complete(table);
        given ??= [...body.rows];
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
  all("table.sortable").filter((table) => !jobsScript || table.id !== "job-table").forEach(makeSortable);
  all("script.packed").forEach((script) => {
    const table = script.parentElement.querySelector("table");
    const box = script.closest(".fold")?.querySelector(":scope > .more input");
    const part = script.closest("details");
    if (!table) return;
    box?.addEventListener("change", () => complete(table));
    if (!box) part?.addEventListener("toggle", () => complete(table));
  });

  // Choosing groups: a choice has a colour of its own; the filter hides every group that lacks one of its words.
  const tools = document.getElementById("tools");
  const startTools = async () => {
    const packed = tools.querySelector("script.packed");
    if (packed) packed.parentElement.innerHTML = await unpacked(packed);
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
    filter.addEventListener("input", () => {
      all("script.packed").forEach((script) => { const table = script.parentElement.querySelector("table"); if (table) complete(table); });
      apply();
    });
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
  };
  if (tools) startTools();

  // Pointing at a group in a figure lets the others step back; what its title says is shown by the browser.
  const pointed = document.head.appendChild(element("style"));
  document.addEventListener("pointerover", (event) => {
    const place = event.target.closest?.("figure svg [data-group]")?.dataset.group;
    const rule = place === undefined ? "" : `figure svg g[data-group]:not([data-group="${place}"]){opacity:.15}`;
    if (pointed.textContent !== rule) pointed.textContent = rule;
  });

  // Finding rows in a long table.
  all(".find").filter(() => !jobsScript).forEach((find) => {
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

  // The jobs of a large comparison: a table of pages over data in memory, and panels that are made when they are asked for.
  const makeJobs = async () => {
    const { parts, of_all: ofAll } = JSON.parse(await unpacked(jobsScript));
    const table = document.getElementById("job-table");
    const body = table.tBodies[0];
    const PER_PAGE = 100;
    const n = parts.reduce((sum, part) => sum + part.n, 0);
    // What the parts say, job by job: values are there as they are, or as the distinct ones and which of them each is.
    const values = (read) => parts.flatMap((part) => {
      const [distinct, places] = read(part) ?? [Array(part.n).fill(null)];
      return places ? places.map((place) => distinct[place]) : distinct;
    });
    const [names, facts, reasons, across, down, says, folders, files] =
      ["names", "facts", "reasons", "across", "down", "says", "folder", "files"].map((key) => values((part) => part[key]));
    const columns = ofAll.columns.map(([name, isNumber, isMinor], at) => ({
      name, isNumber, isMinor, text: values(({ text }) => text[at]), tone: values(({ tone }) => tone[at]),
      exact: parts[0].value[name] && values(({ value }) => value[name]),
    }));
    const settings = ofAll.settings.map((key, at) => [key, values(({ own }) => own[at])]);
    const titles = [...new Set(parts.flatMap(({ results }) => results.map(([title]) => title)))];
    const results = titles.map((title) => [title, values((part) => part.results.find(([found]) => found === title)?.[1])]);
    const groups = parts.flatMap((part, at) => Array(part.n).fill(ofAll.groups[at]));
    const groupTexts = new Map(ofAll.groups.map((group) => [group, element("template", { innerHTML: group[2] }).content.textContent]));
    const texts = [...Array(n).keys()].map((place) => [
      ...columns.map(({ text }) => text[place]), groupTexts.get(groups[place]),
    ].join(" ").toLowerCase());
    const number = (text) => {
      const found = parseFloat(text.replace(/,/g, "").replace("−", "-").replace(/^[^\d.+-]*/, ""));
      return Number.isNaN(found) ? null : found;
    };
    const keyed = ({ isNumber, text, exact }, place) => {
      if (exact) return exact[place] === null ? null : Number(exact[place]);
      const found = text[place];
      return isNumber ? number(found) : found === "–" ? null : found.toLowerCase();
    };
    const rowOf = (place) => {
      const [group, sign] = groups[place];
      const row = element("tr");
      if (group !== null) row.dataset.group = group;
      columns.forEach((column) => {
        const cell = row.insertCell();
        cell.className = `${column.isNumber ? "number" : ""}${column.isMinor ? " minor" : ""}`.trim();
        const text = element("span", { textContent: column.text[place], className: column.tone[place] });
        if (column.name !== "job") { cell.append(text); return; }
        const link = element("a", { href: `#job-${place}`, innerHTML: sign });
        (link.querySelector(".group > span") ?? link).append(text);
        cell.append(link);
      });
      return row;
    };
    const pages = document.getElementById("pages");
    const [previous, next] = pages.querySelectorAll("button");
    const status = pages.querySelector("[role=status]");
    let order = [...Array(n).keys()];
    let found = order;
    let page = 0;
    const draw = () => {
      const last = Math.max(Math.ceil(found.length / PER_PAGE) - 1, 0);
      page = Math.min(Math.max(page, 0), last);
      const shown = found.slice(page * PER_PAGE, (page + 1) * PER_PAGE);
      body.replaceChildren(...shown.map(rowOf));
      status.textContent = found.length ? `${page * PER_PAGE + 1}–${page * PER_PAGE + shown.length} of ${found.length.toLocaleString("en")} jobs` : "no job found";
      previous.disabled = page === 0;
      next.disabled = page === last;
    };
    const find = document.querySelector('.find input[data-table="job-table"]');
    const look = () => {
      const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
      found = words.length ? order.filter((place) => words.every((word) => texts[place].includes(word))) : order;
      page = 0;
      draw();
    };
    find.value = "";
    find.addEventListener("input", look);
    find.closest(".find").hidden = false;
    previous.addEventListener("click", () => { page -= 1; draw(); });
    next.addEventListener("click", () => { page += 1; draw(); });
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, place) => {
      const button = element("button", { type: "button", className: "sort" });
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const column = columns[place];
        const first = column.isNumber ? "descending" : "ascending";
        const second = column.isNumber ? "ascending" : "descending";
        const now = head.getAttribute("aria-sort");
        const wanted = now === first ? second : now === second ? null : first;
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        order = [...Array(n).keys()];
        if (wanted) {
          head.setAttribute("aria-sort", wanted);
          const keys = order.map((job) => keyed(column, job));
          const sign = wanted === "ascending" ? 1 : -1;
          const known = order.filter((job) => keys[job] !== null).sort((a, b) => sign * compare(keys[a], keys[b]));
          order = [...known, ...order.filter((job) => keys[job] === null)];
        }
        look();
      });
    });
    table.removeAttribute("data-shown");
    table.closest(".fold").querySelector(":scope > .more")?.remove();
    pages.hidden = false;
    draw();
    const listed = (title, pairs) => {
      const list = element("dl");
      pairs.forEach(([key, value]) => list.append(element("dt", { textContent: key }), element("dd", { textContent: value })));
      return pairs.length ? [element("h4", { textContent: title }), list] : [];
    };
    return (place) => {
      if (!(place >= 0 && place < n) || document.getElementById(`job-${place}`)) return;
      const panel = element("article", { className: "job", id: `job-${place}`, tabIndex: -1 });
      const heading = element("h3", { id: `job-${place}-name`, textContent: names[place] });
      panel.setAttribute("aria-labelledby", heading.id);
      panel.append(element("a", { className: "close", href: "#jobs", textContent: "Close" }), heading);
      panel.append(element("p", { className: "note", textContent: facts[place] }));
      panel.append(element("p", { innerHTML: groups[place][2] }));
      if (reasons[place]) {
        const code = element("code", { className: "bad", textContent: reasons[place] });
        panel.append(element("p"));
        panel.lastChild.append(code);
      }
      const pairs = (found) => found.map(([key, each]) => [key, each[place]]).filter(([, value]) => value !== null);
      panel.append(...listed("Settings that not all jobs share", pairs(settings)));
      panel.append(...listed("Results", pairs(results)));
      if (says[place]) {
        const svg = element("template", { innerHTML: "<svg><polyline/></svg>" }).content.firstChild;
        const line = svg.firstChild;
        const attributes = { class: "curve", viewBox: "0 0 240 60", preserveAspectRatio: "none", role: "img", "aria-label": says[place] };
        Object.entries(attributes).forEach(([key, value]) => svg.setAttribute(key, value));
        const heights = down[place].split(" ");
        line.setAttribute("points", across[place].split(" ").map((x, point) => `${x},${heights[point]}`).join(" "));
        panel.append(svg, element("p", { className: "note", textContent: says[place] }));
      }
      const folder = folders[place];
      if (folder) {
        const [, ...pictures] = files[place];
        pictures.forEach((name) => {
          const link = element("a", { href: `${folder}/${name}` });
          link.append(element("img", { loading: "lazy", src: link.href, alt: `${decodeURIComponent(name)}, in the run's folder` }));
          panel.append(link);
        });
        const note = element("p", { className: "note", textContent: "In the run's folder: " });
        files[place].forEach((name, file) => note.append(file ? ", " : "", element("a", { href: `${folder}/${name}`, textContent: decodeURIComponent(name) })));
        panel.append(note);
      }
      document.getElementById("jobs").append(panel);
    };
  };
  const jobs = jobsScript ? makeJobs() : null;
  const ensured = async (hash) => {  // the panel that a link leads to, which is styled as a target only if it is there
    const place = /^#job-(\d+)$/.exec(hash)?.[1];
    if (!jobs || place === undefined || document.getElementById(hash.slice(1))) return false;
    (await jobs)(Number(place));
    return true;
  };
  if (jobs && location.hash.startsWith("#job-")) {
    const { hash } = location;
    ensured(hash).then(() => { location.hash = "#jobs"; location.hash = hash; });
  }
  document.addEventListener("click", async (event) => {
    const link = jobs && event.target.closest?.('a[href^="#job-"]');
    if (!link || document.getElementById(link.hash.slice(1))) return;
    event.preventDefault();
    await ensured(link.hash);
    location.hash = link.hash;
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
