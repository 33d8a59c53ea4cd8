// Keys, the browser's time zone, and forms that are sent once. Every page works without it.
"use strict";

const CHORD_MS = 1000;
const MOST_IN_A_CARD = 9;
const NOTHING = ["", "\u2013"];

const help = document.querySelector("#help");
let goesAt = 0;

function isTyping(target) {
  return target.closest("input, textarea, select, [contenteditable]") !== null;
}

// The links of the navigation say which letter leads to them.
function placeOf(key) {
  return [...document.querySelectorAll("[data-key]")].find((link) => link.dataset.key === key);
}

function onKey(event) {
  // Who is in the empty search box already, and presses its key all the same, does not search for it.
  if (event.key === "/" && event.target.id === "q" && event.target.value === "") event.preventDefault();
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  const goes = event.timeStamp - goesAt < CHORD_MS;
  goesAt = 0;
  if (event.key === "/") {
    const box = document.querySelector("#q");
    if (!box) return;
    event.preventDefault();
    box.focus();
    box.select();
  } else if (event.key === "?") {
    help?.showModal();
  } else if (event.key === "g") {
    goesAt = event.timeStamp;
  } else if (goes) {
    placeOf(event.key)?.click();
  }
}

document.addEventListener("keydown", onKey);

for (const button of document.querySelectorAll("[data-help]")) {
  button.hidden = false;
  button.addEventListener("click", () => help.showModal());
}

// On a small screen a row is a card, whose cells say what the head of their column does. Wider tables
// are for comparing figures: these scroll, as all do without this script.
function makeCards() {
  for (const table of document.querySelectorAll(".scroll > table:not(.cards)")) {
    const heads = [...table.tHead.rows[0].cells].map((head) => head.textContent.trim());
    if (heads.length > MOST_IN_A_CARD) continue;
    table.classList.add("cards");
    for (const cell of table.querySelectorAll("tbody > tr > *")) {
      cell.dataset.head = heads[cell.cellIndex] ?? "";
      cell.classList.toggle("bare", NOTHING.includes(cell.textContent.trim()) && !cell.querySelector("input"));
    }
  }
}

makeCards();
document.addEventListener("htmx:after:settle", makeCards);

// On a small screen the navigation is wider than the page.
document.querySelector(".top nav [aria-current]")?.scrollIntoView({ inline: "center", block: "nearest" });

for (const form of document.querySelectorAll("[data-zone]")) {
  form.elements.time_zone.value = Intl.DateTimeFormat().resolvedOptions().timeZone ?? "";
}

for (const link of document.querySelectorAll("[data-zone-link]")) {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone ?? "";
  const given = new URLSearchParams(link.search);
  given.set("time_zone", zone);
  link.search = given;
}

for (const reader of document.querySelectorAll("[data-reads]")) {
  reader.hidden = false;
  reader.addEventListener("change", async (event) => {
    document.getElementById(reader.dataset.reads).value = await event.target.files[0].text();
  });
}

// What is about to be confirmed is what was shown: after another choice it has to be shown again.
for (const form of document.querySelectorAll("[data-shows]")) {
  form.addEventListener("input", () => {
    for (const button of document.querySelectorAll("form.confirm button")) button.disabled = true;
  });
}

for (const form of document.querySelectorAll("[data-once]")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
  });
}

// A page that the browser kept is as it was before the form was sent.
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("[data-sent]")) delete form.dataset.sent;
  for (const button of document.querySelectorAll("form.confirm button")) button.disabled = false;
});
