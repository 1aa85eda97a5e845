// Values as they cross the wire in, text for people out, by the page's language. Never touches the page.

const SECOND = 1, MINUTE = 60, HOUR = 3600, DAY = 86400;
const LONGEST_FULL = 9;

// What is put into a sentence is isolated, so that a Latin name or a number cannot turn a Persian line round.
function isolated(value) { return `\u2068${value}\u2069`; }

// Letters that are seen: marks of direction take no room.
export function lengthOf(text) { return [...text.replace(/[\u200e\u200f\u061c\u2066-\u2069]/g, "")].length; }

// Intl writes Persian short money from left to right, the word for millions after the number; a reader begins
// at the right and meets the word first. So: number, word, currency, from the right.
function inReadingOrder(parts) {
  const of = (...types) => parts.filter(part => types.includes(part.type)).map(part => part.value).join("");
  const number = of("minusSign", "plusSign", "integer", "group", "decimal", "fraction").replace(/\u200e/g, "");
  return `\u2067\u2066${number}\u2069 ${[of("compact"), of("currency")].filter(Boolean).join(" ")}\u2069`;
}

export class Formatter {
  constructor(language, texts) {
    this.language = language;
    this.texts = texts;
    this.zone = "UTC";
    this.formats = new Map();
    this.plurals = new Intl.PluralRules(language);
  }

  // A text of the catalogue; `n` chooses its plural form.
  text(section, key, values = {}) {
    let found = (this.texts[section] || {})[key];
    if (found === undefined) return null;
    if (typeof found === "object") found = found[this.plurals.select(values.n)] || found.other;
    return found.replace(/\{(\w+)\}/g, (_, name) =>
      isolated(name === "n" ? this.count(values.n) : values[name] ?? "–"));
  }

  ui(key, values) { return this.text("ui", key, values) ?? key; }

  // A floor's own KPI without a title is called by its name.
  kpi(label) {
    const found = this.text("kpi", label);
    if (found !== null) return found;
    const words = String(label).replaceAll("_", " ");
    return words.charAt(0).toUpperCase() + words.slice(1);
  }

  window(name) { return name ? this.text("window", name) ?? name : this.ui("now"); }

  // Formats are dear to make and few: one per language, kind and currency.
  number(options) {
    const key = JSON.stringify(options);
    let format = this.formats.get(key);
    if (format === undefined) {
      format = new Intl.NumberFormat(this.language, options);
      this.formats.set(key, format);
    }
    return format;
  }

  moment(ms, options) {
    const key = `at ${this.zone} ${JSON.stringify(options)}`;
    let format = this.formats.get(key);
    if (format === undefined) {
      format = new Intl.DateTimeFormat(this.language, { timeZone: this.zone, ...options });
      this.formats.set(key, format);
    }
    return format.format(ms);
  }

  count(value) {
    return this.number({ maximumFractionDigits: Number.isInteger(value) || Math.abs(value) >= 100 ? 0 : 1 }).format(value);
  }

  percent(value, digits = 0) {
    return this.number({ style: "percent", maximumFractionDigits: digits }).format(value);
  }

  // Full figures where they are short enough to be read at a glance, else 1.28M, 128.5萬, 1,28 jt.
  money(minor, currency, exponent = 2, { compact = false, sign = false } = {}) {
    const value = minor / 10 ** exponent;
    const options = currency
      ? { style: "currency", currency, currencyDisplay: "narrowSymbol" } : {};
    if (sign) options.signDisplay = "exceptZero";
    const digits = Math.abs(value) >= 1000 || Number.isInteger(value) ? 0 : Math.min(exponent, 2);
    const full = this.number({ ...options, minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
    if (!compact && lengthOf(full) <= LONGEST_FULL || Math.abs(value) < 10000) return full;
    const format = this.number({ ...options, notation: "compact", maximumSignificantDigits: 4 });
    return this.texts.language.dir === "rtl" ? inReadingOrder(format.formatToParts(value)) : format.format(value);
  }

  duration(seconds) {
    const size = Math.abs(seconds);
    if (size < 90 * SECOND) return this.span(seconds, "second", SECOND);
    if (size < 90 * MINUTE) return this.span(seconds, "minute", MINUTE);
    if (size < 36 * HOUR) return this.span(seconds, "hour", HOUR);
    return this.span(seconds, "day", DAY);
  }

  span(seconds, unit, size) {
    const digits = unit === "hour" || unit === "day" ? 1 : 0;
    return this.number({ style: "unit", unit, unitDisplay: "short", maximumFractionDigits: digits })
      .format(Math.round(seconds / size * 10 ** digits) / 10 ** digits);
  }

  // How long ago: full minutes, then hours and days.
  past(seconds) {
    return seconds < 90 * MINUTE ? this.span(Math.floor(seconds / MINUTE) * MINUTE, "minute", MINUTE) : this.duration(seconds);
  }

  // A span that is counted down: 3 days 4 h, then 04:05:06.
  countdown(ms) {
    const seconds = Math.max(0, Math.ceil(ms / 1000));
    const whole = (value, unit) => this.number({ style: "unit", unit, unitDisplay: "short" }).format(value);
    if (seconds >= 2 * DAY) {
      return `${whole(Math.floor(seconds / DAY), "day")} ${whole(Math.floor(seconds % DAY / HOUR), "hour")}`;
    }
    const two = value => this.number({ minimumIntegerDigits: 2 }).format(value);
    return [seconds / HOUR, seconds % HOUR / MINUTE, seconds % MINUTE].map(part => two(Math.floor(part))).join(":");
  }

  // A figure of a widget: its unit says what the number is.
  figure(value, { unit, currency, exponent }, options = {}) {
    if (value === null || value === undefined) return "–";
    switch (unit) {
      case "money": return this.money(value, currency, exponent, options);
      case "money per day": return this.ui("per_day", { value: this.money(value, currency, exponent, options) });
      case "ratio": return this.percent(value, Math.abs(value) < 1 ? 1 : 0);
      case "seconds": return this.duration(value);
      case "points": return this.number({ maximumFractionDigits: 0, signDisplay: "exceptZero" }).format(value);
      default: return this.bigCount(value, options);
    }
  }

  bigCount(value, { compact = false, sign = false } = {}) {
    const options = sign ? { signDisplay: "exceptZero" } : {};
    if (Math.abs(value) < (compact ? 10000 : 1000000)) {
      return this.number({ ...options, maximumFractionDigits: Number.isInteger(value) || Math.abs(value) >= 100 ? 0 : 1 })
        .format(value);
    }
    return this.number({ ...options, notation: "compact", maximumSignificantDigits: 4 }).format(value);
  }

  // A gain: the figure with its sign.
  gain(value, what) { return this.figure(value, what, { sign: true }); }

  clock(ms) { return this.moment(ms, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }); }

  // When something happened: the time of day, with the date unless it was today.
  since(ms, nowMs) {
    const day = { year: "numeric", month: "numeric", day: "numeric" };
    return this.moment(ms, day) === this.moment(nowMs, day) ? this.clock(ms)
      : this.moment(ms, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  }
}
