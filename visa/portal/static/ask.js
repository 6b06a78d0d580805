// Ask the owner of an instance; the page becomes the instance's as soon as she lets one in.
import { api, piece, tell } from "./api.js";
import { on } from "./live.js";

const { id } = document.getElementById("ask").dataset;
const part = (name) => document.getElementById(name);

function show(asked) {
  part("asking").hidden = asked;
  part("asked").hidden = !asked;
  sessionStorage.setItem(`visa-asked-${id}`, asked ? "yes" : "");
}

async function look() {
  try {
    await piece(`instances/${id}/people`);
    location.reload();
  } catch (problem) {
    if (problem.status !== 404) tell(part("trouble"), problem.message);
  }
}

part("asking").addEventListener("submit", async (event) => {
  event.preventDefault();
  tell(part("trouble"), "");
  const data = new FormData(event.target);
  try {
    await api("POST", `instances/${id}/requests`, { wanted: data.get("wanted"), reason: data.get("reason") });
    show(true);
    part("cancel").focus();
    await look();
  } catch (problem) {
    tell(part("trouble"), problem.message);
  }
});
part("cancel").addEventListener("click", async () => {
  try {
    await api("DELETE", `instances/${id}/requests/mine`);
    show(false);
  } catch (problem) {
    tell(part("trouble"), problem.message);
  }
});
on("people", look);
show(sessionStorage.getItem(`visa-asked-${id}`) === "yes");
