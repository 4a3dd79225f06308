"use strict";
// Runs before the page is drawn, so that a chosen theme does not flash.
try {
  const theme = localStorage.getItem("apsched-theme");
  if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
} catch (error) { /* storage may be forbidden: the system decides then */ }
