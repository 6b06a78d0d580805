// Touch keyboards: they tell what was written, not which keys were pressed, so the difference is typed.
import keysym from "./novnc/core/input/keysym.js";
import keysyms from "./novnc/core/input/keysymdef.js";
import { part } from "./page.js";

/** Something to delete, so that Backspace is noticed. */
const FILLER = "_".repeat(32);

export function start(connection, send) {
  const field = part("typed");
  let before = FILLER;

  function reset() {
    field.value = before = FILLER;
    field.setSelectionRange(FILLER.length, FILLER.length);
  }

  function type(character) {
    const sym = character === "\n" ? keysym.XK_Return : keysyms.lookup(character.codePointAt(0));
    send([sym, character === "\n" ? "Enter" : ""]);
  }

  field.addEventListener("input", () => {
    const [old, now] = [[...before], [...field.value]];
    let same = 0;
    while (same < old.length && same < now.length && old[same] === now[same]) same += 1;
    for (let gone = old.length; gone > same; gone -= 1) send([keysym.XK_BackSpace, "Backspace"]);
    now.slice(same).forEach(type);
    before = field.value;
    if (now.length < 8 || now.length > 300) reset();
  });
  field.addEventListener("focus", reset);
  field.addEventListener("blur", () => part("touch").setAttribute("aria-pressed", "false"));
  part("touch").setAttribute("aria-pressed", "false");
  // Before the click takes the focus away, and with it what is known about it.
  part("touch").addEventListener("pointerdown", (event) => event.preventDefault());
  part("touch").addEventListener("click", () => {
    if (document.activeElement === field) {
      connection.screen?.focus();
      return;
    }
    field.focus({ preventScroll: true });
    part("touch").setAttribute("aria-pressed", "true");
    document.body.classList.remove("menu");
  });
}
