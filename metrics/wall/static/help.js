// Keys, languages and themes in a dialog. Changing one is going to another address; nothing is stored.

import { make } from "./dom.js";

const KEYS = [["P", "key_pause"], ["← →", "key_boards"], ["F", "key_fullscreen"], ["Esc", "key_end"], ["?", "key_help"]];
const NAMES = { en: "English", ms: "Bahasa Melayu", id: "Bahasa Indonesia", "zh-Hant": "繁體中文", "zh-Hans": "简体中文", fa: "فارسی" };

export class Help {
  constructor(dialog, f, languages) {
    Object.assign(this, { dialog, f, languages });
    this.built = false;
  }

  get isOpen() { return this.dialog.open; }

  open() {
    if (!this.built) this.build();
    this.dialog.showModal();
  }

  build() {
    this.built = true;
    const { f } = this, title = make("h2", "", f.ui("help"));
    title.id = "help-title";
    this.dialog.setAttribute("aria-labelledby", title.id);
    const close = make("button", "", f.ui("close"));
    close.type = "button";
    close.addEventListener("click", () => this.dialog.close());
    const keys = make("dl", "keys");
    for (const [key, what] of KEYS) keys.append(make("dt", "", make("kbd", "", key)), make("dd", "", f.ui(what)));
    const languages = this.links("lang", this.languages.map(each => [each, NAMES[each]]), f.language);
    const themes = this.links("theme", ["auto", "light", "dark"].map(each => [each, f.ui(`theme_${each}`)]),
      new URLSearchParams(location.search).get("theme") || "auto");
    this.dialog.append(title, keys, make("h3", "", f.ui("language")), languages, make("h3", "", f.ui("theme")), themes, close);
  }

  links(name, choices, chosen) {
    return make("ul", "choices", ...choices.map(([value, text]) => {
      const link = make("a", "", text), address = new URL(location.href);
      address.searchParams.set(name, value);
      link.href = address.href;
      if (name === "lang") link.lang = value;
      if (value === chosen) link.setAttribute("aria-current", "true");
      return make("li", "", link);
    }));
  }
}
