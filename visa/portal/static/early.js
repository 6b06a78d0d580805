// A button that is pressed before the page's scripts are there acts once they are, instead of not at all.
(() => {
  let pressed;
  const keep = (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    pressed = button;
    event.preventDefault();
    event.stopImmediatePropagation();
  };
  addEventListener("click", keep, true);
  // By then all modules of the page have run.
  addEventListener("DOMContentLoaded", () => {
    removeEventListener("click", keep, true);
    pressed?.click();
  });
})();
