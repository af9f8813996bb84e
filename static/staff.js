// The staff pages' conveniences: saving in place, live progress, testing a connection. Everything works without them.
(function () {
  "use strict";

  var POLL_MS = 700;
  var PARTS = ["members-see", "source", "sync", "changes"];
  var pause;

  function token(form) {
    return form.querySelector("input[name=csrfmiddlewaretoken]").value;
  }

  function send(address, form, body) {
    return fetch(address, {
      method: "POST",
      credentials: "same-origin",
      headers: { "Content-Type": "application/json", "X-CSRFToken": token(form) },
      body: JSON.stringify(body),
    }).then(function (answer) {
      return answer.json().then(function (said) {
        if (!answer.ok) throw new Error(said.message);
        return said;
      });
    });
  }

  function words(error, otherwise) {
    // A network failure carries the browser's own words, which help nobody.
    return error instanceof TypeError || error instanceof SyntaxError || !error.message ? otherwise : error.message;
  }

  function say(text, failed) {
    var place = document.getElementById("said");
    place.classList.toggle("failed", Boolean(failed));
    place.textContent = text;
    if (text) place.scrollIntoView({ block: "nearest" });
  }

  function busy(button, on) {
    if (on) button.dataset.idle = button.textContent;
    button.textContent = on ? button.dataset.busy : button.dataset.idle;
    button.disabled = on;
    button.setAttribute("aria-busy", String(on));
  }

  // Takes the parts of the page that a change concerns from the server anew; what is being typed stays.
  function renew(parts) {
    return fetch(location.pathname, { credentials: "same-origin" })
      .then(function (answer) {
        return answer.text();
      })
      .then(function (html) {
        var fresh = new DOMParser().parseFromString(html, "text/html");
        var focused = document.activeElement && document.activeElement.id;
        parts.forEach(function (id) {
          var old = document.getElementById(id);
          var now = fresh.getElementById(id);
          if (old && now) old.replaceWith(document.adoptNode(now));
        });
        var again = focused && document.getElementById(focused);
        if (again) again.focus();
        follow();
      });
  }

  // --- the choice of the source

  function choose(page, form) {
    var fieldset = form.querySelector("fieldset");
    var button = form.querySelector("button[type=submit]");
    var chosen = form.querySelector("input[name=data_source]:checked");
    if (!chosen) return say("Choose one of the sources.", true);
    say("");
    busy(button, true);
    fieldset.disabled = true;
    send(page.dataset.settings, form, { dataSource: chosen.value })
      .then(function (said) {
        return renew(PARTS).then(function () {
          say(said.message);
        });
      })
      .catch(function (error) {
        fieldset.disabled = false;
        busy(button, false);
        var former = form.querySelector("[data-former]");
        if (former) former.checked = true;
        say(words(error, "The choice could not be saved, so the former one holds. Try again in a moment."), true);
      });
  }

  // --- syncing

  function sync(page, form) {
    var button = form.querySelector("button");
    say("");
    busy(button, true);
    progress("Asking for a sync");
    send(page.dataset.sync, form, {})
      .then(function (said) {
        if (said.joined) progress("A sync was under way; this follows it");
        watch(page, said.runId);
      })
      .catch(function (error) {
        busy(button, false);
        progress("");
        say(words(error, "The sync could not be started. Try again in a moment."), true);
        renew(["sync"]);
      });
  }

  function progress(text) {
    var place = document.getElementById("progress");
    // Unchanged words are not said again.
    if (place && place.textContent !== text) place.textContent = text;
  }

  function watch(page, run) {
    fetch(page.dataset.runs.replace(/0$/, run), { credentials: "same-origin" })
      .then(function (answer) {
        if (!answer.ok) throw new Error("The run's progress cannot be read. Load the page again.");
        return answer.json();
      })
      .then(function (said) {
        if (said.status === "pending" || said.status === "running") {
          progress(said.progress || "Waiting for a worker");
          setTimeout(watch, POLL_MS, page, run);
          return;
        }
        renew(PARTS).then(function () {
          say(said.message, said.status === "failed" || said.result === "held");
        });
      })
      .catch(function (error) {
        say(words(error, "The connection to Callboard was lost; the sync goes on. Load the page again."), true);
      });
  }

  // Follows the run under way; while the provider wants a pause, looks again when that is over.
  function follow() {
    var page = document.getElementById("source-page");
    var part = document.getElementById("sync");
    clearTimeout(pause);
    if (page && part && part.dataset.run) watch(page, part.dataset.run);
    else if (page && part && part.dataset.wait) pause = setTimeout(renew, part.dataset.wait * 1000, ["sync"]);
  }

  // --- testing a connection

  function test(button) {
    var form = button.form;
    var result = document.getElementById("test-result");
    busy(button, true);
    result.removeAttribute("data-ok");
    result.textContent = "Testing...";
    fetch(button.formAction, {
      method: "POST",
      credentials: "same-origin",
      headers: { Accept: "application/json" },
      body: new FormData(form),
    })
      .then(function (answer) {
        return answer.json();
      })
      .then(function (said) {
        result.dataset.ok = String(said.ok);
        result.textContent = said.text;
      })
      .catch(function () {
        result.dataset.ok = "false";
        result.textContent = "The test could not be made. Try again in a moment.";
      })
      .finally(function () {
        busy(button, false);
      });
  }

  document.addEventListener("submit", function (event) {
    var page = document.getElementById("source-page");
    if (event.target.id === "source-form" && page) {
      event.preventDefault();
      choose(page, event.target);
    } else if (event.target.id === "sync-form" && page) {
      event.preventDefault();
      sync(page, event.target);
    } else if (event.submitter && event.submitter.id === "test-connection") {
      event.preventDefault();
      test(event.submitter);
    }
  });
  document.addEventListener("DOMContentLoaded", follow);
})();
