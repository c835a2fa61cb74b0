// Sorting and filtering of tables that are complete without it. No library, no network, nothing is stored.
"use strict";

const words = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
const cellText = (cell) => cell.textContent.trim().replace(/\s+/g, " ");
const rowsOf = (table) => [...table.tBodies[0].rows];

// Numbers stand in data-value, all else is compared as text.
function compare(one, other, column) {
  const [a, b] = [one.cells[column], other.cells[column]];
  const [x, y] = [a.dataset.value ?? "", b.dataset.value ?? ""];
  if (!x && !y) return words.compare(cellText(a), cellText(b));
  // What has no number stands below all that have.
  return (x ? Number(x) : -Number.MAX_VALUE) - (y ? Number(y) : -Number.MAX_VALUE);
}

function sortBy(table, column, heads) {
  const head = heads[column];
  const down = head.getAttribute("aria-sort") === "ascending";
  for (const other of heads) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const sorted = rowsOf(table).sort((one, other) => (down ? -1 : 1) * compare(one, other, column));
  table.tBodies[0].append(...sorted);
}

// Every head becomes a button, so that the keyboard reaches it.
function makeSortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => sortBy(table, column, heads));
  });
}

function makeFilter(form) {
  const rows = rowsOf(document.getElementById(form.dataset.table));
  const texts = new Map(rows.map((row) => [row, cellText(row).toLowerCase()]));
  const search = form.querySelector("input");
  const choices = [...form.querySelectorAll("select")];
  const told = form.querySelector("output");
  const apply = () => {
    const wanted = search.value.trim().toLowerCase();
    let count = 0;
    for (const row of rows) {
      const fits = (choice) => !choice.value || cellText(row.cells[choice.dataset.column]) === choice.value;
      row.hidden = !(texts.get(row).includes(wanted) && choices.every(fits));
      count += row.hidden ? 0 : 1;
    }
    told.value = `${count} of ${rows.length} rows`;
  };
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", apply);
  form.hidden = false;
  apply();
}

// What scrolls by itself must be reached by the keyboard; a folded part that an address points into must open.
const reach = (box) => {
  if (box.scrollHeight > box.clientHeight + 1 || box.scrollWidth > box.clientWidth + 1) box.tabIndex = 0;
};
const open = () => {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let part = target; part; part = part.parentElement) if (part.tagName === "DETAILS") part.open = true;
};

document.querySelectorAll("table.sortable").forEach(makeSortable);
document.querySelectorAll("form.filter").forEach(makeFilter);
document.querySelectorAll(".scroll, .long").forEach(reach);
document.addEventListener("toggle", (event) => event.target.querySelectorAll(".scroll, .long").forEach(reach), true);
window.addEventListener("hashchange", open);
open();
