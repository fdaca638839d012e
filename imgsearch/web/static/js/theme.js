// Runs before the page is painted, so that a chosen theme does not flash the other one.
(function () {
  "use strict";
  var chosen = null;
  try {
    chosen = localStorage.getItem("imgsearch.theme");
  } catch (refused) {
    chosen = null;
  }
  if (chosen === "light" || chosen === "dark") {
    document.documentElement.dataset.theme = chosen;
  }
})();
