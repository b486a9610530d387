"use strict";

// The wallboard's theme, else the browser's. Swagger UI's dark theme goes by a class.
{
  const browsers = matchMedia("(prefers-color-scheme: dark)");
  const set = () => {
    let kept = null;
    try {
      kept = localStorage.getItem("callmon.theme");
    } catch {
      // A browser that keeps nothing has its own theme alone.
    }
    const dark = kept ? kept === "dark" : browsers.matches;
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    document.documentElement.classList.toggle("dark-mode", dark);
  };
  set();
  browsers.addEventListener("change", set);
}
