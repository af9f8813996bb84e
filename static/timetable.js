// Keeps "on now" and "over" true while the page stays open, and opens this week at today on a narrow screen.
(function () {
  "use strict";

  function mark() {
    var now = Date.now() / 1000;
    document.querySelectorAll(".session:not(.is-cancelled)").forEach(function (session) {
      var over = Number(session.dataset.to) <= now;
      var on = !over && Number(session.dataset.from) <= now;
      session.classList.toggle("is-over", over);
      session.classList.toggle("is-on", on);
      session.querySelector(".over").hidden = !over;
      session.querySelector(".now").hidden = !on;
      var word = session.querySelector(".word");
      if (word) word.hidden = over;
    });
  }

  mark();
  setInterval(mark, 60000);

  var today = document.querySelector(".day.is-today");
  var fresh = performance.getEntriesByType("navigation").every(function (entry) {
    return entry.type === "navigate"; // Going back keeps the place that the reader left.
  });
  if (today && fresh && !location.hash && matchMedia("(max-width: 63.99rem)").matches) {
    (today.querySelector(".session:not(.is-over)") || today).scrollIntoView({ block: "center" });
  }
})();
