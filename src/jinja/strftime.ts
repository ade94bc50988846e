/** C's strftime in local time and English, as Python's `datetime.now().strftime`. */
const MONTHS =
  "January February March April May June July August September October November December".split(
    " ",
  );
const DAYS = "Sunday Monday Tuesday Wednesday Thursday Friday Saturday".split(
  " ",
);

const two = (n: number): string => String(n).padStart(2, "0");
const spaced = (n: number): string => String(n).padStart(2, " ");

const FIELDS: Readonly<Record<string, (date: Date) => string>> = {
  "%": () => "%",
  a: (d) => (DAYS[d.getDay()] ?? "").slice(0, 3),
  A: (d) => DAYS[d.getDay()] ?? "",
  b: (d) => (MONTHS[d.getMonth()] ?? "").slice(0, 3),
  B: (d) => MONTHS[d.getMonth()] ?? "",
  c: (d) => strftime(d, "%a %b %e %H:%M:%S %Y"),
  C: (d) => two(Math.floor(d.getFullYear() / 100)),
  d: (d) => two(d.getDate()),
  D: (d) => strftime(d, "%m/%d/%y"),
  e: (d) => spaced(d.getDate()),
  f: (d) => String(d.getMilliseconds() * 1000).padStart(6, "0"),
  F: (d) => strftime(d, "%Y-%m-%d"),
  h: (d) => strftime(d, "%b"),
  H: (d) => two(d.getHours()),
  I: (d) => two(d.getHours() % 12 || 12),
  j: (d) => String(dayOfYear(d)).padStart(3, "0"),
  k: (d) => spaced(d.getHours()),
  l: (d) => spaced(d.getHours() % 12 || 12),
  m: (d) => two(d.getMonth() + 1),
  M: (d) => two(d.getMinutes()),
  n: () => "\n",
  p: (d) => (d.getHours() < 12 ? "AM" : "PM"),
  P: (d) => (d.getHours() < 12 ? "am" : "pm"),
  r: (d) => strftime(d, "%I:%M:%S %p"),
  R: (d) => strftime(d, "%H:%M"),
  s: (d) => String(Math.floor(d.getTime() / 1000)),
  S: (d) => two(d.getSeconds()),
  t: () => "\t",
  T: (d) => strftime(d, "%H:%M:%S"),
  u: (d) => String(d.getDay() || 7),
  U: (d) => two(Math.floor((dayOfYear(d) + 6 - d.getDay()) / 7)),
  w: (d) => String(d.getDay()),
  W: (d) => two(Math.floor((dayOfYear(d) + 6 - ((d.getDay() + 6) % 7)) / 7)),
  x: (d) => strftime(d, "%m/%d/%y"),
  X: (d) => strftime(d, "%H:%M:%S"),
  y: (d) => two(d.getFullYear() % 100),
  Y: (d) => String(d.getFullYear()),
  // Python's own time without a zone prints none.
  z: () => "",
  Z: () => "",
};

/** Between dates at noon, so that no change of the clock counts. */
function dayOfYear(date: Date): number {
  const noon = (month: number, day: number): number =>
    Date.UTC(date.getFullYear(), month, day, 12);
  return (noon(date.getMonth(), date.getDate()) - noon(0, 0)) / 86_400_000;
}

/** "%-d": without the zero. A letter that has no meaning stays as it is. */
export function strftime(date: Date, format: string): string {
  return format.replaceAll(
    /%(-?)([%a-zA-Z])/g,
    (all, flag: string, letter: string) => {
      const text = FIELDS[letter]?.(date);
      if (text === undefined) return all;
      return flag === "" ? text : text.replace(/^[0 ]+(?=\d)/, "");
    },
  );
}
