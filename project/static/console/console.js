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
