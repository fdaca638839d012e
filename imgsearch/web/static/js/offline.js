/** Loads the address again, on request and when the device is online again. */

import { fillIn, t } from "./words.js";

fillIn();
document.title = t("offline.title");
document.documentElement.dataset.ready = "";

const again = () => location.reload();
addEventListener("online", again);
document.getElementById("again").addEventListener("click", (event) => {
  event.preventDefault();
  again();
});
