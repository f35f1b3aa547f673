// A button at each piece of code that copies it.
"use strict";

for (const code of document.querySelectorAll("pre.code")) {
  const button = Taproom.element("button", { type: "button", className: "copy" }, "Copy");
  button.addEventListener("click", async () => {
    // The clipboard is closed to pages from file:// in some browsers; selected text can be copied by hand everywhere.
    getSelection().selectAllChildren(code);
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Selected";
    }
  });
  code.before(button);
}
