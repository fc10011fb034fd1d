// Lists need the width: the sidebar starts closed, until its button is pressed for the first time.
"use strict";
if (localStorage.getItem("django.admin.navSidebarIsOpen") === null) {
  localStorage.setItem("django.admin.navSidebarIsOpen", "false");
}
