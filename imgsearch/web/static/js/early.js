// Runs before the first paint, so that the page does not flash in another theme or direction.
(function () {
  "use strict";
  var root = document.documentElement;
  /** The files in words/. */
  var LANGUAGES = ["de", "en", "es", "fr", "ja", "zh"];
  /** The English texts in brackets, from right to left: shows what is not translated or mirrored. */
  var MIRRORED = "en-x-rtl";
  var RIGHT_TO_LEFT = /^(ar|fa|he|ur|en-x-rtl)\b/;

  function stored(name) {
    try {
      return localStorage.getItem("imgsearch." + name);
    } catch (error) {
      return null;
    }
  }

  function base(tag) {
    return String(tag).toLowerCase().split(/[^a-z]/)[0];
  }

  /** The browser's first tag of one of these languages: "de-AT" is German, with the dates of Austria. */
  function first(languages) {
    var tag = (navigator.languages || [navigator.language]).find(function (each) {
      return languages.indexOf(base(each)) >= 0;
    });
    try {
      return tag && Intl.getCanonicalLocales(tag)[0];
    } catch (error) {
      return base(tag); // a name such as "en-US@posix"
    }
  }

  var theme = stored("theme");
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;

  var asked = new URLSearchParams(location.search).get("lang") || stored("language") || "";
  if (asked === "x-rtl") root.lang = MIRRORED;
  else if (LANGUAGES.indexOf(asked) >= 0) root.lang = first([asked]) || asked;
  else root.lang = first(LANGUAGES) || "en";
  root.dir = RIGHT_TO_LEFT.test(root.lang) ? "rtl" : "ltr";
  root.dataset.languages = LANGUAGES.join(" ");
})();
