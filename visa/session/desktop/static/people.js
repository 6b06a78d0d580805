// Who is here, and for how long yet.
import { element, part } from "./page.js";

const roles = { owner: "owner", collaborator: "works here too", observer: "looks on", support: "support" };

function lasting(ms) {
  const minutes = Math.max(0, Math.round(ms / 60_000));
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days`;
}

export function show({ people, ends }) {
  const count = people.length;
  part("people-button").textContent = count < 2 ? "Only you" : `${count} here`;
  const lines = people.map(({ name, display_name, role, since }) => {
    const from = since ? `, since ${new Date(since).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })}` : "";
    return element("li", `${display_name || name} (${roles[role] ?? role}${from})`);
  });
  part("people-list").replaceChildren(...(lines.length ? lines : [element("li", "Nobody looks at the desktop now.")]));
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
