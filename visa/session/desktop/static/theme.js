// Light or dark before the first paint; the person's own choice counts (the portal's), else the system's.
(() => {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const key = "jupyterhub-bs-theme";
  const chosen = () => {
    try {
      return localStorage.getItem(key);
    } catch {
      return null;
    }
  };
  const apply = () => {
    const own = chosen();
    document.documentElement.dataset.theme = own === "light" || own === "dark" ? own : system.matches ? "dark" : "light";
  };
  apply();
  system.addEventListener("change", apply);
  // A script that does not arrive can say nothing itself.
  addEventListener(
    "error",
    ({ target }) => {
      if (target?.tagName !== "SCRIPT") return;
      const tell = () => {
        document.getElementById("words").hidden = false;
        document.getElementById("words-text").textContent = "A part of this page did not arrive. It is loaded again in a few seconds.";
      };
      if (document.getElementById("words")) tell();
      else addEventListener("DOMContentLoaded", tell);
      setTimeout(() => location.reload(), 5000);
    },
    { capture: true },
  );
  addEventListener("DOMContentLoaded", () => {
    document.getElementById("theme")?.addEventListener("click", () => {
      const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
      localStorage.setItem(key, next);
      apply();
    });
  });
})();
