// Runs before the page is drawn, so that the chosen colours do not flash.
(() => {
  const choices = ["system", "light", "dark"];
  const read = () => {
    try {
      return localStorage.getItem("omnireel.theme") || "system";
    } catch {
      return "system"; // storage is switched off
    }
  };
  const apply = (choice) => {
    if (choice === "system") document.documentElement.removeAttribute("data-theme");
    else document.documentElement.setAttribute("data-theme", choice);
  };
  let choice = choices.includes(read()) ? read() : "system";
  apply(choice);
  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const show = () => {
      const word = { system: "Auto", light: "Light", dark: "Dark" }[choice];
      const icon = document.createElement("span");
      icon.textContent = { system: "◐", light: "○", dark: "●" }[choice];
      icon.setAttribute("aria-hidden", "true");
      button.replaceChildren(icon, ` ${word}`);
      button.setAttribute("aria-label", `Colours: ${word}`);
    };
    button.addEventListener("click", () => {
      choice = choices[(choices.indexOf(choice) + 1) % choices.length];
      apply(choice);
      show();
      try {
        localStorage.setItem("omnireel.theme", choice);
      } catch {
        // The choice then lasts until the page is closed.
      }
    });
    show();
  });
})();
