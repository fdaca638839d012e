// Runs before the first paint, so that the page does not flash in the wrong theme.
(function () {
  "use strict";
  var theme = null;
  try {
    theme = localStorage.getItem("imgsearch.theme");
  } catch (error) {
    theme = null;
  }
  if (theme === "light" || theme === "dark") {
    document.documentElement.dataset.theme = theme;
  }
})();
