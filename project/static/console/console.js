// Lists need the width: the sidebar starts closed, until its button is pressed for the first time.
"use strict";
if (localStorage.getItem("django.admin.navSidebarIsOpen") === null) {
  localStorage.setItem("django.admin.navSidebarIsOpen", "false");
}

// What is meant to be taken away gets a button that copies it; without a clipboard, it is selected.
document.addEventListener("DOMContentLoaded", () => {
  for (const text of document.querySelectorAll("textarea[data-copy]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "button";
    button.textContent = text.dataset.copy;
    const said = document.createElement("span");
    said.setAttribute("role", "status");
    button.addEventListener("click", async () => {
      text.select();
      try {
        await navigator.clipboard.writeText(text.value);
        said.textContent = " Copied.";
      } catch {
        said.textContent = " Selected: copy it with your keyboard.";
      }
    });
    text.after(button, said);
  }
});

// Every field has a name that is read out: in tables it is that of its column, and a date and its time are told apart.
const nameFields = () => {
  for (const cell of document.querySelectorAll(".tabular tbody td, #result_list tbody td")) {
    const kind = /\bfield-(\S+)/.exec(cell.className);
    const head = kind && cell.closest("table").querySelector(`th.column-${CSS.escape(kind[1])}`);
    const text = cell.classList.contains("delete") ? "Delete" : head ? head.textContent.trim().split("\n")[0] : "";
    const rows = [...cell.closest("table").querySelectorAll("tbody tr.form-row")];
    const number = rows.indexOf(cell.closest("tr")) + 1;
    for (const field of text ? cell.querySelectorAll("input:not([type=hidden]), select, textarea") : []) {
      if (!field.hasAttribute("aria-label")) field.setAttribute("aria-label", number ? `${text}, row ${number}` : text);
    }
  }
  for (const [kind, name] of [["vDateField", "Date"], ["vTimeField", "Time"]]) {
    for (const field of document.querySelectorAll(`input.${kind}`)) {
      if (!field.labels.length && !field.hasAttribute("aria-label")) field.setAttribute("aria-label", name);
    }
  }
  for (const select of document.querySelectorAll("select.admin-autocomplete")) {
    const told = select.getAttribute("aria-label") || (select.labels[0] && select.labels[0].textContent.trim().replace(/:$/, ""));
    const shown = select.nextElementSibling;
    if (!told || !shown || !shown.classList.contains("select2")) continue;
    for (const part of shown.querySelectorAll(".select2-selection, .select2-search__field")) part.setAttribute("aria-label", told);
  }
};
window.addEventListener("load", nameFields);
document.addEventListener("formset:added", () => setTimeout(nameFields));
