/** Loads the address again, on request and when the device is online again. */

import { fillIn, t } from "./words.js";

/** The network can be usable a moment after the device is online, so the page tries again. */
const MAX_RETURNS = 10;
const RETURN_MS = 1000;

fillIn();
document.title = t("offline.title");
document.documentElement.dataset.ready = "";

const again = () => location.reload();
/** Load the address now, and this many times more if that shows this page. */
function comeBack(returns) {
  history.replaceState({ ...history.state, returns }, "");
  again();
}

const returns = history.state?.returns ?? 0;
if (returns && navigator.onLine) setTimeout(() => comeBack(returns - 1), RETURN_MS);
addEventListener("online", () => comeBack(MAX_RETURNS));
document.getElementById("again").addEventListener("click", (event) => {
  event.preventDefault();
  again();
});
