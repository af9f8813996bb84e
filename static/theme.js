// Sets the remembered appearance before anything is painted, so that the page does not flash.
(function () {
  "use strict";
  var key = "callboard-theme";
  var root = document.documentElement;

  function remembered() {
    try {
      return localStorage.getItem(key) || "";
    } catch (refused) {
      return ""; // Storage may be blocked: the system's choice holds then.
    }
  }

  function apply(choice) {
    if (choice === "light" || choice === "dark") root.dataset.theme = choice;
    else delete root.dataset.theme;
  }

  apply(remembered());

  document.addEventListener("DOMContentLoaded", function () {
    var control = document.querySelector(".theme");
    if (!control) return;
    var buttons = control.querySelectorAll("button");
    function show(choice) {
      buttons.forEach(function (button) {
        button.setAttribute("aria-pressed", String(button.dataset.themeChoice === choice));
      });
    }
    control.hidden = false;
    show(remembered());
    control.addEventListener("click", function (event) {
      var choice = event.target.dataset.themeChoice;
      if (choice === undefined) return;
      apply(choice);
      show(choice);
      try {
        if (choice) localStorage.setItem(key, choice);
        else localStorage.removeItem(key);
      } catch (refused) {
        // Not remembered, but applied to this page.
      }
    });
  });
})();
