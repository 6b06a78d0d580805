// The key that the hub gave this browser stands behind the "#"; it works once, and leaves the address before it is used.
import { api, tell } from "./api.js";

const part = (name) => document.getElementById(name);
const [number, code] = location.hash.slice(1).split(".");
history.replaceState(null, "", location.pathname);

function over(message) {
  part("doing").textContent = "";
  part("title").textContent = "Not done";
  tell(part("trouble"), message);
}

function done({ act, page, invitation }) {
  part("back").href = page;
  part("back").textContent = "Back to the instance";
  if (act === "break-glass") {
    location.replace(page);
    return;
  }
  part("doing").textContent = "The link is made.";
  part("made-link").value = new URL(invitation.path, location.href).href;
  part("made").hidden = false;
  part("made-link").focus();
  part("made-link").select();
}

part("copy").addEventListener("click", async () => {
  part("made-link").select();
  try {
    await navigator.clipboard.writeText(part("made-link").value);
    part("copied").textContent = "Copied.";
  } catch {
    part("copied").textContent = "Press Ctrl+C to copy.";
  }
});

if (!/^\d{1,18}$/.test(number) || !code) over("There is nothing to do here. Begin on the instance's page.");
else api("POST", `confirmations/${number}`, { code }).then(done, (problem) => over(problem.message));
