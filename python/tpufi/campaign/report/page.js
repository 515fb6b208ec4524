
// Sorts and filters tables; without it the page shows the same numbers.
"use strict";
const announce = (text) => {
  document.getElementById("announcement").textContent = text;
};

const keyOf = (row, place) => {
  const cell = row.cells[place];
  if (cell.dataset.key === undefined) return cell.textContent;
  return Number(cell.dataset.key === "inf" ? "Infinity" : cell.dataset.key);
};

const compare = (a, b) => {
  if (typeof a === "string") return a.localeCompare(b, "en", { numeric: true });
  // What is not known comes last, whichever way.
  if (Number.isNaN(a) || Number.isNaN(b)) return 0;
  return a - b;
};

const sort = (table, head) => {
  const place = head.cellIndex;
  const isNumber = head.classList.contains("number");
  const before = head.getAttribute("aria-sort");
  const first = isNumber ? "descending" : "ascending";
  const other = isNumber ? "ascending" : "descending";
  const order = before === first ? other : first;
  const sign = order === "ascending" ? 1 : -1;
  const body = table.tBodies[0];
  const pairs = Array.from(body.rows, (row) => [keyOf(row, place), row]);
  const isKnown = ([key]) => !Number.isNaN(key);
  const known = pairs.filter(isKnown).sort((a, b) => sign * compare(a[0], b[0]));
  const unknown = pairs.filter((pair) => !isKnown(pair));
  body.append(...[...known, ...unknown].map(([, row]) => row));
  for (const cell of table.tHead.rows[0].cells) cell.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", order);
  announce(`Sorted by ${head.textContent}, ${order}.`);
};

const addButtons = (table) => {
  for (const head of table.tHead.rows[0].cells) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    button.addEventListener("click", () => sort(table, head));
    head.replaceChildren(button);
  }
};

const addFilter = (table) => {
  const label = document.createElement("label");
  const field = document.createElement("input");
  label.className = "filter";
  label.textContent = "Rows with";
  field.type = "search";
  field.addEventListener("input", () => {
    const wanted = field.value.trim().toLowerCase();
    let shown = 0;
    for (const row of table.tBodies[0].rows) {
      row.hidden = !row.textContent.toLowerCase().includes(wanted);
      if (!row.hidden) shown += 1;
    }
    announce(`${shown} rows shown.`);
  });
  label.append(field);
  table.parentElement.before(label);
};

const addHint = (table) => {
  const region = table.parentElement;
  const hint = document.createElement("p");
  hint.className = "hint";
  hint.textContent = "Wider than the page: scroll the table sideways.";
  region.before(hint);
  // Tables within closed details have no width yet.
  new ResizeObserver(() => {
    hint.hidden = region.scrollWidth <= region.clientWidth;
  }).observe(region);
};

for (const table of document.querySelectorAll("table")) {
  const count = table.tBodies[0].rows.length;
  if (count > 2) addButtons(table);
  addHint(table);
  if (count > 12) addFilter(table);
}
