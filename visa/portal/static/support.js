// The list of instances that one may support.
import { tell } from "./api.js";
import { refresh } from "./acts.js";

const form = document.getElementById("find-supported");
const list = document.getElementById("supported");
const trouble = document.getElementById("trouble");

function search(offset = 0) {
  const data = new FormData(form);
  const query = new URLSearchParams({ offset });
  for (const name of ["search", "instrument", "help"]) if (data.get(name)) query.set(name, data.get(name));
  list.dataset.query = `?${query}`;
  list.setAttribute("aria-busy", "true");
  return refresh(list)
    .then(() => tell(trouble, ""))
    .catch((problem) => tell(trouble, problem.message))
    .finally(() => list.removeAttribute("aria-busy"));
}

let timer;
form?.addEventListener("input", (event) => {
  clearTimeout(timer);
  timer = setTimeout(search, event.target.name === "search" ? 250 : 0);
});
form?.addEventListener("submit", (event) => {
  event.preventDefault();
  search();
});
list?.addEventListener("click", (event) => {
  const button = event.target.closest("[data-offset]");
  if (button) search(button.dataset.offset).then(() => list.scrollIntoView({ block: "start" }));
});
