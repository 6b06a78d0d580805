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
  addEventListener("DOMContentLoaded", () => {
    document.getElementById("theme")?.addEventListener("click", () => {
      const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
      localStorage.setItem(key, next);
      apply();
    });
  });
})();
