/** Loads the address again, on request and when the device is online again. */

const again = () => location.reload();
addEventListener("online", again);
document.getElementById("again").addEventListener("click", (event) => {
  event.preventDefault();
  again();
});
