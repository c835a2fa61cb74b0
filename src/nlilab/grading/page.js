// The grading page: shows one row at a time and sends each mark; goes on only when the server has it on disk.
// Every text of a row is set by textContent: whatever it holds, it is shown and never run.
"use strict";

const $ = (id) => document.getElementById(id);
const LETTERS = [..."efghijklmopqrstvwyz"]; // keys of labels from the tenth on: no grade, no command

let sample = null; // {grader, fixed, rows, grades, invalid}, rows in this grader's order
let seen = 0; // events that we know of; the server sends those after them
let marks = new Map(); // row id -> mark, in the order in which they were given
let at = 0; // the row on show; rows.length: the end
let chosen = {}; // {label, grade} of the row on show, not yet saved
let keys = new Map(); // key -> the button that it presses
let queue = Promise.resolve(); // one thing after the other, so that quick keys fall on the row that they are meant for

const then = (action) => (queue = queue.then(action).catch(tell));

function tell(error) {
  $("message").textContent = error.message;
  $("message").hidden = false;
}

function silent() {
  throw new Error("The server does not answer, so nothing is saved. Start `nlilab grade` again; open its new address.");
}

async function ask(path, body) {
  const response = await fetch(path, body && {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  }).catch(silent);
  if (!response.ok) throw new Error(await response.text());
  $("message").hidden = true;
  return response.json();
}

async function sync(event) {
  const found = await ask(`events?grader=${encodeURIComponent(sample.grader)}&seen=${seen}`, event);
  seen = found.seen;
  for (const event of found.events) {
    marks.delete(event.id);
    if (!event.undone) marks.set(event.id, event);
  }
}

async function enter(name) {
  const found = await ask(name ? `rows?grader=${encodeURIComponent(name)}` : "rows");
  for (const part of ["row", "done", "progress", "grader"]) $(part).hidden = true;
  $("who").hidden = Boolean(found.grader);
  if (!found.grader) return $("own").focus();
  [sample, seen, marks] = [found, 0, new Map()];
  if (!sample.fixed) localStorage.setItem("grader", sample.grader);
  await sync();
  $("name").textContent = sample.grader;
  $("other").hidden = sample.fixed;
  $("progress").hidden = $("grader").hidden = false;
  show(next(-1));
}

/** The first row after `place` that has no mark, from the beginning again after the last; rows.length where none is. */
function next(place) {
  const { rows } = sample;
  for (let step = 1; step <= rows.length; step++) {
    const other = (place + step + rows.length) % rows.length;
    if (!marks.has(rows[other].id)) return other;
  }
  return rows.length;
}

function show(place) {
  const { rows } = sample;
  at = Math.max(0, Math.min(place, rows.length));
  const row = rows[at];
  const mark = row && marks.get(row.id);
  $("bar").max = rows.length;
  $("bar").value = marks.size;
  $("count").textContent = `${marks.size} of ${rows.length}`;
  $("row").hidden = !row;
  $("done").hidden = Boolean(row);
  if (!row) {
    const left = rows.length - marks.size;
    $("end").textContent = left ? `The end; ${left} of ${rows.length} rows are not graded yet` : "All rows are graded";
    return $("end").focus();
  }
  chosen = mark ? { label: mark.label, grade: mark.grade } : {};
  $("note").value = mark ? mark.note : "";
  $("title").textContent = `Row ${at + 1}: ${row.title}${mark ? " (graded; change it and save)" : ""}`;
  $("fields").replaceChildren(...row.fields.flatMap(field));
  for (const shown of $("fields").querySelectorAll("p")) {
    if (shown.scrollHeight > shown.clientHeight) shown.tabIndex = 0; // so that keys can scroll it
  }
  choices(row);
  $("back").disabled = at === 0;
  $("undo").disabled = marks.size === 0;
  press();
  scrollTo(0, 0);
  $("title").focus({ preventScroll: true });
}

function element(tag, text, attributes = {}) {
  const made = document.createElement(tag);
  made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function field({ name, text }) {
  const id = `field-${name}`;
  const shown = element("p", text, { dir: "auto", role: "group", "aria-labelledby": id });
  if (name === "code") shown.className = "code";
  return [element("h3", name.replaceAll("_", " "), { id }), shown];
}

/** The buttons of a row's labels and of the grades, each with its key. */
function choices(row) {
  keys = new Map();
  const names = (index) => (index < 9 ? [String(index + 1)] : LETTERS.slice(index - 9, index - 8));
  const labels = row.labels.map((label, index) => choice("label", label, names(index)));
  labels.push(choice("label", { name: sample.invalid, means: "no label fits" }, ["0", "x"]));
  $("labels").replaceChildren(...labels);
  $("grades").replaceChildren(...sample.grades.map((grade) => choice("grade", grade, [grade.name.toLowerCase()])));
}

function choice(kind, { name, word, means }, names) {
  const button = element("button", "", { type: "button", "data-kind": kind, "data-name": name });
  const first = element("span", "");
  for (const key of names) {
    keys.set(key, button);
    first.append(element("kbd", key), " ");
  }
  first.append(element("bdi", word ?? name));
  button.append(first, " ", element("small", means));
  button.addEventListener("click", (event) => {
    // The second click of a double one, or one on a row that is gone by now, is not meant for the next row.
    if (event.detail < 2) then(() => button.isConnected && choose(button.dataset));
  });
  return button;
}

function press() {
  for (const button of document.querySelectorAll("#marks [data-kind]")) {
    button.setAttribute("aria-pressed", chosen[button.dataset.kind] === button.dataset.name);
  }
  $("save").disabled = !(chosen.label && chosen.grade);
}

async function choose({ kind, name }) {
  chosen[kind] = name;
  press();
  if (!marks.has(sample.rows[at].id)) await save(); // a row that has a mark is changed by Enter alone
}

async function save() {
  const row = sample.rows[at];
  if (!row || !chosen.label || !chosen.grade) return;
  await sync({ id: row.id, label: chosen.label, grade: chosen.grade, note: $("note").value.trim() });
  show(next(at));
  say(`Saved. ${$("count").textContent}.`);
}

async function undo() {
  const last = [...marks.keys()].pop();
  if (!last) return;
  await sync({ id: last, undone: true });
  show(sample.rows.findIndex((row) => row.id === last));
  say(`Taken back. ${$("count").textContent}.`);
}

const say = (text) => ($("said").textContent = text);
const move = (by) => sample && show(at + by);

const help = () => $("help").showModal();
const COMMANDS = {
  u: undo,
  Enter: save,
  ArrowLeft: () => move(-1),
  ArrowRight: () => move(1),
  n: () => $("note").focus(),
};

/** What a key does on the row that is on show by the time that its turn comes. */
function obey(key) {
  if (key in COMMANDS) return COMMANDS[key]();
  const button = !$("row").hidden && keys.get(key);
  if (button) return choose(button.dataset);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing || $("help").open) return;
  const { target } = event;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (target.matches("input")) return;
  if (target.matches("textarea")) {
    if (key === "Escape") $("title").focus();
    if (key !== "Enter" || event.shiftKey) return;
  }
  if (key === "?") return help();
  if (!sample || !$("who").hidden || (event.repeat && !key.startsWith("Arrow"))) return;
  // Enter presses the button that has the focus, unless that is pressed already.
  if (key === "Enter" && target.matches("button:not([aria-pressed=true])")) return;
  if (key in COMMANDS) event.preventDefault();
  then(() => obey(key));
});

$("who").addEventListener("submit", (event) => {
  event.preventDefault();
  then(() => enter($("own").value.trim().toLowerCase()));
});
const BUTTONS = { undo: "u", save: "Enter", back: "ArrowLeft", forward: "ArrowRight", again: "ArrowLeft" };
for (const [id, key] of Object.entries(BUTTONS)) {
  $(id).addEventListener("click", () => then(COMMANDS[key]));
}
$("ask").addEventListener("click", help);
$("other").addEventListener("click", () => {
  localStorage.removeItem("grader");
  then(() => enter());
});

history.replaceState(null, "", location.pathname); // the cookie has the token now; the address need not show it
then(async () => {
  try {
    await enter(localStorage.getItem("grader"));
  } catch (error) {
    if (!localStorage.getItem("grader")) throw error;
    localStorage.removeItem("grader");
    await enter();
  }
});
