/* Draws each chart when it comes into view, sorts tables, lists the numbers behind a chart. Loads nothing. */
(() => {
  "use strict";
  const EDGES = 72; // pixels a chart needs beside its plot: labels on the left, half a label on the right
  const PLOT = 720; // width of a plot in the specifications
  const json = (element) => JSON.parse(element.textContent);
  const shared = json(document.querySelector('script[type="application/json"][data-holds="shared"]'));
  document.documentElement.classList.add("scripted");

  const unpacked = (column) => (Array.isArray(column) ? column : column.codes.map((code) => column.words[code]));
  const rows = (name) => {
    const columns = Object.entries(shared.datasets[name]).map(([field, column]) => [field, unpacked(column)]);
    const length = columns.length ? columns[0][1].length : 0;
    return Array.from({ length }, (_, i) => Object.fromEntries(columns.map(([field, values]) => [field, values[i]])));
  };
  const namesIn = (part, found = new Set()) => {
    if (part.data && part.data.name) found.add(part.data.name);
    for (const key of ["vconcat", "layer"]) for (const inner of part[key] || []) namesIn(inner, found);
    return found;
  };
  const specOf = (figure) => json(figure.querySelector('script[data-holds="chart"]'));

  const wrapped = (text, length) =>
    text.split(" ").reduce((lines, word) => {
      const longer = lines.length ? `${lines[lines.length - 1]} ${word}` : word;
      return lines.length && longer.length <= length ? [...lines.slice(0, -1), longer] : [...lines, word];
    }, []);
  const fitted = (part, width) => {
    const copy = { ...part };
    if (copy.width) copy.width = Math.max(120, width - (PLOT - copy.width));
    const length = Math.max(12, Math.floor(width / 7));
    if (typeof copy.title === "string") copy.title = wrapped(copy.title, length);
    else if (copy.title) copy.title = { ...copy.title, text: wrapped(copy.title.text, length) };
    for (const key of ["vconcat", "layer"]) if (copy[key]) copy[key] = copy[key].map((inner) => fitted(inner, width));
    return copy;
  };
  const refuse = () => Promise.reject(new Error("this page loads nothing"));

  const draw = async (figure) => {
    const box = figure.querySelector(".live");
    const width = figure.clientWidth - EDGES;
    if (figure.dataset.width === String(width) || width <= 0) return;
    figure.dataset.width = String(width);
    const spec = fitted(specOf(figure), width);
    spec.datasets = Object.fromEntries([...namesIn(spec)].map((name) => [name, rows(name)]));
    const legend = { ...shared.config.legend, columns: Math.max(1, Math.floor(width / 135)) };
    try {
      const { view } = await window.vegaEmbed(box, spec, {
        ast: true,
        renderer: "svg",
        actions: false,
        mode: "vega-lite",
        defaultStyle: false,
        tooltip: { disableDefaultStyle: true },
        config: { ...shared.config, legend, title: { ...shared.config.title, limit: width }, background: "transparent", font: getComputedStyle(document.body).fontFamily },
        loader: { load: refuse, sanitize: refuse, options: {} },
      });
      if (figure.view) figure.view.finalize();
      figure.view = view;
      figure.dataset.state = "live";
    } catch (error) {
      figure.dataset.state = "still";
      console.error(error);
    }
  };

  const figures = [...document.querySelectorAll("figure.chart")];
  const seen = new IntersectionObserver(
    (entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => draw(entry.target)),
    { rootMargin: "300px 0px" },
  );
  figures.forEach((figure) => seen.observe(figure));
  let pending = 0;
  window.addEventListener("resize", () => {
    clearTimeout(pending);
    pending = setTimeout(() => figures.filter((figure) => figure.dataset.state === "live").forEach(draw), 200);
  });
  window.addEventListener("beforeprint", () => figures.filter((figure) => !figure.querySelector(".still")).forEach(draw));

  const cell = (tag, text, name) => {
    const element = document.createElement(tag);
    element.textContent = text;
    if (name) element.className = name;
    return element;
  };
  const shown = (field, value) => {
    if (value === null || value === undefined) return "";
    if (typeof value !== "number") return String(value);
    return field.endsWith("_at") ? new Date(value).toISOString().slice(0, 19).replace("T", " ") : String(value);
  };
  const tableOf = (name) => {
    const data = rows(name);
    const fields = Object.keys(shared.datasets[name]).filter((field) => field !== "layer");
    const table = document.createElement("table");
    const head = table.createTHead().insertRow();
    fields.forEach((field) => head.append(cell("th", field.replaceAll("_", " "))));
    const body = table.createTBody();
    data.forEach((row) => {
      const line = body.insertRow();
      fields.forEach((field) => line.append(cell("td", shown(field, row[field]), typeof row[field] === "number" ? "n" : "")));
    });
    const scroll = document.createElement("div");
    scroll.className = "scroll";
    scroll.tabIndex = 0;
    scroll.append(table);
    return scroll;
  };
  document.querySelectorAll("details.behind").forEach((details) => {
    details.addEventListener(
      "toggle",
      () => namesIn(specOf(details.closest("figure"))).forEach((name) => details.append(tableOf(name))),
      { once: true },
    );
  });

  document.querySelectorAll("table.sortable").forEach((table) => {
    const key = (row, i) => {
      const at = row.cells[i];
      return at.dataset.key === undefined ? at.textContent : Number(at.dataset.key);
    };
    [...table.tHead.rows[0].cells].forEach((th, i) => {
      const button = cell("button", th.textContent);
      button.type = "button";
      th.replaceChildren(button);
      if (table.tBodies[0].rows[0] && table.tBodies[0].rows[0].cells[i].className === "n") th.className = "n";
      button.addEventListener("click", () => {
        const up = th.getAttribute("aria-sort") !== "ascending";
        [...table.tHead.rows[0].cells].forEach((other) => other.removeAttribute("aria-sort"));
        th.setAttribute("aria-sort", up ? "ascending" : "descending");
        const order = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
        const sorted = [...table.tBodies[0].rows].sort((a, b) => (up ? 1 : -1) * order(key(a, i), key(b, i)));
        table.tBodies[0].append(...sorted);
      });
    });
  });

  document.querySelectorAll(".scroll").forEach((box) => {
    if (box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight) box.tabIndex = 0;
  });

  const links = new Map([...document.querySelectorAll("nav.toc a")].map((link) => [link.hash.slice(1), link]));
  const reading = new IntersectionObserver(
    (entries) =>
      entries
        .filter((entry) => entry.isIntersecting)
        .forEach((entry) => {
          links.forEach((link) => link.removeAttribute("aria-current"));
          const link = links.get(entry.target.id);
          if (link) link.setAttribute("aria-current", "true");
        }),
    { rootMargin: "-15% 0px -75% 0px" },
  );
  document.querySelectorAll("main > section").forEach((section) => reading.observe(section));
})();
