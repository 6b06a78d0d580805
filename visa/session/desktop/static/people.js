// Who is here, what one is oneself, who asks to come in; and for how long yet.
import { base, element, note, part, remember, remembered } from "./page.js";
import { begin, changed, lineOf, members, news, persons, said, short } from "./word.js";

const CHANGED = "role-changed";
let word = null;

function lasting(ms) {
  const minutes = Math.max(0, Math.round(ms / 60_000));
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days`;
}

function list(here, you) {
  const people = persons(here);
  const lines = people.map((one) => element("li", lineOf(one, you).join(", ")));
  part("people-button").textContent = people.length < 2 ? "Only you" : `${people.length} here`;
  part("people-list").replaceChildren(...(lines.length ? lines : [element("li", "Nobody looks at the desktop now.")]));
}

/** What is to be told stays until it is over or put away; the answer is given on the portal. */
function tell() {
  const now = news(word.now);
  for (const card of [...part("asks").children]) if (!now.has(card.dataset.key)) card.remove();
  const shown = new Set([...part("asks").children].map((card) => card.dataset.key));
  for (const [key, { text, action, grave }] of now) {
    if (shown.has(key)) continue;
    const card = element("div", "", { class: grave ? "ask grave" : "ask", "data-key": key });
    const away = element("button", "Later", { type: "button" });
    away.addEventListener("click", () => (card.hidden = true));
    const answer = element("a", action, { class: "button", href: members(word), target: "_blank", rel: "noopener" });
    card.append(element("p", text), answer, away);
    part("asks").append(card);
  }
}

function own() {
  part("role").textContent = short(word.role);
  part("role").hidden = !short(word.role);
  part("role").dataset.role = word.role;
  part("role-text").textContent = said(word.role, word.owner);
  part("share").hidden = word.role !== "owner";
  part("share").href = members(word);
}

function shown() {
  list(word.now.here, word.now.you);
  own();
  tell();
}

/** For as long as the page is open; `ended` gets a sentence when one may not be here any more. */
export async function follow(ended) {
  word = await begin(base.replace(/desktop\/$/, ""));
  if (!word) return;
  shown();
  if (remembered(CHANGED, "") === word.role) note(changed(word), 10);
  remember(CHANGED, "");
  word.addEventListener("change", ({ detail }) => {
    shown();
    if (detail.you.role === word.role) return;
    // What acts is in the page or is not: the page of the other role is another one.
    remember(CHANGED, word.role);
    location.reload();
  });
  word.addEventListener("end", ({ detail }) => ended(detail));
  word.follow();
}

export function show({ people, ends }) {
  if (!word) list(people.map(({ name, ...one }) => ({ username: name, ...one })), {});
  const rest = ends ? Date.parse(ends) - Date.now() : NaN;
  part("left").hidden = Number.isNaN(rest);
  if (Number.isNaN(rest)) {
    part("ends").textContent = "This instance has no set end.";
    return;
  }
  part("left").classList.toggle("soon", rest < 3_600_000);
  part("left").textContent = rest < 3_600_000 ? `Ends in ${lasting(rest)}` : `${lasting(rest)} left`;
  part("ends").textContent = `The instance ends on ${new Date(ends).toLocaleString()}. Save what you need before; your home page says whether it can be extended.`;
}
