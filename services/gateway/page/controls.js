// Everything that can be pressed: buttons, keys, choices.

const by = (id) => document.getElementById(id);
const TYPES = new Set(["INPUT", "TEXTAREA", "SELECT"]);

export function bindControls(page) {
  const { talk, prefs } = page;
  bindTalk(talk);
  bindKeys(page);
  bindSettings(page);
  for (const input of document.querySelectorAll("input[name=mode]")) {
    input.checked = input.value === prefs.get("mode");
    input.addEventListener("change", () => talk.mode(input.value));
  }
  by("mute").addEventListener("click", () => talk.mute(!talk.facts.isMuted));
  by("leave").addEventListener("click", () => talk.leave());
  by("devices").addEventListener("change", (event) => talk.choose(event.target.value));
  navigator.mediaDevices?.addEventListener?.("devicechange", () => page.devices());
  by("health").addEventListener("click", () => page.showCheck(!page.isChecked));
  by("check-again").addEventListener("click", () => page.look());
  by("check-mic").addEventListener("click", () => page.testMicrophone());
  by("type").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = by("say").value.trim();
    by("say").value = "";
    if (text) talk.type(text);
  });
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && talk.wake.seen());
}

function bindTalk(talk) {
  const button = by("talk");
  const isHolding = () => talk.facts.mode === "push" && talk.facts.phase === "open" && talk.facts.hasMicrophone;
  let wasHeld = false; // the click that follows a release means nothing more
  button.addEventListener("pointerdown", (event) => {
    wasHeld = event.button === 0 && isHolding();
    if (!wasHeld) return;
    button.setPointerCapture(event.pointerId);
    talk.hold(true);
  });
  for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) {
    button.addEventListener(name, () => wasHeld && talk.hold(false));
  }
  button.addEventListener("contextmenu", (event) => isHolding() && event.preventDefault());
  button.addEventListener("click", (event) => {
    // Enter, or a screen reader's press: it cannot be held, so it begins and ends.
    if (event.detail === 0 && isHolding()) talk.hold(!talk.facts.isHeld);
    else if (!wasHeld) talk.press();
    wasHeld = false;
  });
}

function bindKeys(page) {
  const { talk } = page;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || by("settings").open || isTyping(event.target)) return;
    if (event.key === " ") space(event, talk);
    else if (event.key === "Escape") talk.stop();
    else if (event.key.toLowerCase() === "m" && talk.facts.hasMicrophone && talk.facts.mode !== "push") talk.mute(!talk.facts.isMuted);
    else if (event.key.toLowerCase() === "d") page.panel.toggle();
  });
  document.addEventListener("keyup", (event) => {
    if (event.key === " ") talk.hold(false);
  });
  globalThis.addEventListener("blur", () => talk.hold(false));
}

/** The space bar talks, unless another control has the focus that it would press. */
function space(event, talk) {
  const control = event.target.closest("button, a, summary, label");
  if (control && control.id !== "talk") return;
  const mayHold = talk.facts.phase === "open" && talk.facts.hasMicrophone && (talk.facts.mode === "push" || talk.facts.isMuted || talk.facts.isHeld);
  if (control && !mayHold) return; // the talk button itself: a press
  event.preventDefault();
  if (event.repeat) return;
  if (mayHold) talk.hold(true);
  else if (talk.facts.phase !== "open") talk.press();
}

function isTyping(target) {
  return TYPES.has(target.tagName) && target.type !== "radio";
}

function bindSettings(page) {
  const { talk, prefs } = page;
  const sheet = by("settings");
  by("open-settings").addEventListener("click", () => {
    by("voice").value = prefs.get("voice");
    by("language").value = prefs.get("language");
    by("key").value = prefs.key;
    sheet.showModal();
  });
  sheet.addEventListener("click", (event) => event.target === sheet && sheet.close());
  by("voice").addEventListener("change", (event) => {
    prefs.set("voice", event.target.value.trim());
    talk.retell();
  });
  by("language").addEventListener("change", (event) => {
    prefs.set("language", event.target.value);
    talk.retell();
  });
  by("key").addEventListener("change", (event) => {
    prefs.key = event.target.value;
    page.look();
  });
  for (const input of document.querySelectorAll("input[name=theme]")) {
    input.checked = input.value === prefs.get("theme");
    input.addEventListener("change", () => {
      prefs.set("theme", input.value);
      page.theme(input.value);
    });
  }
  for (const language of ["en", "fr"]) {
    by(`to-${language}`).addEventListener("click", () => {
      prefs.set("ui", language);
      page.speak(language);
    });
  }
  by("download").addEventListener("click", () => page.download());
  by("forget").addEventListener("click", () => {
    sheet.close();
    page.forget();
  });
}
